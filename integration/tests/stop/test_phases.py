"""`systemctl stop` at each phase of a start, and with an engine that hangs: in time, and nothing remains."""

from __future__ import annotations

import shlex
import time
from pathlib import Path

import pytest

from integration.harness.machine import Machine, poll
from integration.words.engine import FREEZE, THAW
from integration.words.processes import leader, wrapper
from integration.words.units import IGNORES, TRAP, unit
from integration.words.waiting import wait_until

pytestmark = pytest.mark.integration

TIMEOUT_STOP_SEC = 8

SOON_SEC = 4
"""For a stop that has nothing to wait for, on a busy machine."""

BEHIND_THE_GATE = ("Environment=DOCKER_HOST=unix:///run/gate/sock", f"TimeoutStopSec={TIMEOUT_STOP_SEC}")

NOT_REMOVED = r"cannot remove container \S+: timed out after \d+ s waiting for the engine"


GATE_UNIT = """
[Service]
Type=notify
RuntimeDirectory=gate
ExecStart=/usr/bin/python3 /srv/gate.py /run/gate/sock /run/docker.sock /run/gate
[Install]
WantedBy=multi-user.target
"""


@pytest.fixture(scope="module", autouse=True)
def gate(machine: Machine) -> None:
    """Run inside.gate, a proxy of the engine's socket at /run/gate/sock that can be shut.

    An enabled unit, because a test that fails resets the machine.
    """
    machine.copy(Path(__file__).parents[2] / "inside/gate.py", "/srv/gate.py")
    machine.write("/etc/systemd/system/gate.service", GATE_UNIT)
    machine.run("systemctl daemon-reload; systemctl enable --now gate")


def start_until_held(machine: Machine, shut: str, text: str) -> None:
    """Start web.service; return when a request is held at the gate."""
    machine.run(f"rm -f /run/gate/held; echo {shlex.quote(shut)} >/run/gate/shut")
    machine.install_unit("web.service", text)
    machine.run("systemctl start --no-block web")
    poll(lambda: machine.attempt("test -s /run/gate/held").returncode == 0, what="a request to be held")


def stop(machine: Machine) -> float:
    """Stop web.service; return the seconds that it took."""
    begin = time.monotonic()
    machine.run("systemctl stop web")
    return time.monotonic() - begin


def open_gate(machine: Machine) -> None:
    machine.run("rm /run/gate/shut")


def containers(machine: Machine) -> str:
    return machine.run("docker ps --all --format '{{.Names}} {{.State}}'")


HELD = [
    # where the start hangs, what the gate holds, how long a stop may take
    ("at the engine's description", "request GET /info", SOON_SEC),
    ("before the search for leftovers", "request GET .*/containers/json", SOON_SEC),
    ("before it is created", "request POST .*/containers/create", TIMEOUT_STOP_SEC),
    ("when it is created", "answer POST .*/containers/create", TIMEOUT_STOP_SEC),
    ("before output is attached", "request POST .*/attach", SOON_SEC),
    ("before its end is waited for", "answer POST .*/wait", SOON_SEC),
    ("before it is started", "request POST .*/start", SOON_SEC),
]


@pytest.mark.parametrize(("shut", "limit_sec"), [row[1:] for row in HELD], ids=[row[0] for row in HELD])
def test_a_start_that_is_stopped_leaves_nothing(machine: Machine, shut: str, limit_sec: float) -> None:
    start_until_held(machine, shut, unit(TRAP, service=BEHIND_THE_GATE))

    assert stop(machine) < limit_sec

    assert machine.show("web", "Result") == "success"
    open_gate(machine)
    assert containers(machine) == ""


def test_what_the_engine_is_creating_when_the_start_is_stopped_is_not_left(machine: Machine) -> None:
    """The engine has the request, but has not made the container yet and does not know it."""
    start_until_held(machine, "request POST .*/containers/create", unit(TRAP, service=BEHIND_THE_GATE))
    machine.run(FREEZE)
    open_gate(machine)

    machine.run(f"systemctl stop --no-block web; {THAW}")

    wait_until(machine, "web", "inactive")
    assert machine.show("web", "Result") == "success"
    assert containers(machine) == ""


SWEEP = """
for behind_ms in $(seq 0 4 640); do
    systemctl start --no-block web
    sleep "$(printf 0.%03d "$behind_ms")"
    systemctl stop web
    found="$(systemctl show --property=Result --value web) $(docker ps --all --format '{{.State}}')"
    [ "$found" = 'success ' ] || echo "$behind_ms ms: $found"
done
"""


