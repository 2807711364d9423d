"""Taking a running container's processes over into the unit, with everything the engine enforces on them.

Only where the engine cannot create them there. With cgroup v2 the device filter (an eBPF program) and every limit are
the engine's cgroup's: who merely leaves it can open any device of the host. So the order is: freeze; attach the same
programs and write the same limits where the processes are going; move, until nobody is left; prove it; thaw. While
that lasts nothing of the payload runs, so it cannot outrun us, and a failure at any step leaves it with what it had.

With v1 each hierarchy is on its own: systemd's, which enforces nothing, is left for the unit's, and others where
--cgroups names them and nothing is lost, see service.adoption.v1_hierarchies. Devices and limits stay
where the engine made them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time

from systemd_docker.errors import AdoptionError
from systemd_docker.kernel import cgroup
from systemd_docker.kernel.cgroup import Cgroup
from systemd_docker.kernel.pidfd import NO_FD, hold, is_dead
from systemd_docker.plan.adoption import PAYLOAD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from systemd_docker.kernel.cgroup import Hierarchies
    from systemd_docker.unit import UnitContext

MOVE_TIMEOUT_SEC = 5
"""From freezing to thawing; 1000 processes took 0.1 s. A process in an uninterruptible sleep does not freeze."""

CONTAINER_ID_LENGTH = 64
"""Hex digits: nothing shorter is proof that a cgroup is the container's."""

NO_PID = 2**31 - 1
"""Nobody's: above the kernel's pid_max. A 0 in cgroup.procs is a process that we cannot name; to write it would move
ourselves."""

LIMITS = {
    "memory.max": "max", "memory.high": "max", "memory.low": "0", "memory.min": "0",
    "memory.swap.max": "max", "memory.swap.high": "max", "memory.zswap.max": "max", "memory.oom.group": "0",
    "cpu.max": "max 100000", "cpu.max.burst": "0", "cpu.weight": "100", "cpu.idle": "0",
    "cpuset.cpus": "", "cpuset.mems": "",
    "io.max": "", "io.weight": "default 100", "io.bfq.weight": "default 100", "io.latency": "",
    "pids.max": "max", "rdma.max": "",
}  # fmt: skip
"""Attributes that restrict or favour a cgroup, and what they read where nobody has set them; cgroup-v2.rst."""

CEILINGS = ("memory.max", "memory.high", "memory.swap.max", "pids.max")
"""Limits that are numbers, the lower the stricter."""

SETTINGS = {
    "memory.max": "MemoryMax=", "memory.high": "MemoryHigh=", "memory.low": "MemoryLow=", "memory.min": "MemoryMin=",
    "memory.swap.max": "MemorySwapMax=", "memory.zswap.max": "MemoryZSwapMax=",
    "cpu.max": "CPUQuota=", "cpu.weight": "CPUWeight=", "cpuset.cpus": "AllowedCPUs=",
    "cpuset.mems": "AllowedMemoryNodes=", "io.weight": "IOWeight=", "pids.max": "TasksMax=",
}  # fmt: skip
"""A unit's own words for them; systemd.resource-control(5)."""

_HUGETLB_LIMITS = (".max", ".rsvd.max")
"""hugetlb.2MB.max and so on: which sizes there are is the machine's affair."""


def check(unit: UnitContext, cgroups: Sequence[str] = ()) -> None:
    """Fail before there is a container where its processes could not be moved. Raises AdoptionError.

    cgroups: as in AdoptionPlan.
    A system call filter that kills does so here, too: a unit that dies now leaves nothing.
    """
    assert unit.cgroup is not None
    if not os.access(f"{unit.cgroup.directory}/cgroup.procs", os.W_OK):
        raise AdoptionError(
            f"cannot move the container's processes: '{unit.cgroup.directory}' is not writable",
            hint="Only root can, and only without ProtectControlGroups=yes.",
        )
    if unit.unified and not unit.is_user:
        with _explained("cannot read the device filter of a cgroup"):
            _device_programs(unit.cgroup)
    if cgroups:
        # Few name any.
        from systemd_docker.service.adoption import v1_hierarchies

        v1_hierarchies.check(cgroups)


def take_over(
    unit: UnitContext, container_id: str, leader: int, cgroups: Sequence[str] = (), *, delegated: bool
) -> tuple[str, ...]:
    """Move the container's processes into the unit; nothing to do where the leader, its first process, has ended.

    cgroups:   as in AdoptionPlan.
    delegated: whether limits can be written below the unit's cgroup, and nobody is in it.
    (mount, from, to), cgroups of which the first is where others may come to later: see service.strays. () for none.
    Raises AdoptionError; the container has to go then.
    """
    assert unit.cgroup is not None
    try:
        with _explained(f"cannot move the container's processes into {unit.name}"):
            hierarchies = cgroup.read_hierarchies()
            of = hierarchies.of_service(cgroup.read_proc_cgroup(leader))
            if unit.cgroup.contains(of.path):
                # It was created there, or moved there and runs on, by an earlier start of this unit.
                return ()
            source = container_cgroup(of, container_id)
            if hierarchies.is_unified:
                # A rootless engine has no right to filter devices: its containers are kept from them as its user is.
                has_filter = not unit.is_user
                target = _take_over_unified(source, of, unit.cgroup, delegated=delegated, has_filter=has_filter)
                return source.mount, source.path, target.path
            _take_over_v1(source, unit.cgroup, hierarchies, _places(cgroups, unit.cgroup, leader))
    except AdoptionError:
        if not _has_ended(leader):
            raise
    return ()


