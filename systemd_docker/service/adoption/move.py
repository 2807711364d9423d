"""Move a running container's processes into the unit, with everything that the engine enforces on them.

Only where the engine cannot create them there. With cgroup v2 the device filter (an eBPF program) and every limit
belong to the engine's cgroup: a process that merely leaves it can open any device of the host. So the order is:
freeze; attach the same programs and write the same limits where the processes are going; move, until none is left;
prove it; thaw. Until then no process of the payload runs, so none can fork faster than it is moved, and a failure at
any step leaves the processes with what they had.

With v1 each hierarchy is on its own: in systemd's, which enforces nothing, the processes move to the unit's cgroup;
in others where --cgroups names them and nothing is lost, see v1_hierarchies. Devices and limits stay where the engine
made them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time

from systemd_docker.errors import AdoptionError
from systemd_docker.kernel import bpf, cgroup
from systemd_docker.kernel.cgroup import Cgroup
from systemd_docker.kernel.fd import NO_FD
from systemd_docker.kernel.pidfd import is_dead, open_or_none
from systemd_docker.plan.adoption import PAYLOAD
from systemd_docker.service.adoption import v1_hierarchies
from systemd_docker.service.adoption.limits import carry_limits, levels

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from systemd_docker.kernel.cgroup import Hierarchies
    from systemd_docker.service.adoption.state import AdoptionState
    from systemd_docker.unit import UnitContext

MOVE_TIMEOUT_SEC = 5
"""From freezing to thawing; 1000 processes took 0.1 s. A process in an uninterruptible sleep does not freeze."""

CONTAINER_ID_LENGTH = 64
"""Hex digits: nothing shorter is proof that a cgroup is the container's."""

NO_PID = 2**31 - 1
"""The PID of no process: above the kernel's pid_max. A 0 in cgroup.procs is a process of another PID namespace, which
cannot be named here; writing the 0 would move systemd-docker itself."""

_GONE = (errno.ENODEV, errno.ENOENT)


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
        v1_hierarchies.check(cgroups)


def move_container(state: AdoptionState, unit: UnitContext, container_id: str, leader: int) -> tuple[str, ...]:
    """Move the container's processes into the unit; return AdoptionState.moved.

    leader: the container's first process; where it has ended there is nothing to do.
    Raises AdoptionError: the container has to be removed then.
    """
    assert unit.cgroup is not None
    try:
        with _explained(f"cannot move the container's processes into {unit.name}"):
            hierarchies = cgroup.read_hierarchies()
            leader_cgroup = hierarchies.of_service(cgroup.read_proc_cgroup(leader))
            if unit.cgroup.contains(leader_cgroup.path):
                # It was created there, or moved there and runs on, by an earlier start of this unit.
                return ()
            source = container_cgroup(leader_cgroup, container_id)
            if hierarchies.is_unified:
                target = move_unified(
                    source,
                    leader_cgroup,
                    unit.cgroup,
                    delegated=state.sweeps,
                    # A rootless engine may not filter devices: its user's rights keep its containers from them.
                    has_filter=not unit.is_user,
                )
                return source.mount, source.path, target.path
            move_v1(source, unit.cgroup, hierarchies, _v1_places(state.cgroups, unit.cgroup, leader))
    except AdoptionError:
        if not _has_ended(leader):
            raise
    return ()


def container_cgroup(leader_cgroup: Cgroup, container_id: str) -> Cgroup:
    """Return the container's own cgroup: leader_cgroup, or the one above it, whose name contains the container's id.

    Every process in there is the container's: none of the engine's, of another container's, or of the unit's.
    Raises AdoptionError where there is none.
    """
    components = leader_cgroup.path.split("/")
    for index, component in enumerate(components):
        if len(container_id) == CONTAINER_ID_LENGTH and container_id in component:
            return Cgroup(leader_cgroup.mount, "/".join(components[: index + 1]))
    raise AdoptionError(
        f"cannot move processes out of the cgroup '{leader_cgroup.path}': it is not the container's own",
        hint="Does the engine run on this host? See DOCKER_HOST. --adopt=none leaves the container where it is.",
    )


