"""Every row of the fault table, and what is no row: crash loops, phases of a start, order at boot and shutdown."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

import pytest

from integration.faults import FAULTS, FOUND, Fault, Found
from integration.machine import Machine, poll

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = [pytest.mark.integration, pytest.mark.long]

LINES_BETWEEN = 10
"""How many lines the journal has before a fault, and has to have more of where the unit goes on."""


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_fault(machine: Machine, fault: Fault) -> None:
    set_live_restore(machine, enabled=fault.live_restore)
    if fault.says:
        machine.expect_journal(fault.says)
    for pattern in fault.tolerates:
        machine.tolerate_journal(pattern)
    cursor = machine.run("journalctl --sync; journalctl --lines=0 --show-cursor --quiet")
    after = f"'--after-cursor={cursor.removeprefix('-- cursor: ')}'"
    machine.install_unit("web.service", fault.unit_file())
    # Rows that restart the engine must not reach its StartLimitBurst=.
    machine.run("systemctl reset-failed docker containerd")
    machine.run("systemctl start web")
    poll(lambda: len(numbers(machine, after)) >= LINES_BETWEEN, what="the first lines")
    before = container(machine)
    wrapper = machine.run("cat /sys/fs/cgroup/system.slice/web.service/supervisor/cgroup.procs").split()[0]

    machine.run(f"WRAPPER={wrapper} LEADER={before[1]}; {fault.do}", timeout_sec=90)

    wanted = (fault.state, fault.container)
    try:
        poll(lambda: (state(machine), change(before, container(machine))) == wanted, what=f"{wanted}", timeout_sec=15)
        if fault.state.startswith("active"):
            so_far = len(numbers(machine, after))
            poll(lambda: len(numbers(machine, after)) >= so_far + LINES_BETWEEN, what="more lines")
            assert machine.show("web", "MainPID") in (container(machine)[1], wrappers(machine))
            assert machine.run("systemctl stop web; systemctl show -P Result web") == "success"
    except BaseException:
        note(machine, fault, before, after, holds=False)
        raise
    lost, repeated = note(machine, fault, before, after, holds=True)
    machine.attempt("systemctl reset-failed web || true; docker rm web")
    assert (lost, repeated) == (0, 0), f"{breaks(numbers(machine, after))} {numbers(machine, after)[:60]}"


def note(machine: Machine, fault: Fault, before: tuple[str, str], after: str, *, holds: bool) -> tuple[int, int]:
    lost, repeated = gaps(numbers(machine, after))
    wanted = (fault.state, fault.container)
    found = wanted if holds else (state(machine), change(before, container(machine)))
    FOUND.append(Found(machine.spec.suite, fault, holds and not lost and not repeated, *found, lost, repeated))
    return lost, repeated


def set_live_restore(machine: Machine, *, enabled: bool) -> None:
    if machine.run("docker info --format '{{.LiveRestoreEnabled}}'") == json.dumps(enabled):
        return
    settings = json.loads(machine.run("cat /etc/docker/daemon.json")) | {"live-restore": enabled}
    machine.write("/etc/docker/daemon.json", json.dumps(settings))
    machine.run("systemctl reload docker")
    poll(
        lambda: machine.run("docker info --format '{{.LiveRestoreEnabled}}'") == json.dumps(enabled),
        what=f"live-restore to be {enabled}",
    )


def state(machine: Machine) -> str:
    shown = machine.run("systemctl show -p ActiveState -p Result web").splitlines()
    properties = dict(line.split("=", 1) for line in shown)
    return f"{properties['ActiveState']}/{properties['Result']}"


def container(machine: Machine) -> tuple[str, str]:
    """(id, leader) of the unit's container, leader "0" where it does not run; ("", "") where there is none."""
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
    return machine.run("cat /sys/fs/cgroup/system.slice/web.service/supervisor/cgroup.procs")


def numbers(machine: Machine, after: str) -> list[int]:
    """What the payload has written, as the journal has it."""
    machine.run("journalctl --sync")
    lines = machine.run(f"journalctl --unit=web --output=cat {after} SYSLOG_IDENTIFIER=web").splitlines()
    return [int(line) for line in lines if line.isdecimal()]


def breaks(lines: Sequence[int]) -> list[tuple[int, int]]:
    """Where the next line is not the next number."""
    return [(one, other) for one, other in itertools.pairwise(lines) if other not in (1, one + 1)]


def gaps(lines: Sequence[int]) -> tuple[int, int]:
    """(numbers that are missing, numbers that come twice); a 1 is another start."""
    lost = repeated = 0
    for one, other in itertools.pairwise(lines):
        if other != 1:
            lost += max(0, other - one - 1)
            repeated += max(0, one + 1 - other)
    return lost, repeated
