"""Each row of tables.faults: do what it says to a running unit, and compare what follows."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from integration.harness.machine import Machine, Spec, poll
from integration.harness.root import SUITES
from integration.inside import engine_proxy
from integration.tables.fault import FOUND, Fault, Found
from integration.tables.faults import EXITS, FAULTS, MEMORY_FAULTS, PROXY, VM_FAULTS
from integration.words.engine import set_live_restore

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = [pytest.mark.integration, pytest.mark.long]

LINES_BETWEEN = 10
"""The number of lines in the journal before a fault, and of further lines after it if the unit is still active."""


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_fault(machine: Machine, fault: Fault) -> None:
    prepare(machine, fault)
    try:
        strike(machine, fault)
    finally:
        machine.attempt(f"{{ {fault.after or ':'}; }} || true")


@pytest.mark.machines(Spec("trixie", hierarchy="hybrid"), Spec("bookworm", hierarchy="hybrid"))
@pytest.mark.parametrize("fault", MEMORY_FAULTS, ids=str)
def test_a_fault_of_memory(machine: Machine, fault: Fault) -> None:
    test_a_fault(machine, fault)


@pytest.mark.machines(Spec("trixie-vm"))
@pytest.mark.parametrize("fault", VM_FAULTS, ids=str)
def test_a_fault_of_memory_with_cgroup_v2(machine: Machine, fault: Fault) -> None:
    test_a_fault(machine, fault)


ENDS = """
[Service]
Type=notify
NotifyAccess=all
Slice=system.slice
ExecStart=/usr/local/bin/systemd-docker run --rm --name end-%i busybox:musl sh -c 'exit %i'
"""


@pytest.mark.parametrize("fault", EXITS, ids=str)
def test_an_exit(machine: Machine, fault: Fault) -> None:
    """The main process ends like the payload: with the same status, or by the same signal."""
    machine.install_unit("end@.service", ENDS)
    units = [f"end@{code}.service" for code in fault.exits]
    machine.run(f"systemctl start --wait {' '.join(units)} || true")

    seen = {state(machine, unit) for unit in units}
    left = machine.run("docker ps --all --quiet")
    found = Found(machine.spec.suite, fault, "; ".join(sorted(seen)), "left" if left else "gone", 0, 0)
    FOUND.append(found)

    wanted = "2 {signo}" if fault.state == "failed/signal" else "1 {code}"
    for code, unit in zip(fault.exits, units, strict=True):
        if fault.state.startswith("failed"):
            status = machine.run(f"systemctl show -P ExecMainCode -P ExecMainStatus {unit}").replace("\n", " ")
            assert status == wanted.format(code=code, signo=code - 128), unit
    machine.run("systemctl reset-failed 'end@*'")
    assert found.holds


def prepare(machine: Machine, fault: Fault) -> None:
    """Install the unit and set up the engine for a row; the unit is not started yet."""
    if fault.says:
        machine.expect_journal(fault.says)
    for pattern in fault.tolerates:
        machine.tolerate_journal(pattern)
    machine.copy(Path(engine_proxy.__file__), PROXY)
    machine.install_unit("web.service", fault.unit_file())
    # Rows that restart the engine must not reach its StartLimitBurst=.
    machine.run("systemctl reset-failed docker containerd")
    set_live_restore(machine, enabled=fault.live_restore)
    if fault.before:
        machine.run(fault.before)


def strike(machine: Machine, fault: Fault) -> None:
    """Start the unit, do what the row says, and compare the result with the row."""
    after = f"'--after-cursor={cursor(machine)}'"
    machine.run("systemctl start web")
    if fault.is_logged:
        poll(lambda: len(numbers(machine, after)) >= LINES_BETWEEN, what="the first lines")
    before = container(machine)
    do(machine, fault, before)
    wanted = (fault.state, fault.container)
    patience_sec = 180 if SUITES[machine.spec.suite].has_kernel else 30
    try:
        poll(
            lambda: (state(machine), change(before, container(machine))) == wanted,
            what=f"{wanted}",
            timeout_sec=patience_sec,
        )
        if fault.state.startswith("active"):
            go_on(machine, fault, after)
    finally:
        found = note(machine, fault, before, after)
    machine.attempt("systemctl reset-failed web || true; docker rm --force web")
    assert found.holds, f"{breaks(numbers(machine, after))} {numbers(machine, after)[:60]}"


def do(machine: Machine, fault: Fault, before: tuple[str, str]) -> None:
    if fault.reboot:
        machine.reboot(reset=fault.reboot == "reset")
        if fault.reboot == "clean":
            assert_the_unit_stopped_before_the_engine(machine)
    else:
        # The guard is younger.
        wrapper = min(map(int, wrappers(machine).split()))
        machine.run(f"WRAPPER={wrapper} LEADER={before[1]}; {fault.do}", timeout_sec=90)


def assert_the_unit_stopped_before_the_engine(machine: Machine) -> None:
    """Look into the journal of the previous boot."""
    said = machine.run("journalctl --boot=-1 --output=cat _PID=1").splitlines()
    stopped = [line for line in said if line.startswith(("Stopped web.service", "Stopping docker.service"))]
    assert [line.split()[1].rstrip(".") for line in stopped[-2:]] == ["web.service", "docker.service"]


def go_on(machine: Machine, fault: Fault, after: str) -> None:
    """Check that an active unit works: it writes lines, and its main process is the leader or systemd-docker."""
    if fault.is_logged:
        so_far = len(numbers(machine, after))
        poll(lambda: len(numbers(machine, after)) >= so_far + LINES_BETWEEN, what="more lines")
    assert machine.show("web", "MainPID") in (container(machine)[1], wrappers(machine))


def note(machine: Machine, fault: Fault, before: tuple[str, str], after: str) -> Found:
    """Stop the unit if it is active, and note the result for the table."""
    now = (state(machine), change(before, container(machine)))
    if now[0].startswith("active"):
        assert machine.run("systemctl stop web; systemctl show -P Result web") == "success"
    lost, repeated = gaps(numbers(machine, after))
    found = Found(SUITES[machine.spec.suite].release, fault, *now, lost, repeated)
    FOUND.append(found)
    return found


def cursor(machine: Machine) -> str:
    """Return the cursor of the end of the journal."""
    return machine.run("journalctl --sync; journalctl --lines=0 --show-cursor --quiet").removeprefix("-- cursor: ")


def state(machine: Machine, unit: str = "web.service") -> str:
    shown = machine.run(f"systemctl show -p ActiveState -p Result {unit}").splitlines()
    properties = dict(line.split("=", 1) for line in shown)
    return f"{properties['ActiveState']}/{properties['Result']}"


def container(machine: Machine) -> tuple[str, str]:
    """Return (id, leader) of the unit's container: leader "0" if it does not run, ("", "") without a container."""
    find = "docker ps --all --quiet --no-trunc --filter label=systemd-docker.unit=web.service"
    found = machine.attempt(f"docker inspect --format '{{{{.Id}}}} {{{{.State.Pid}}}}' $({find})").stdout.split()
    return (found[0], found[1]) if len(found) == 2 else ("", "")


