"""The measurements: each function adds figures for the clients that it is given.

clients.py has the clients, figures.py the medians, the table and the limits."""

from __future__ import annotations

import contextlib
import json
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

from integration.benchmarks.clients import DOCKER, DRIVER, ENGINE, SLICE, SYSTEMD_DOCKER, Client
from integration.benchmarks.figures import Figures, Measure, interleaved
from integration.harness.images import BUSYBOX
from integration.harness.machine import poll

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from integration.harness.machine import Machine

WALL = Measure("run --rm true, wall", "ms")
CPU = Measure("run --rm true, client's CPU", "ms")
PEAK = Measure("run --rm true, client's peak RSS", "kB")

START = Measure("start of a unit until its payload runs", "ms")
ACTIVE = Measure("start of a unit until it is active", "ms")
EXECUTED = Measure("start of a unit until its program is executed: systemd's own time", "ms")
OVERHEAD = Measure("start of a unit until it is active, beyond systemd's and the engine's own time", "ms")
STOP = Measure("stop of a unit", "ms")

JOURNAL_RATE = Measure("into the journal", "lines/s")
JOURNAL_CPU = Measure("into the journal, client's CPU per MB", "ms", 2)
JOURNALD_CPU = Measure("into the journal, journald's CPU per MB", "ms", 1)
ENGINE_CPU = Measure("into the journal, engine's CPU per MB", "ms", 1)
FILE_RATE = Measure("into a file", "MB/s", 1)
FILE_CPU = Measure("into a file, client's CPU per MB", "ms", 2)

UNTIL_STOPPED = "trap 'exit 0' TERM; touch /bench/up/$INSTANCE; while true; do sleep 1000 & wait; done"
SHARED = "--volume /run/bench:/bench --env INSTANCE=%i"
ALONE = "--network none"
"""The engine sets up networks one after another, which would hide the cost of many units."""

BARE_UNIT = "bench-bare.service"
"""A program that is active as soon as it is executed."""

LINE_BYTES = 100
SETTLE_SEC = 15
"""How long after the start a client counts as idle."""


def resident(units: int) -> Measure:
    return Measure(f"idle, of {units} units: RSS of each client", "kB")


def proportional(units: int) -> Measure:
    return Measure(f"idle, of {units} units: PSS of each client", "kB")


def private(units: int) -> Measure:
    return Measure(f"idle, of {units} units: private memory of each client", "kB")


def own(units: int) -> Measure:
    """Memory of each client's own, without pages of files, which other processes may share."""
    return Measure(f"idle, of {units} units: memory that each client has written to", "kB")


def threads(units: int) -> Measure:
    return Measure(f"idle, of {units} units: threads of each process", "", 1)


def wakeups(units: int) -> Measure:
    return Measure(f"idle, of {units} units: wake-ups of each client", "/min", 2)


def together(units: int) -> Measure:
    return Measure(f"{units} units started at once, until all payloads run", "s", 1)


def stop_together(units: int) -> Measure:
    return Measure(f"stop of the slice of {units} units", "s", 1)


def stop_beyond(units: int) -> Measure:
    return Measure(f"stop of the slice of {units} units, beyond the engine's own time", "s", 1)


def run_true(machine: Machine, figures: Figures, clients: Sequence[Client], rounds: int) -> None:
    """Measure containers that end at once, in one service for all clients, so that systemd-docker adopts its own."""
    commands = {client.name: f"{client.once} --rm {BUSYBOX} true" for client in clients}
    machine.copy(Path(__file__).parents[1] / "inside/bench_once.py", "/run/bench/once.py")
    service = "systemd-run --quiet --wait --pipe --collect --property=Delegate=yes --property=NotifyAccess=all"
    words = shlex.join(["python3", "/run/bench/once.py", str(rounds), json.dumps(commands)])
    for line in machine.run(f"{service} -- {words}", timeout_sec=600).splitlines():
        name, wall_ms, cpu_ms, peak_kb = json.loads(line)
        figures.add(WALL, name, wall_ms)
        figures.add(CPU, name, cpu_ms)
        figures.add(PEAK, name, peak_kb)


