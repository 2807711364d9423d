"""The processes of a unit: the container's, systemd-docker's own, and its guard."""

from __future__ import annotations

from integration.harness.machine import Machine, poll

CGROUPS = "/sys/fs/cgroup/system.slice"


def leader(machine: Machine, container: str = "web") -> str:
    """Return the PID of a container's first process."""
    return machine.run(f"docker inspect --format '{{{{.State.Pid}}}}' {container}")


def running(machine: Machine, command: str) -> str:
    """Wait for a process with exactly this command line; return its PID."""
    return poll(lambda: machine.attempt(f"pgrep -x -f '{command}'").stdout.strip(), what=f"'{command}' to run")


def wrapper(machine: Machine, unit: str = "web.service", parent: str = "system.slice") -> str:
    """Return the PID of systemd-docker in a delegated unit; beside it there may be its guard, a shell."""
    return _children_of_systemd(machine, f"{parent}/{unit}", "! grep -qx sh")


def guard(machine: Machine, unit: str = "web.service") -> str:
    """Return the PID of the guard, which tells systemd if systemd-docker is killed; "" if there is none."""
    homes = f"{CGROUPS}/systemd-docker-guards.service/cgroup.procs {CGROUPS}/{unit}/supervisor/cgroup.procs"
    # Its environment names the unit's cgroup, where it speaks from, and its command line is its own.
    is_guard = "tr '\\0' '\\n' </proc/$pid/cmdline | head -n 1 | grep -qx systemd-docker-guard"
    is_units = f"tr '\\0' '\\n' </proc/$pid/environ | grep -q '^UNIT_PROCS=\\(.*/{unit}/.*\\|\\)$'"
    found = machine.run(
        f"for pid in $(cat {homes} 2>/dev/null); do if {is_guard} && {is_units}; then echo $pid; fi; done"
    )
    return found.strip()


def resting(machine: Machine) -> str:
    """Wait until the systemd-docker of web.service has executed itself again; return its PID."""
    pid = wrapper(machine)
    again = f"tr '\\0' '\\n' </proc/{pid}/environ | grep ^SYSTEMD_DOCKER_RESUME="
    # It handles signals once all its imports are done.
    ready = f"grep -q '^SigBlk:.0*$' /proc/{pid}/status && grep '^SigCgt:.*6...$' /proc/{pid}/status"
    poll(
        lambda: machine.attempt(f"{again} && {ready}").returncode == 0, what="systemd-docker to execute itself again"
    )
    return pid


def _children_of_systemd(machine: Machine, cgroup: str, judge: str) -> str:
    """List systemd's children in a cgroup: not systemd-docker's own, which for a moment have its name."""
    procs = f"/sys/fs/cgroup/{cgroup}/supervisor/cgroup.procs"
    test = f"grep -q '^PPid:.1$' /proc/$pid/status && {judge} /proc/$pid/comm"
    return machine.run(f"for pid in $(cat {procs}); do if {test}; then echo $pid; fi; done")
