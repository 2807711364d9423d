"""Which cgroup the payload lives in: room is made before it is born, and proof asked for afterwards."""

from __future__ import annotations

import errno
import os

from systemd_docker import log
from systemd_docker.errors import AdoptionError
from systemd_docker.frozen import replace
from systemd_docker.kernel import cgroup, mountinfo
from systemd_docker.plan.adoption import SUPERVISOR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.plan.adoption import AdoptionPlan
    from systemd_docker.service.adoption.state import AdoptionState
    from systemd_docker.unit import UnitContext


def make_room(plan: AdoptionPlan, unit: UnitContext) -> None:
    """Leave the unit's own cgroup, with everybody who is in it, for the supervisor's, if the plan says so.

    With cgroup v2 a cgroup that holds processes cannot hand controllers to its children: a container below it would
    fail to start with a memory limit, or become threaded and lose the memory controller without a word. "Everybody"
    may be more than us: the shell of an ExecStart=/bin/sh -c line, for one.

    Raises AdoptionError, also for a container that could not be moved in afterwards.
    """
    if plan.strategy == "move":
        # A rare way, with memory of its own.
        from systemd_docker.service.adoption import move

        move.check(unit, plan.cgroups)
    if not plan.sweep or unit.cgroup is None:
        return
    supervisor = unit.cgroup.child(SUPERVISOR)
    try:
        if not unit.cgroup.pids():
            # DelegateSubgroup= has put everybody where they belong.
            return
        supervisor.make()
        left = cgroup.move_processes(unit.cgroup, supervisor)
    except OSError as error:
        raise AdoptionError(
            f"cannot leave the cgroup of {unit.name} for the container's sake: {error.strerror}"
            f" ({errno.errorcode.get(error.errno or 0, '?')})",
            hint="Set DelegateSubgroup=supervisor in the unit (systemd 254), or allow writing to the cgroup tree:"
            " ProtectControlGroups=no, and root for User=.",
        ) from error
    if left:
        raise AdoptionError(
            f"{len(left)} processes of {unit.name} fork faster than they can be moved out of the container's way",
            hint="Run only systemd-docker in ExecStart=, or set DelegateSubgroup=supervisor (systemd 254).",
        )


def adopt(state: AdoptionState, unit: UnitContext, container_id: str, leader: int) -> AdoptionState:
    """Make the container, which has just started, part of the unit as far as it is not yet, and prove it.

    Return state with where its processes were moved from and to.
    Raises AdoptionError: the container must not run on then.
    """
    if state.read_only:
        check_read_only(state.read_only)
    if state.strategy != "move":
        verify(state, unit, container_id, leader)
        return state
    # Few containers are moved, and the module costs memory.
    from systemd_docker.service.adoption import move

    moved = move.move_container(state, unit, container_id, leader)
    verify(state, unit, "", leader)
    return replace(state, moved=moved)


def check_read_only(paths: tuple[str, ...], proc: str = "/proc") -> None:
    """Fail where a mount below one of paths is writable: it was not there when the start was planned.

    The container may have it, or has not by a moment; and its mount there is not read-only.
    Raises AdoptionError.
    """
    # Only containers with read-only mounts need it.
    from systemd_docker.plan.mounts import writable_below

    text = mountinfo.read_host(proc)
    for path in paths:
        if found := writable_below(text, path):
            raise AdoptionError(
                f"'{found[0]}' was mounted below '{path}' since the start was planned, and the container could write"
                " to it: the engine makes mounts below a read-only one read-only only with a runtime that it lists",
                hint="Start the unit again: then it is another way that makes the container part of the unit.",
            )


def leftovers(plan: AdoptionPlan, unit: UnitContext) -> tuple[str, ...]:
    """Directories that may stay when the container is gone, nobody's: to be removed where they are empty."""
    return _on_v1(unit) if plan.strategy == "parent" else ()


def _on_v1(unit: UnitContext) -> tuple[str, ...]:
    """What the runtime has made, with v1: the unit's path in every hierarchy. systemd removes it from those it uses.

    Where systemd has made it, we are in there ourselves, and it stays.
    """
    if unit.unified or unit.cgroup is None:
        return ()
    ours = cgroup.v1_cgroups(mountinfo.read(), cgroup.read_proc_cgroup("self"))
    return tuple(cgroup.Cgroup(of.mount, unit.cgroup.path).directory for of in ours.values())


def remove_leftovers(unit: UnitContext) -> None:
    """For a start that has failed and a wrapper that was killed; a container that has run leaves it to its end."""
    for directory in _on_v1(unit):
        try:
            os.rmdir(directory)
        except OSError:
            # Not made, or with somebody in it.
            continue


def verify(state: AdoptionState, unit: UnitContext, container_id: str, leader: int) -> str:
    """The leader's cgroup, proven to be the container's own and, where the plan adopts, inside the unit.

    container_id: "" where the cgroup is not named for it.
    "" where the leader is gone already: there is nobody left to be in the wrong place.
    Raises AdoptionError: what "parent" rests on nobody has promised, so it is looked at after every start.
    """
    try:
        path = cgroup.read_hierarchies().of_service(cgroup.read_proc_cgroup(leader)).path
    except (FileNotFoundError, ProcessLookupError):
        return ""
    except LookupError as error:
        raise AdoptionError(f"cannot tell where the container's processes are: {error}") from None
    if container_id not in path and state.is_in_unit:
        raise AdoptionError(
            f"process {leader} is in the cgroup '{path}', which is not the container's",
            hint="Does the engine run on this host? See DOCKER_HOST.",
        )
    if state.is_in_unit and not (unit.cgroup and unit.cgroup.contains(path)):
        raise AdoptionError(
            f"the engine has put the container into '{path}' instead of {unit.name}'s cgroup",
            hint="A payload that can write to the host's cgroup tree may have moved itself. Otherwise please report"
            " this engine's version. --adopt=none runs the container outside the unit.",
        )
    log.debug(f"leader {leader} is in '{path}'")
    return path