def start_and_stop(machine: Machine, figures: Figures, clients: Sequence[Client], rounds: int) -> None:
    """Measure starts and stops of one unit by systemd's own clock."""
    for client in clients:
        machine.install_unit(f"{key(client)}@.service", client.unit(UNTIL_STOPPED, options=SHARED))
    # systemd unloads a stopped unit to which no active one refers, and its time stamps with it.
    known = " ".join([BARE_UNIT, *(f"{key(client)}@one.service" for client in clients)])
    machine.install_unit("bench-memory.target", f"[Unit]\nAfter={known}\n")
    machine.run("systemctl start bench-memory.target")

    def measure(name: str) -> None:
        unit = f"{key(by_name[name])}@one.service"
        up = up_directory(machine) / "one"
        up.unlink(missing_ok=True)
        machine.run(f"systemctl start {unit}")
        poll(up.exists, what=f"{unit}'s payload to run")
        machine.run(f"systemctl stop {unit}")
        begin, active, stopping, end = timestamps_usec(machine, unit)
        figures.add(START, name, (up.stat().st_mtime_ns - monotonic_offset_ns()) / 1e6 - begin / 1e3)
        figures.add(STOP, name, (end - stopping) / 1e3)
        if by_name[name].tells:
            figures.add(ACTIVE, name, (active - begin) / 1e3)

    by_name = {client.name: client for client in clients}
    interleaved(rounds, list(by_name), measure)
    if SYSTEMD_DOCKER in by_name:
        beyond_the_engine(machine, figures, by_name[SYSTEMD_DOCKER], rounds)


def beyond_the_engine(machine: Machine, figures: Figures, client: Client, rounds: int) -> None:
    """Measure starts of systemd-docker from exec on, each beside the engine's own time for the same requests."""
    machine.copy(Path(__file__).parents[1] / "inside/bench_engine.py", "/run/bench/engine.py")
    words = f"{SHARED.replace('%i', 'engine')} {BUSYBOX} sleep 1000"
    request = machine.run(f"{client.program.removesuffix(' run')} --adopt=none --dry-run --print=api run {words}")
    bare = f"[Service]\nSlice={SLICE}\nType=exec\nExecStart=/usr/bin/busybox sleep 1000\n"
    machine.install_unit(BARE_UNIT, f"[Unit]\nStartLimitIntervalSec=0\n{bare}")

    def start_msec(unit: str) -> float:
        machine.run(f"systemctl start {unit}; systemctl stop {unit}")
        begin, active, _, _ = timestamps_usec(machine, unit)
        return (active - begin) / 1e3

    for _ in range(rounds):
        engine_msec = float(machine.run(shlex.join(["python3", "/run/bench/engine.py", request])))
        executed_msec = start_msec(BARE_UNIT)
        figures.add(EXECUTED, client.name, executed_msec)
        figures.add(OVERHEAD, client.name, start_msec(f"{key(client)}@one.service") - executed_msec - engine_msec)


def many(machine: Machine, figures: Figures, client: Client, units: int, *, idle_sec: int) -> None:
    """Measure many units of one client: started at once, idle, stopped at once."""
    machine.install_unit(f"{key(client)}@.service", client.unit(UNTIL_STOPPED, options=f"{SHARED} {ALONE}"))
    up = up_directory(machine)
    for file in up.iterdir():
        file.unlink()
    names = [f"{key(client)}@{number}" for number in range(units)]
    began = time.time_ns()
    machine.run(f"systemctl start {' '.join(names)}", timeout_sec=600)
    poll(lambda: len(list(up.iterdir())) == units, what=f"{units} payloads to run", timeout_sec=300)
    figures.add(together(units), client.name, (max(file.stat().st_mtime_ns for file in up.iterdir()) - began) / 1e9)
    time.sleep(SETTLE_SEC)
    idle(machine, figures, client, names, idle_sec)
    began = time.time_ns()
    machine.run(f"systemctl stop {SLICE}", timeout_sec=600)
    figures.add(stop_together(units), client.name, (time.time_ns() - began) / 1e9)
    machine.run("systemctl reset-failed")


