"""The processes of a unit: the container's, systemd-docker's own, and its guard."""

from __future__ import annotations

from integration.harness.machine import Machine, poll


def leader(machine: Machine, container: str = "web") -> str:
    return machine.run(f"docker inspect --format '{{{{.State.Pid}}}}' {container}")


def running(machine: Machine, command: str) -> str:
    """The PID of the process whose command line is just that, as soon as there is one."""
    return poll(lambda: machine.attempt(f"pgrep -x -f '{command}'").stdout.strip(), what=f"'{command}' to run")


def wrapper(machine: Machine, unit: str = "web.service", parent: str = "system.slice") -> str:
    """The PID of our process in a unit that is delegated; beside it there may be its guard, a shell."""
    return _children_of_systemd(machine, f"{parent}/{unit}", "! grep -qx sh")


def guard(machine: Machine, unit: str = "web.service") -> str:
    """The PID of the process that tells systemd if ours is killed, see service.notifications.guard; "" for none."""
    return _children_of_systemd(machine, f"system.slice/{unit}", "grep -qx sh")


def resting(machine: Machine) -> str:
    """The PID of web.service's wrapper once it rests: it has executed itself again, see service.supervise.reexec."""
    pid = wrapper(machine)
    again = f"tr '\\0' '\\n' </proc/{pid}/environ | grep ^SYSTEMD_DOCKER_RESUME="
    # It catches its signals once everything that it needs is imported.
    ready = f"grep -q '^SigBlk:.0*$' /proc/{pid}/status && grep '^SigCgt:.*6...$' /proc/{pid}/status"
    poll(lambda: machine.attempt(f"{again} && {ready}").returncode == 0, what="the wrapper to rest")
    return pid


def _children_of_systemd(machine: Machine, cgroup: str, judge: str) -> str:
    """What ours has started it may be starting just now: such a process still has its name."""
    procs = f"/sys/fs/cgroup/{cgroup}/supervisor/cgroup.procs"
    test = f"grep -q '^PPid:.1$' /proc/$pid/status && {judge} /proc/$pid/comm"
    return machine.run(f"for pid in $(cat {procs}); do if {test}; then echo $pid; fi; done")
