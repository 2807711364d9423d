"""Measure one cell of the adoption matrix, for the tests of several modules. tables.matrix has the expected cells."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from integration.harness.machine import Machine
from integration.tables.matrix import CELLS, FOUND, REFUSED, UNDELEGATED, UNMEASURED, Holds
from integration.words.cgroups import owner_of, place
from integration.words.journal import chosen, records
from integration.words.processes import leader
from integration.words.units import unit
from integration.words.waiting import wait_for

CONTAINER = (
    "--rm --name web --stop-timeout {stop_sec} --health-cmd 'sleep {health_sec}' --health-interval 1s"
    " --health-timeout 120s --volume /run/systemd/journal/dev-log:/dev/log"
)

PAYLOAD = (
    "sleep 1111 & trap '(echo hello; sleep {write_sec}) | logger -t marked' HUP; trap 'exit 7' TERM;"
    " while true; do sleep 60 & wait $!; done"
)


def examine(machine: Machine, words: str) -> None:
    """Start a unit, measure what holds of its container, note that for the table, and compare it with the cell."""
    expected = CELLS[machine.spec, words]
    delegation, own = ((words,), "") if words == UNDELEGATED else ((), words)
    slow = machine.slowness
    options = CONTAINER.format(stop_sec=5 * slow, health_sec=2 * slow)
    service = (f"TimeoutStartSec={30 * slow}", *delegation)
    text = unit(PAYLOAD.format(write_sec=0.5 * slow), own=own, options=options, service=service)
    machine.install_unit("web.service", text)

    found = refused(machine) if expected == REFUSED else adopted(machine, expected)

    FOUND[machine.spec, words] = found
    assert found == expected


def refused(machine: Machine) -> Holds:
    machine.expect_journal("docker exec fails once processes were moved|puts containers into slices only")
    start = machine.attempt("systemctl start web")
    is_refused = start.returncode != 0 and machine.show("web", "ExecMainStatus") == "125"
    machine.run("systemctl reset-failed web")
    return REFUSED if is_refused and machine.run("docker ps --all --quiet") == "" else replace(REFUSED, way="")


def adopted(machine: Machine, expected: Holds) -> Holds:
    machine.run("systemctl start web")
    pid, container = leader(machine), machine.run("docker inspect --format '{{.Id}}' web")
    machine.run("docker exec --detach web sleep 2222")
    holds = Holds(
        way=chosen(machine),
        leader=owner_of(machine, pid, expected.leader),
        children=owner_of(machine, "-x -f 'sleep 1111'", expected.children),
        execs=owner_of(machine, "-x -f 'sleep 2222'", expected.execs),
        health=owner_of(machine, f"-o -x -f 'sleep {2 * machine.slowness}'", expected.health),
        top=top(machine),
        stats=stats(machine, pid),
        pause=pause(machine, pid),
        update=update(machine, pid),
        journal=journal_unit(machine),
    )
    health = "docker inspect --format '{{.State.Health.Status}}' web"
    wait_for(machine, lambda: machine.run(health) == "healthy", "the healthcheck")
    machine.run("docker stop web")
    wait_for(machine, lambda: machine.show("web", "ActiveState") == "failed", "web.service to end")
    status = machine.show("web", "ExecMainStatus")
    machine.run("systemctl reset-failed web")
    names = f"-path '*{container}*' -o -name web.service"
    left = machine.run(f"docker ps --all --quiet; find /sys/fs/cgroup -type d '(' {names} ')'")
    return replace(holds, status=status, left=left or "nothing")


def top(machine: Machine) -> str:
    shown = machine.attempt("docker top web")
    return "fails" if shown.returncode else "works" if "sleep 1111" in shown.stdout else "nothing"


def stats(machine: Machine, pid: str) -> str:
    """Whether the engine knows how many processes there are; no engine counts anything without controllers."""
    shown = machine.attempt("docker stats --no-stream --format '{{.PIDs}}' web")
    if shown.returncode:
        return "fails"
    if not controller(machine, pid, "pids"):
        return UNMEASURED
    return "nothing" if shown.stdout.strip() in ("", "0", "--") else "works"


def pause(machine: Machine, pid: str) -> str:
    if machine.attempt("docker pause web").returncode:
        return "fails"
    if machine.spec.hierarchy == "unified":
        is_frozen = f"grep -x 'frozen 1' '/sys/fs/cgroup{place(machine, pid)}/cgroup.events'"
    else:
        is_frozen = f"grep -x FROZEN '{controller(machine, pid, 'freezer')}/freezer.state'"
    found = "nothing"
    with contextlib.suppress(TimeoutError):
        wait_for(machine, lambda: machine.attempt(is_frozen).returncode == 0, "the payload to freeze", timeout_sec=5)
        found = "works"
    machine.run("docker unpause web")
    wait_for(machine, lambda: machine.attempt(is_frozen).returncode != 0, "the payload to thaw")
    return found


def update(machine: Machine, pid: str) -> str:
    if machine.attempt("docker update --cpu-shares 512 web").returncode:
        return "fails"
    if not (directory := controller(machine, pid, "cpu")):
        return UNMEASURED
    # The same share on v2 and v1: runc translates one into the other.
    attribute, wanted = ("cpu.weight", "20") if machine.spec.hierarchy == "unified" else ("cpu.shares", "512")
    return "works" if machine.attempt(f"cat '{directory}/{attribute}'").stdout.strip() == wanted else "nothing"


def controller(machine: Machine, pid: str, name: str) -> str:
    """Return the directory of a process's cgroup in the hierarchy with this controller, "" if there is none."""
    if machine.spec.hierarchy == "unified":
        has = name in machine.run("cat /sys/fs/cgroup/cgroup.controllers").split()
        return f"/sys/fs/cgroup{place(machine, pid)}" if has else ""
    lines = machine.run(f"cat /proc/{pid}/cgroup").splitlines()
    for _, names, path in (line.split(":", 2) for line in lines):
        if name in names.split(","):
            return f"/sys/fs/cgroup/{names}{path}"
    return ""


def journal_unit(machine: Machine) -> str:
    """Return "unit" if journald attributes a line of the payload's own to web.service, else the other unit."""
    machine.run("docker kill --signal=HUP web")
    seen = wait_for(machine, lambda: records(machine, "marked"), "the line")
    name = seen[0].get("_SYSTEMD_UNIT", "")
    return "unit" if name == "web.service" else name