def engine_alone(machine: Machine, figures: Figures, units: int) -> None:
    """Measure as many containers without a client, stopped at once by signals, as systemd does it."""
    options = f"--detach --rm {SHARED.replace('%i', '{}')} {ALONE}"
    command = f"docker run {options} {BUSYBOX} sh -c {shlex.quote(UNTIL_STOPPED)}"
    machine.run(f"seq {units} | xargs -P 8 -I {{}} {command}", timeout_sec=600)
    payloads = machine.run("docker inspect --format '{{.State.Pid}}' $(docker ps --quiet)")
    began = time.time_ns()
    machine.run(f"kill -TERM {' '.join(payloads.split())}")
    poll(lambda: not machine.run("docker ps --all --quiet"), what="all containers to be gone", timeout_sec=300)
    figures.add(stop_together(units), ENGINE, (time.time_ns() - began) / 1e9)
    for client in (SYSTEMD_DOCKER, DOCKER):
        if (took_sec := figures.median(stop_together(units), client)) is not None:
            engine_sec = figures.median(stop_together(units), ENGINE) or 0
            figures.add(stop_beyond(units), client, took_sec - engine_sec)


def idle(machine: Machine, figures: Figures, client: Client, names: Sequence[str], idle_sec: int) -> None:
    """Measure memory by smaps_rollup, and how often a client's threads ran."""
    pids = [pid for name in names for pid in client.processes(machine, name)]
    before = switches(machine, pids)
    time.sleep(idle_sec)
    after = switches(machine, pids)
    units = len(names)
    rollup = machine.run(f"cat {' '.join(f'/proc/{pid}/smaps_rollup' for pid in pids)}")
    kb = {"Rss": 0, "Pss": 0, "Private_Clean": 0, "Private_Dirty": 0}
    for line in rollup.splitlines():
        word, _, rest = line.partition(":")
        if word in kb:
            kb[word] += int(rest.split()[0])
    figures.add(resident(units), client.name, kb["Rss"] / units)
    figures.add(proportional(units), client.name, kb["Pss"] / units)
    figures.add(private(units), client.name, (kb["Private_Clean"] + kb["Private_Dirty"]) / units)
    figures.add(own(units), client.name, kb["Private_Dirty"] / units)
    figures.add(threads(units), client.name, len(after) / len(pids))
    woken = sum(after.values()) - sum(before.values())
    figures.add(wakeups(units), client.name, woken / units * 60 / idle_sec)


def switches(machine: Machine, pids: Sequence[str]) -> dict[str, int]:
    """Return how often each thread was scheduled: the third number of proc_pid_schedstat(5)."""
    paths = " ".join(f"/proc/{pid}/task/*/schedstat" for pid in pids)
    lines = machine.run(f"for file in {paths}; do echo $file $(cat $file); done").splitlines()
    return {words[0]: int(words[3]) for words in map(str.split, lines)}


