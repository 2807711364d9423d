"""The limits of cgroup v2 that the engine has set for a container: find, compare, carry over to another cgroup."""

from __future__ import annotations

import os

from systemd_docker.errors import AdoptionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from systemd_docker.kernel.cgroup import Cgroup

LIMITS = {
    "memory.max": "max", "memory.high": "max", "memory.low": "0", "memory.min": "0",
    "memory.swap.max": "max", "memory.swap.high": "max", "memory.zswap.max": "max", "memory.oom.group": "0",
    "cpu.max": "max 100000", "cpu.max.burst": "0", "cpu.weight": "100", "cpu.idle": "0",
    "cpuset.cpus": "", "cpuset.mems": "",
    "io.max": "", "io.weight": "default 100", "io.bfq.weight": "default 100", "io.latency": "",
    "pids.max": "max", "rdma.max": "",
}  # fmt: skip
"""Attributes that restrict or favour a cgroup, and what they read where they are not set; cgroup-v2.rst."""

CEILINGS = ("memory.max", "memory.high", "memory.swap.max", "pids.max")
"""Limits that are numbers, the lower the stricter."""

SETTINGS = {
    "memory.max": "MemoryMax=", "memory.high": "MemoryHigh=", "memory.low": "MemoryLow=", "memory.min": "MemoryMin=",
    "memory.swap.max": "MemorySwapMax=", "memory.zswap.max": "MemoryZSwapMax=",
    "cpu.max": "CPUQuota=", "cpu.weight": "CPUWeight=", "cpuset.cpus": "AllowedCPUs=",
    "cpuset.mems": "AllowedMemoryNodes=", "io.weight": "IOWeight=", "pids.max": "TasksMax=",
}  # fmt: skip
"""The settings of a unit that do the same; systemd.resource-control(5)."""

_HUGETLB_LIMITS = (".max", ".rsvd.max")
"""hugetlb.2MB.max and so on: the sizes depend on the machine."""


def levels(source: Cgroup, leader_cgroup: Cgroup) -> tuple[Cgroup, ...]:
    """Return source and every cgroup from there down to leader_cgroup, which is source or below it."""
    found = [source]
    for component in leader_cgroup.path[len(source.path) :].split("/")[1:]:
        found.append(found[-1].child(component))
    return tuple(found)


def carry_limits(sources: Iterable[Cgroup], target: Cgroup, unit_cgroup: Cgroup, *, delegated: bool) -> None:
    """Give target, below unit_cgroup, the limits of sources, each of which holds for the container.

    delegated: whether controllers may be enabled below unit_cgroup; where not, unit_cgroup has to be as strict.
    Raises AdoptionError.
    """
    limits: dict[str, str] = {}
    for attribute, value in (limit for source in sources for limit in _limits(source)):
        limits[attribute] = _stricter(attribute, limits.get(attribute, value), value)
    if not delegated:
        _check_as_strict(unit_cgroup, limits)
        return
    for controller in sorted({attribute.partition(".")[0] for attribute in limits}):
        unit_cgroup.write("cgroup.subtree_control", f"+{controller}")
    for attribute, value in limits.items():
        for line in value.splitlines():
            target.write(attribute, line)
        if target.read(attribute) != value:
            raise AdoptionError(f"cannot carry the container's {attribute} over: it reads '{target.read(attribute)}'")


def _limits(source: Cgroup) -> Iterator[tuple[str, str]]:
    """Yield (attribute, value) of each limit that is set."""
    for attribute in sorted(os.listdir(source.directory)):
        default = LIMITS.get(attribute)
        if attribute.startswith("hugetlb.") and attribute.endswith(_HUGETLB_LIMITS):
            default = "max"
        if default is not None and (value := source.read(attribute)) not in (default, ""):
            yield attribute, value


def _check_as_strict(unit_cgroup: Cgroup, limits: dict[str, str]) -> None:
    lost = {
        name: value
        for name, value in limits.items()
        if not _is_as_strict(name, _read_or_max(unit_cgroup, name), value)
    }
    if lost:
        shown = ", ".join(f"{name} '{value}'" for name, value in lost.items())
        settings = ", ".join(SETTINGS[name] for name in lost if name in SETTINGS)
        raise AdoptionError(
            f"the container would lose its limits {shown}: systemd has not delegated the unit's cgroup",
            hint=f"Set Delegate=yes in the unit, or as strict limits there{settings and ': '}{settings}.",
        )


def _read_or_max(cgroup: Cgroup, attribute: str) -> str:
    try:
        return cgroup.read(attribute)
    except FileNotFoundError:
        return "max"


def _is_as_strict(attribute: str, have: str, wanted: str) -> bool:
    if have == wanted:
        return True
    if attribute == "cpu.max":
        return _share(have) <= _share(wanted)
    return _are_ceilings(attribute, have, wanted) and int(have) <= int(wanted)


def _share(quota_and_period: str) -> float:
    """Return how many processors a cpu.max allows: "50000 100000" -> 0.5."""
    quota, _, period = quota_and_period.partition(" ")
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() else float("inf")


def _stricter(attribute: str, first: str, second: str) -> str:
    if first == second:
        return first
    if _are_ceilings(attribute, first, second):
        return min(first, second, key=int)
    raise AdoptionError(f"cannot carry the container's {attribute} over: it is both '{first}' and '{second}'")


def _are_ceilings(attribute: str, *values: str) -> bool:
    """Return whether the lower of these values is the stricter one."""
    return attribute in CEILINGS and all(value.isdecimal() for value in values)
