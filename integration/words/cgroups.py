"""The cgroups of a machine's processes, and what the kernel enforces on them.

The host's cgroups that a machine lives in are in harness.cgroups."""

from __future__ import annotations

import contextlib

from integration.harness.machine import Machine
from integration.words.waiting import wait_for

OWN = "/system.slice/web.service"
"""The cgroup of web.service."""

CGROUP = "/sys/fs/cgroup/system.slice/web.service"

LIMITS = ("memory.max", "pids.max", "cpu.max")


def cgroup_of(machine: Machine, pid: str) -> str:
    """Return the cgroup of a process in the v2 hierarchy."""
    return machine.run(f"grep ^0:: /proc/{pid}/cgroup").removeprefix("0::")


def place(machine: Machine, pid: str) -> str:
    """Return the cgroup of a process in the hierarchy by which systemd knows its unit."""
    lines = machine.run(f"cat /proc/{pid}/cgroup").splitlines()
    found = {line.split(":", 2)[1]: line.split(":", 2)[2] for line in lines}
    return found[""] if machine.spec.hierarchy == "unified" else found["name=systemd"]


def places(machine: Machine, pid: str) -> dict[str, str]:
    """Return the cgroups of a process by controllers, "" and "name=systemd" among them."""
    fields = [line.split(":", 2) for line in machine.run(f"cat /proc/{pid}/cgroup").splitlines()]
    return {names: path for _, names, path in fields}


def controller(found: dict[str, str], name: str) -> str:
    """Return the cgroup in the hierarchy of one controller, out of places()."""
    return next(path for names, path in found.items() if name in names.split(","))


def owner_of(machine: Machine, process: str, expected: str) -> str:
    """Return "unit" or "engine": in whose cgroup a process is, given its PID or words for pgrep(1).

    Waits for the expected one, because systemd-docker moves a process after the engine has started it.
    """
    found = ""
    systemds = {"unified": ("",), "hybrid": ("", "name=systemd"), "legacy": ("name=systemd",)}[machine.spec.hierarchy]

    def is_there() -> bool:
        nonlocal found
        pid = process if process.isdecimal() else machine.attempt(f"pgrep {process}").stdout.strip()
        lines = machine.attempt(f"cat /proc/{pid or 0}/cgroup").stdout.splitlines()
        places = {line.split(":", 2)[1]: line.split(":", 2)[2] for line in lines}
        inside = {places[name].startswith("/system.slice/web.service") for name in systemds if name in places}
        found = {(True,): "unit", (False,): "engine", (): ""}.get(tuple(inside), "split")
        return found == expected

    with contextlib.suppress(TimeoutError):
        wait_for(machine, is_there, f"{process} to be in the {expected}'s cgroup", timeout_sec=15)
    return found


def limits(machine: Machine, cgroup: str) -> dict[str, str]:
    """Return what the kernel enforces on a cgroup, by attribute of LIMITS."""
    values = machine.run(f"cd /sys/fs/cgroup{cgroup}; cat {' '.join(LIMITS)}").splitlines()
    return dict(zip(LIMITS, values, strict=True))


def kinds(machine: Machine, directory: str = CGROUP) -> set[str]:
    """Return all values of cgroup.type below a directory; only "domain" has a memory controller."""
    return set(machine.run(f"find {directory} -name cgroup.type -exec cat {{}} +").splitlines())