def container_cgroup(of: Cgroup, container_id: str) -> Cgroup:
    """The container's own cgroup, which of, its leader's, is or is below: the one that is named for the container.

    Whoever is in there is the container's, and nobody else is: not the engine, not another container, not the unit.
    Raises AdoptionError where there is none.
    """
    components = of.path.split("/")
    for index, component in enumerate(components):
        if len(container_id) == CONTAINER_ID_LENGTH and container_id in component:
            return Cgroup(of.mount, "/".join(components[: index + 1]))
    raise AdoptionError(
        f"cannot move processes out of the cgroup '{of.path}': it is not the container's own",
        hint="Does the engine run on this host? See DOCKER_HOST. --adopt=none leaves the container where it is.",
    )


def _has_ended(leader: int) -> bool:
    _, pidfd = hold(leader)
    if pidfd == NO_FD:
        return True
    try:
        return is_dead(pidfd)
    finally:
        os.close(pidfd)


def _take_over_unified(
    source: Cgroup, of: Cgroup, own: Cgroup, *, delegated: bool, has_filter: bool = True
) -> Cgroup:
    """of: the leader's cgroup, which may be below source; crun's systemd driver makes "container" in its scope."""
    deadline = time.monotonic() + MOVE_TIMEOUT_SEC
    target = own.child(PAYLOAD)
    # A fresh one: what an earlier container of this unit was allowed is none of this one's business.
    target.remove()
    target.make()
    with _frozen(source, deadline):
        target.write("cgroup.freeze", "1")
        _carry_limits(_levels(source, of), target, own, delegated=delegated)
        if has_filter:
            _carry_device_programs(of, target)
        _move_all(source, (target,), deadline)
        target.write("cgroup.freeze", "0")
    return target


@contextlib.contextmanager
def _frozen(source: Cgroup, deadline: float) -> Iterator[None]:
    source.write("cgroup.freeze", "1")
    try:
        if not source.wait_for("frozen 1", deadline):
            raise AdoptionError(
                f"the container's processes did not freeze within {MOVE_TIMEOUT_SEC} s",
                hint="A process that waits for a device or a network file system cannot be frozen.",
            )
        yield
    finally:
        # ENOENT, ENODEV: systemd has collected the emptied scope. Where it stays, exec'd processes will come to it.
        with contextlib.suppress(OSError):
            source.write("cgroup.freeze", "0")


def _levels(source: Cgroup, of: Cgroup) -> tuple[Cgroup, ...]:
    """source, and what is between it and of, which is it or below it; the last is of."""
    levels = [source]
    for component in of.path[len(source.path) :].split("/")[1:]:
        levels.append(levels[-1].child(component))
    return tuple(levels)


def _carry_limits(sources: Iterable[Cgroup], target: Cgroup, own: Cgroup, *, delegated: bool) -> None:
    """The limits of sources, each of which holds, for target below own.

    Where own is not ours to divide, own has to be as strict.
    """
    limits: dict[str, str] = {}
    for attribute, value in (limit for source in sources for limit in _limits(source)):
        limits[attribute] = _stricter(attribute, limits.get(attribute, value), value)
    if not delegated:
        _check_as_strict(own, limits)
        return
    for controller in sorted({attribute.partition(".")[0] for attribute in limits}):
        own.write("cgroup.subtree_control", f"+{controller}")
    for attribute, value in limits.items():
        for line in value.splitlines():
            target.write(attribute, line)
        if target.read(attribute) != value:
            raise AdoptionError(f"cannot carry the container's {attribute} over: it reads '{target.read(attribute)}'")


def _limits(source: Cgroup) -> Iterator[tuple[str, str]]:
    """(attribute, value) of what somebody has set."""
    for attribute in sorted(os.listdir(source.directory)):
        default = LIMITS.get(attribute)
        if attribute.startswith("hugetlb.") and attribute.endswith(_HUGETLB_LIMITS):
            default = "max"
        if default is not None and (value := source.read(attribute)) not in (default, ""):
            yield attribute, value