def relay(machine: Machine, figures: Figures, clients: Sequence[Client], rounds: int, lines: int) -> None:
    """Measure lines of 100 bytes from a payload that writes as fast as it can, into the journal and into a file."""
    size = lines * LINE_BYTES
    text = "x" * (LINE_BYTES - 1)
    machine.run(f"yes {text} | head -n {lines} >/run/bench/lines", timeout_sec=120)
    command = "touch /bench/up/$INSTANCE; until [ -e /bench/go ]; do sleep 0.05; done; cat /bench/lines"
    command += "; [ -e /bench/file ] || echo END; while [ -e /bench/go ]; do sleep 0.05; done"
    stopped = ("Type=oneshot", "RemainAfterExit=yes", "ExecStop=/usr/bin/docker stop %p-%i")
    detached = Client(DRIVER, "/usr/bin/docker run --detach --log-driver=journald", "", stopped, "", tells=False)
    by_name = {client.name: client for client in (*clients, detached)}

    def install(client: Client, *service: str) -> str:
        driver = "--log-driver=none" if client.name in (SYSTEMD_DOCKER, DOCKER) else ""
        unit = client.unit(command, options=f"{SHARED} {driver}", service=service)
        machine.install_unit(f"{key(client)}@.service", unit)
        return f"{key(client)}@relay"

    def into_journal(name: str) -> None:
        client = by_name[name]
        unit = install(client)
        match = f"CONTAINER_NAME={key(client)}-relay" if name == DRIVER else f"_SYSTEMD_UNIT={unit}.service"
        machine.run("journalctl --rotate --vacuum-size=1 --quiet")
        with running(machine, unit):
            before = cpu_usec(machine, client, unit)
            go(machine)
            newest = f"journalctl --quiet --output=cat --lines=1 {match}"
            poll(lambda: machine.run(newest) == "END", what=f"{unit}'s last line", timeout_sec=60)
            after = cpu_usec(machine, client, unit)
        shown = f"journalctl --quiet --output=json --output-fields=MESSAGE {match}"
        first = json.loads(machine.run(f"{shown} | grep --max-count=1 {text}"))
        last = json.loads(machine.run(f"{shown} --lines=1"))
        took_usec = int(last["__REALTIME_TIMESTAMP"]) - int(first["__REALTIME_TIMESTAMP"])
        figures.add(JOURNAL_RATE, name, lines / took_usec * 1e6)
        for measure, place in ((JOURNAL_CPU, "client"), (JOURNALD_CPU, "journald"), (ENGINE_CPU, "engine")):
            if place in after:
                figures.add(measure, name, (after[place] - before[place]) / size * 1e3)

    def into_file(name: str) -> None:
        client = by_name[name]
        unit = install(client, "StandardOutput=file:/run/bench/file", "StandardError=journal")
        out = machine.path("/run/bench/file")
        with running(machine, unit):
            before = cpu_usec(machine, client, unit)
            began = go(machine)
            poll(lambda: out.stat().st_size == size, what=f"{unit}'s last byte", timeout_sec=60)
            after = cpu_usec(machine, client, unit)
            figures.add(FILE_RATE, name, size / (out.stat().st_mtime_ns - began) * 1e3)
        figures.add(FILE_CPU, name, (after["client"] - before["client"]) / size * 1e3)
        out.unlink()

    interleaved(rounds, list(by_name), into_journal)
    interleaved(rounds, [name for name in by_name if name in (SYSTEMD_DOCKER, DOCKER)], into_file)


@contextlib.contextmanager
def running(machine: Machine, unit: str) -> Iterator[None]:
    """Run a unit from the first action of its payload to its stop."""
    up = up_directory(machine) / unit.partition("@")[2]
    signal = machine.path("/run/bench/go")
    for path in (up, signal):
        path.unlink(missing_ok=True)
    machine.run(f"systemctl start {unit}")
    poll(up.exists, what=f"{unit}'s payload to run")
    yield
    signal.unlink(missing_ok=True)
    machine.run(f"systemctl stop {unit}; systemctl reset-failed")


def go(machine: Machine) -> int:
    """Let the payload write; return the time, in ns."""
    machine.path("/run/bench/go").touch()
    return time.time_ns()


def cpu_usec(machine: Machine, client: Client, unit: str) -> dict[str, int]:
    """Return the CPU time that each process involved has used so far."""
    places = {"journald": "system.slice/systemd-journald.service", "engine": "system.slice/docker.service"}
    if client.name != DRIVER:
        places["client"] = f"{SLICE}/{unit}.service/{client.cgroup}"
    used = {}
    for place, cgroup in places.items():
        text = machine.path(f"/sys/fs/cgroup/{cgroup}/cpu.stat").read_text()
        used[place] = int(text.split()[1])
    return used


def key(client: Client) -> str:
    """Return a unit's prefix: "docker run" -> "bench-docker-run"."""
    return "bench-" + "".join(letter if letter.isalnum() else "-" for letter in client.name)


def up_directory(machine: Machine) -> Path:
    """Make the directory in which payloads make a file as their first action."""
    path = machine.path("/run/bench/up")
    path.mkdir(exist_ok=True)
    return path


def timestamps_usec(machine: Machine, unit: str) -> tuple[int, int, int, int]:
    """Return monotonic times: the start began, active, the stop began, inactive."""
    names = ("InactiveExit", "ActiveEnter", "ActiveExit", "InactiveEnter")
    properties = ",".join(f"{name}TimestampMonotonic" for name in names)
    shown = dict(line.split("=", 1) for line in machine.run(f"systemctl show -p {properties} {unit}").splitlines())
    begin, active, stopping, end = (int(shown[f"{name}TimestampMonotonic"]) for name in names)
    return begin, active, stopping, end


def monotonic_offset_ns() -> int:
    """Return the difference of a file's time stamp to the monotonic clock, which the machine shares with the host."""
    return time.time_ns() - time.clock_gettime_ns(time.CLOCK_MONOTONIC)