def change(before: tuple[str, str], now: tuple[str, str]) -> str:
    if not now[0]:
        return "gone"
    if now[1] == "0":
        return "stopped"
    if now == before:
        return "same"
    return "restarted" if now[0] == before[0] else "new"


def wrappers(machine: Machine) -> str:
    """Return the PIDs of the unit that are not the container's."""
    unit = f"/sys/fs/cgroup/{'' if machine.spec.hierarchy == 'unified' else 'systemd/'}system.slice/web.service"
    return machine.run(f"cat {unit}/cgroup.procs {unit}/supervisor/cgroup.procs 2>/dev/null || true")


def numbers(machine: Machine, after: str) -> list[int]:
    """Return the numbers that the payload has written, from the journal."""
    machine.run("journalctl --sync")
    lines = machine.run(f"journalctl --unit=web --output=cat {after} SYSLOG_IDENTIFIER=web").splitlines()
    return [int(line) for line in lines if line.isdecimal()]


def breaks(lines: Sequence[int]) -> list[tuple[int, int]]:
    """Return the pairs of lines that are not consecutive numbers."""
    return [(one, other) for one, other in itertools.pairwise(lines) if other not in (1, one + 1)]


def gaps(lines: Sequence[int]) -> tuple[int, int]:
    """Return (missing numbers, repeated numbers); a 1 is another start."""
    lost = repeated = 0
    for one, other in itertools.pairwise(lines):
        if other != 1:
            lost += max(0, other - one - 1)
            repeated += max(0, one + 1 - other)
    return lost, repeated
