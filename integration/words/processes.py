"""Our own processes on a machine, among all others of their units."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from integration.harness.machine import Machine


def wrapper(machine: Machine, unit: str = "web.service", parent: str = "system.slice") -> str:
    """The PID of our process in a unit that is delegated; beside it there may be its guard, a shell."""
    return _children_of_systemd(machine, f"{parent}/{unit}", "! grep -qx sh")


def guard(machine: Machine, unit: str = "web.service") -> str:
    """The PID of the process that tells systemd if ours is killed, see service.notifications.guard; "" for none."""
    return _children_of_systemd(machine, f"system.slice/{unit}", "grep -qx sh")


def _children_of_systemd(machine: Machine, cgroup: str, judge: str) -> str:
    """What ours has started it may be starting just now: such a process still has its name."""
    procs = f"/sys/fs/cgroup/{cgroup}/supervisor/cgroup.procs"
    test = f"grep -q '^PPid:.1$' /proc/$pid/status && {judge} /proc/$pid/comm"
    return machine.run(f"for pid in $(cat {procs}); do if {test}; then echo $pid; fi; done")
