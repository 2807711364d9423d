"""Our own processes on a machine, among all others of their units."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from integration.machine import Machine


def wrapper(machine: Machine, unit: str = "web.service", parent: str = "system.slice") -> str:
    """The PID of our process in a unit that is delegated; beside it there may be its guard, a shell."""
    return _pids(machine, f"{parent}/{unit}", "grep -qx sh /proc/$pid/comm || echo $pid")


def guard(machine: Machine, unit: str = "web.service") -> str:
    """The PID of the process that tells systemd if ours is killed, see systemd_docker.service.guard; "" for none."""
    return _pids(machine, f"system.slice/{unit}", "! grep -qx sh /proc/$pid/comm || echo $pid")


def _pids(machine: Machine, cgroup: str, judge: str) -> str:
    return machine.run(f"for pid in $(cat /sys/fs/cgroup/{cgroup}/supervisor/cgroup.procs); do {judge}; done")