def move_unified(
    source: Cgroup, leader_cgroup: Cgroup, unit_cgroup: Cgroup, *, delegated: bool, has_filter: bool = True
) -> Cgroup:
    """Move the processes in source, and below it, to a new cgroup below the unit's; return that one. cgroup v2 only.

    leader_cgroup: source or below it; crun's systemd driver makes "container" in its scope.
    Raises OSError, AdoptionError; either way neither cgroup stays frozen.
    """
    deadline = time.monotonic() + MOVE_TIMEOUT_SEC
    target = unit_cgroup.child(PAYLOAD)
    # A fresh one: the limits and programs of an earlier container of this unit must not hold for this one.
    target.remove()
    target.make()
    with _frozen(source):
        if not source.wait_for("frozen 1", deadline):
            raise AdoptionError(
                f"the container's processes did not freeze within {MOVE_TIMEOUT_SEC} s",
                hint="A process that waits for a device or a network file system cannot be frozen.",
            )
        with _frozen(target):
            carry_limits(levels(source, leader_cgroup), target, unit_cgroup, delegated=delegated)
            if has_filter:
                _carry_device_programs(leader_cgroup, target)
            move_all(source, (target,), deadline)
    return target


def move_v1(source: Cgroup, unit_cgroup: Cgroup, hierarchies: Hierarchies, places: tuple[Cgroup, ...]) -> None:
    """Move in systemd's hierarchy, the v2 one beside it, and places. Not frozen: a fork meanwhile loses nothing."""
    deadline = time.monotonic() + MOVE_TIMEOUT_SEC
    beside = hierarchies.beside_of(unit_cgroup)
    move_all(source, (*places, *((beside,) if beside else ()), unit_cgroup), deadline)


def move_all(source: Cgroup, targets: tuple[Cgroup, ...], deadline: float) -> None:
    """Move every process in source and below it. Frozen processes do not fork, but docker exec may add one.

    targets: one cgroup of each hierarchy, source's own last: a process that is born meanwhile is found in source, and
    then moved in all of them.
    Raises AdoptionError: not all of them moved until deadline (monotonic).
    """
    while pids := [pid for level in source.subtree() for pid in _pids(level)]:
        if time.monotonic() > deadline:
            raise AdoptionError(f"the container's processes could not all be moved within {MOVE_TIMEOUT_SEC} s")
        for pid in pids:
            # It has ended; or it is of another PID namespace, which the deadline is for.
            with contextlib.suppress(ProcessLookupError):
                for target in targets:
                    target.attach(pid or NO_PID)


def _has_ended(leader: int) -> bool:
    _, pidfd = open_or_none(leader)
    if pidfd == NO_FD:
        return True
    try:
        return is_dead(pidfd)
    finally:
        os.close(pidfd)


@contextlib.contextmanager
def _frozen(held: Cgroup) -> Iterator[None]:
    held.write("cgroup.freeze", "1")
    try:
        yield
    finally:
        try:
            held.write("cgroup.freeze", "0")
        except OSError as error:
            # systemd has removed the emptied scope.
            if error.errno not in _GONE:
                raise


def _carry_device_programs(source: Cgroup, target: Cgroup) -> None:
    """Attach to target what decides about devices in source, be it attached there or above it."""
    wanted, present = _device_programs(source), _device_programs(target)
    with _directory(target) as target_fd:
        for prog_id in wanted - present:
            program = bpf.prog_get_fd_by_id(prog_id)
            try:
                bpf.prog_attach(target_fd, program, bpf.BPF_CGROUP_DEVICE, bpf.BPF_F_ALLOW_MULTI)
            finally:
                os.close(program)
    if not wanted <= _device_programs(target):
        raise AdoptionError("cannot carry the container's device filter over: the kernel does not show it there")


def _device_programs(filtered: Cgroup) -> frozenset[int]:
    with _directory(filtered) as fd:
        return frozenset(bpf.prog_query(fd, bpf.BPF_CGROUP_DEVICE))


@contextlib.contextmanager
def _directory(opened: Cgroup) -> Iterator[int]:
    fd = os.open(opened.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _pids(level: Cgroup) -> frozenset[int]:
    try:
        return level.pids()
    except OSError as error:
        # systemd removes a scope as soon as it is empty, maybe between two looks at it.
        if error.errno in _GONE:
            return frozenset()
        raise


def _v1_places(cgroups: Sequence[str], unit_cgroup: Cgroup, leader: int) -> tuple[Cgroup, ...]:
    return v1_hierarchies.places(cgroups, unit_cgroup, leader) if cgroups else ()


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
