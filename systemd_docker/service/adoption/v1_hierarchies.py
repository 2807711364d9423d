"""The v1 hierarchies that `--cgroups` names: find them, and check that a container loses nothing by moving in them.

With v1 each hierarchy is a tree of its own. systemd makes a cgroup for a unit only in those that a setting of the
unit needs (CPUQuota=, MemoryMax=, accounting); in every other the unit's processes are in a slice's cgroup, or in the
root. So the unit's place in a hierarchy is where systemd-docker is, and the container's processes move there, as they
did with the Go tool: no cgroup is made, and none has to be removed.

What the engine enforces stays behind with its cgroup. So the container is never moved out of the device rules, nor in
any other hierarchy in which a limit is set. docker has options for all limits, and units have settings for most.
"""

from __future__ import annotations

import os

from systemd_docker import log
from systemd_docker.errors import AdoptionError
from systemd_docker.kernel import cgroup, mountinfo
from systemd_docker.kernel.cgroup import Cgroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ALL = "all"

DEVICES = "devices"

LIMITS = {
    "memory.oom_control": "oom_kill_disable 0",
    "cpu.cfs_quota_us": "-1", "cpu.cfs_burst_us": "0", "cpu.rt_runtime_us": "0",
    "cpu.shares": "1024", "cpu.idle": "0", "cpu.uclamp.min": "0.00", "cpu.uclamp.max": "max",
    "blkio.weight": "500", "blkio.weight_device": "",
    "blkio.bfq.weight": "100", "blkio.bfq.weight_device": "default 100",
    "blkio.throttle.read_bps_device": "", "blkio.throttle.write_bps_device": "",
    "blkio.throttle.read_iops_device": "", "blkio.throttle.write_iops_device": "",
    "pids.max": "max", "rdma.max": "", "net_cls.classid": "0", "freezer.state": "THAWED",
}  # fmt: skip
"""Attributes that restrict or favour a cgroup, and what they read where they are not set; cgroup-v1/ in the
kernel's Documentation/admin-guide/. A process that is moved out of a frozen cgroup runs on."""

INHERITED = ("cpuset.cpus", "cpuset.mems", "memory.swappiness", "net_prio.ifpriomap")
"""Attributes that a new cgroup, or runc for it, takes from the one above."""

BYTES = "limit_in_bytes"
"""How limits of memory and of huge pages end, whatever they limit and whichever sizes of pages there are."""

UNLIMITED_BYTES = 1 << 62
"""No limit is as high. One that is not set reads LONG_MAX, rounded down to whole pages."""


def check(names: Sequence[str], proc: str = "/proc") -> None:
    """Fail before there is a container where one of these hierarchies is not mounted, or not writable.

    Raises AdoptionError.
    """
    here = _cgroups("self", proc)
    for controllers in named(names, tuple(here)):
        directory = here[controllers].directory
        if not os.access(f"{directory}/cgroup.procs", os.W_OK):
            raise AdoptionError(
                f"cannot move the container's processes: '{directory}' is not writable",
                hint=f"Leave {controllers} out of --cgroups, or ProtectControlGroups=yes out of the unit.",
            )
    if any(DEVICES in name.split(",") for name in names):
        log.warning("--cgroups=devices is not followed: the container stays where the engine's device rules are")


def named(names: Sequence[str], mounted: Sequence[str]) -> tuple[str, ...]:
    """Return those of mounted that are named, without the one with the device rules.

    names: "all", "cpu", "cpu,cpuacct" in either order. mounted: as in /proc/PID/cgroup, e.g. ("cpu,cpuacct", "pids").
    Raises AdoptionError where a name is no mounted hierarchy's.
    """
    wanted = {name for word in names for name in word.split(",")}
    known = {name for controllers in mounted for name in controllers.split(",")}
    if unknown := wanted - known - {ALL}:
        raise AdoptionError(
            f"--cgroups={min(unknown)}: no such hierarchy of cgroup v1 is mounted",
            hint=f"There are {', '.join(sorted(known))}, and {ALL} for each of them.",
        )
    movable = [controllers for controllers in mounted if DEVICES not in controllers.split(",")]
    return tuple(controllers for controllers in movable if ALL in wanted or wanted & set(controllers.split(",")))


def places(names: Sequence[str], unit_cgroup: Cgroup, leader: int, proc: str = "/proc") -> tuple[Cgroup, ...]:
    """Return the unit's place in each of these hierarchies, for a container that loses nothing by moving there.

    unit_cgroup: in systemd's hierarchy. leader: the container's first process, which has not been moved yet.
    Raises AdoptionError where it would lose something; OSError: ENOENT, ESRCH, the leader is gone.
    """
    here, there = _cgroups("self", proc), _cgroups(leader, proc)
    chosen = named(names, tuple(here))
    found = {controllers: _unit_place(here[controllers], unit_cgroup) for controllers in chosen}
    for controllers, place in found.items():
        _check_unlimited(controllers, there[controllers], place)
    return tuple(found.values())


def _cgroups(pid: int | str, proc: str) -> Mapping[str, Cgroup]:
    return cgroup.v1_cgroups(mountinfo.read(proc=proc), cgroup.read_proc_cgroup(pid, proc))


def _unit_place(here: Cgroup, unit_cgroup: Cgroup) -> Cgroup:
    """Return systemd-docker's cgroup, or the unit's where it is below that, with DelegateSubgroup= for example."""
    return Cgroup(here.mount, unit_cgroup.path) if unit_cgroup.contains(here.path) else here


def _check_unlimited(controllers: str, source: Cgroup, place: Cgroup) -> None:
    lost = dict(_lost(source, place))
    if lost:
        shown = ", ".join(f"{name} '{value}'" for name, value in lost.items())
        raise AdoptionError(
            f"the container would lose its limits {shown}: they stay behind in the hierarchy {controllers}",
            hint=f"Leave {controllers} out of --cgroups, or limit the unit instead of the container.",
        )


def _lost(source: Cgroup, place: Cgroup) -> Iterator[tuple[str, str]]:
    """Yield (attribute, value) of what is set in source, or above it and not above place, and differs in place."""
    for name in INHERITED:
        if _has(source, name) and (value := source.read(name)) != place.read(name):
            yield name, value
    level = source
    while not level.contains(place.path):
        for name in sorted(os.listdir(level.directory)):
            if (name in LIMITS or name.endswith(BYTES)) and not _is_default(name, value := level.read(name)):
                yield name, value
        level = Cgroup(level.mount, os.path.dirname(level.path))


def _has(source: Cgroup, attribute: str) -> bool:
    return os.path.exists(f"{source.directory}/{attribute}")


def _is_default(attribute: str, value: str) -> bool:
    if attribute.endswith(BYTES):
        return int(value) >= UNLIMITED_BYTES
    if attribute == "memory.oom_control":
        # Lines about what has happened follow.
        return value.startswith(LIMITS[attribute])
    if attribute == "rdma.max":
        # "mlx4_0 hca_handle=max hca_object=max" for each device there is.
        return "=" not in value.replace("=max", "")
    return value in (LIMITS[attribute], "")