def _check_as_strict(own: Cgroup, limits: dict[str, str]) -> None:
    lost = {name: value for name, value in limits.items() if not _is_as_strict(name, _read_or_max(own, name), value)}
    if lost:
        shown = ", ".join(f"{name} '{value}'" for name, value in lost.items())
        settings = ", ".join(SETTINGS[name] for name in lost if name in SETTINGS)
        raise AdoptionError(
            f"the container would lose its limits {shown}: systemd has not delegated the unit's cgroup",
            hint=f"Set Delegate=yes in the unit, or as strict limits there{settings and ': '}{settings}.",
        )


def _read_or_max(own: Cgroup, attribute: str) -> str:
    try:
        return own.read(attribute)
    except FileNotFoundError:
        return "max"


def _is_as_strict(attribute: str, have: str, wanted: str) -> bool:
    if have == wanted:
        return True
    if attribute == "cpu.max":
        return _share(have) <= _share(wanted)
    return _are_ceilings(attribute, have, wanted) and int(have) <= int(wanted)


def _share(quota_and_period: str) -> float:
    """Of how many processors: "50000 100000" -> 0.5."""
    quota, _, period = quota_and_period.partition(" ")
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() else float("inf")


def _stricter(attribute: str, one: str, other: str) -> str:
    if one == other:
        return one
    if _are_ceilings(attribute, one, other):
        return min(one, other, key=int)
    raise AdoptionError(f"cannot carry the container's {attribute} over: it is both '{one}' and '{other}'")


def _are_ceilings(attribute: str, *values: str) -> bool:
    """Whether the lower of these values is the stricter one."""
    return attribute in CEILINGS and all(value.isdecimal() for value in values)


def _carry_device_programs(of: Cgroup, target: Cgroup) -> None:
    """What decides in of about devices, there and above it, decides in target as well."""
    from systemd_docker.kernel import bpf

    wanted, present = _device_programs(of), _device_programs(target)
    with _directory(target) as target_fd:
        for prog_id in wanted - present:
            program = bpf.prog_get_fd_by_id(prog_id)
            try:
                bpf.prog_attach(target_fd, program, bpf.BPF_CGROUP_DEVICE, bpf.BPF_F_ALLOW_MULTI)
            finally:
                os.close(program)
    if not wanted <= _device_programs(target):
        raise AdoptionError("cannot carry the container's device filter over: the kernel does not show it there")


def _device_programs(of: Cgroup) -> frozenset[int]:
    from systemd_docker.kernel import bpf

    with _directory(of) as fd:
        return frozenset(bpf.prog_query(fd, bpf.BPF_CGROUP_DEVICE))


@contextlib.contextmanager
def _directory(of: Cgroup) -> Iterator[int]:
    fd = os.open(of.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _move_all(source: Cgroup, targets: tuple[Cgroup, ...], deadline: float) -> None:
    """Everybody in source and below it. Frozen processes do not fork, but somebody may exec into the container.

    targets: one of each hierarchy, source's own last: who is born meanwhile is found there, and moved in all of them.
    """
    while pids := [pid for one in source.subtree() for pid in _pids(one)]:
        if time.monotonic() > deadline:
            raise AdoptionError(f"the container's processes could not all be moved within {MOVE_TIMEOUT_SEC} s")
        for pid in pids:
            # It has ended; or it is of another PID namespace, which the deadline is for.
            with contextlib.suppress(ProcessLookupError):
                for target in targets:
                    target.attach(pid or NO_PID)


def _pids(of: Cgroup) -> frozenset[int]:
    try:
        return of.pids()
    except OSError as error:
        # systemd collects a scope as soon as it is empty, maybe between two looks at it.
        if error.errno in (errno.ENOENT, errno.ENODEV):
            return frozenset()
        raise


def _places(cgroups: Sequence[str], own: Cgroup, leader: int) -> tuple[Cgroup, ...]:
    if not cgroups:
        return ()
    from systemd_docker.service.adoption import v1_hierarchies

    return v1_hierarchies.places(cgroups, own, leader)


def _take_over_v1(source: Cgroup, own: Cgroup, hierarchies: Hierarchies, places: tuple[Cgroup, ...]) -> None:
    """systemd's hierarchy, the v2 one beside it, and places; not frozen: nothing is lost by who forks meanwhile."""
    deadline = time.monotonic() + MOVE_TIMEOUT_SEC
    beside = hierarchies.beside_of(own)
    _move_all(source, (*places, *((beside,) if beside else ()), own), deadline)


@contextlib.contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except LookupError as error:
        raise AdoptionError(f"{what}: {error}") from error
    except OSError as error:
        raise AdoptionError(
            f"{what}: {error.strerror} ({errno.errorcode.get(error.errno or 0, '?')})",
            hint="The unit needs root with CAP_SYS_ADMIN and bpf(2): see User=, CapabilityBoundingSet= and"
            " SystemCallFilter=. With Delegate=yes and an engine of version 23 or newer nothing has to be moved.",
        ) from error
