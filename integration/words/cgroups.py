"""Where processes are in the machine's cgroup hierarchies, and what holds for those cgroups."""

from __future__ import annotations

import contextlib

from integration.harness.machine import Machine
from integration.words.waiting import wait_for

OWN = "/system.slice/web.service"
"""The cgroup of web.service."""

CGROUP = "/sys/fs/cgroup/system.slice/web.service"

LIMITS = ("memory.max", "pids.max", "cpu.max")


def cgroup_of(machine: Machine, pid: str) -> str:
    return machine.run(f"grep ^0:: /proc/{pid}/cgroup").removeprefix("0::")


def place(machine: Machine, pid: str) -> str:
    """The cgroup of a process in systemd's hierarchy."""
    lines = machine.run(f"cat /proc/{pid}/cgroup").splitlines()
    found = {line.split(":", 2)[1]: line.split(":", 2)[2] for line in lines}
    return found[""] if machine.spec.hierarchy == "unified" else found["name=systemd"]


def places(machine: Machine, pid: str) -> dict[str, str]:
    """By controllers, "" and "name=systemd" among them."""
    fields = [line.split(":", 2) for line in machine.run(f"cat /proc/{pid}/cgroup").splitlines()]
    return {names: path for _, names, path in fields}


def controller(found: dict[str, str], name: str) -> str:
    return next(path for names, path in found.items() if name in names.split(","))


def whose(machine: Machine, who: str, expected: str) -> str:
    """ "unit" or "engine", for a PID or pgrep's words; somebody who is to be moved gets the time for it."""
    found = ""
    systemds = {"unified": ("",), "hybrid": ("", "name=systemd"), "legacy": ("name=systemd",)}[machine.spec.hierarchy]

    def is_there() -> bool:
        nonlocal found
        pid = who if who.isdecimal() else machine.attempt(f"pgrep {who}").stdout.strip()
        lines = machine.attempt(f"cat /proc/{pid or 0}/cgroup").stdout.splitlines()
        places = {line.split(":", 2)[1]: line.split(":", 2)[2] for line in lines}
        inside = {places[name].startswith("/system.slice/web.service") for name in systemds if name in places}
        found = {(True,): "unit", (False,): "engine", (): ""}.get(tuple(inside), "split")
        return found == expected

    with contextlib.suppress(TimeoutError):
        wait_for(machine, is_there, f"{who} to be in the {expected}'s cgroup", timeout_sec=15)
    return found


def limits(machine: Machine, cgroup: str) -> dict[str, str]:
    """What the kernel enforces on a cgroup; an attribute that is not there has no controller."""
    values = machine.run(f"cd /sys/fs/cgroup{cgroup}; cat {' '.join(LIMITS)}").splitlines()
    return dict(zip(LIMITS, values, strict=True))


def kinds(machine: Machine, directory: str = CGROUP) -> set[str]:
    """cgroup.type of all that is below the unit: "threaded" and "domain invalid" have no memory controller."""
    return set(machine.run(f"find {directory} -name cgroup.type -exec cat {{}} +").splitlines())