@pytest.mark.long
@pytest.mark.parametrize("volumes", [1, 30], ids=["quickly", "slowly"])
def test_a_start_is_stopped_at_any_moment(machine: Machine, volumes: int) -> None:
    """slowly: with volumes, so that the engine takes longer to create the container."""
    options = f"--rm --init --name web {' '.join(f'--volume /{number}' for number in range(volumes))}"
    machine.install_unit("web.service", unit("exec sleep 60", options=options))

    assert machine.run(SWEEP, timeout_sec=280) == ""


def test_a_pull_that_is_stopped_leaves_nothing(machine: Machine) -> None:
    text = unit(TRAP, service=BEHIND_THE_GATE).replace("busybox:musl", "registry.invalid/none:1")
    start_until_held(machine, "request POST .*/images/create", text)

    assert stop(machine) < SOON_SEC

    assert machine.show("web", "Result") == "success"
    open_gate(machine)


STARTED = [
    ("when it is started", "answer POST .*/start"),
    ("while it is adopted", "answer GET .*/containers/[0-9a-f]{64}/json"),
]


@pytest.mark.parametrize("shut", [shut for _, shut in STARTED], ids=[name for name, _ in STARTED])
@pytest.mark.parametrize("command", [TRAP, IGNORES], ids=["obeys", "ignores"])
def test_a_payload_that_has_started_is_stopped(machine: Machine, shut: str, command: str) -> None:
    start_until_held(machine, shut, unit(command, service=BEHIND_THE_GATE))

    assert stop(machine) < TIMEOUT_STOP_SEC

    assert machine.show("web", "Result") == "success"
    open_gate(machine)
    assert containers(machine) == ""


def test_what_an_engine_that_hangs_keeps_the_next_start_removes(machine: Machine) -> None:
    start_until_held(machine, "request (POST .*/start|DELETE)", unit(TRAP, service=BEHIND_THE_GATE))
    machine.expect_journal(NOT_REMOVED)

    assert stop(machine) < TIMEOUT_STOP_SEC

    assert machine.show("web", "Result") == "success"
    open_gate(machine)
    assert containers(machine) == "web created"
    machine.run("systemctl start web")
    assert containers(machine) == "web running"


def test_a_unit_that_is_not_ready_yet_is_stopped(machine: Machine) -> None:
    machine.install_unit("web.service", unit(TRAP, own="--sdnotify=container"))
    machine.run("systemctl start --no-block web")
    poll(lambda: machine.attempt("docker exec web true").returncode == 0, what="the payload")
    assert machine.show("web", "ActiveState") == "activating"

    assert stop(machine) < SOON_SEC

    assert machine.show("web", "Result") == "success"


def test_a_second_signal_to_stop_is_the_end(machine: Machine) -> None:
    machine.install_unit("web.service", unit(IGNORES, options="--rm --name web --stop-timeout 60"))
    machine.run("systemctl start web")
    pid = wrapper(machine)
    machine.run("systemctl stop --no-block web")
    poll(lambda: machine.show("web", "ActiveState") == "deactivating", what="the stop to begin")

    machine.run(f"kill -TERM {pid}")

    wait_until(machine, "web", "inactive")
    assert machine.show("web", "Result") == "success"


@pytest.mark.parametrize("kill_mode", ["control-group", "mixed"])
@pytest.mark.parametrize("command", [TRAP, IGNORES], ids=["obeys", "ignores"])
def test_with_a_frozen_engine_the_payload_ends_in_time(machine: Machine, kill_mode: str, command: str) -> None:
    service = (f"TimeoutStopSec={TIMEOUT_STOP_SEC}", f"KillMode={kill_mode}")
    machine.install_unit("web.service", unit(command, service=service))
    machine.run("systemctl start web")
    machine.expect_journal("no exit status for container 'web' from the engine, assuming signal 15")
    before = leader(machine)
    machine.run(FREEZE)

    try:
        assert stop(machine) < TIMEOUT_STOP_SEC
        assert machine.attempt(f"test -d /proc/{before}").returncode != 0
        assert machine.show("web", "Result") == "success"
    finally:
        machine.run(THAW)

    machine.run("systemctl start web")
    assert containers(machine) == "web running"
    assert leader(machine) == machine.show("web", "MainPID") or kill_mode == "mixed"


def test_an_engine_that_freezes_before_the_removal_is_not_waited_for(machine: Machine) -> None:
    service = (*BEHIND_THE_GATE, "ExecStopPost=rm -f /run/gate/shut")
    machine.install_unit("web.service", unit(TRAP, service=service))
    machine.run("rm -f /run/gate/held; echo 'request DELETE' >/run/gate/shut; systemctl start web")
    machine.expect_journal(NOT_REMOVED)

    assert stop(machine) < TIMEOUT_STOP_SEC

    assert machine.show("web", "Result") == "success"
    assert containers(machine) == "web exited"
    machine.run("docker rm web")
