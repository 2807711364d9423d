"""Make a container that runs part of its unit, and prove that it is."""

from __future__ import annotations

from systemd_docker import log
from systemd_docker.errors import AdoptionError
from systemd_docker.frozen import replace
from systemd_docker.kernel import cgroup, mountinfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.service.adoption.state import AdoptionState
    from systemd_docker.unit import UnitContext


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

    It may have come too late for the container to see it. Raises AdoptionError.
    """
    # Only containers with read-only mounts need it.
    from systemd_docker.plan.mounts import writable_below

    text = mountinfo.read_host(proc)
    if not text:
        raise AdoptionError(f"cannot tell whether all mounts below '{paths[0]}' are read-only: no mounts can be read")
    for path in paths:
        if found := writable_below(text, path):
            raise AdoptionError(
                f"'{found[0]}' was mounted below '{path}' since the start was planned, and the container could write"
                " to it: the engine makes mounts below a read-only one read-only only with a runtime that it lists",
                hint="Start the unit again: then it is another way that makes the container part of the unit.",
            )


def verify(state: AdoptionState, unit: UnitContext, container_id: str, leader: int) -> str:
    """Prove that the leader's cgroup is the container's own and, where the plan adopts, inside the unit; return it.

    container_id: "" where the cgroup is not named for it.
    Return "" where the leader has ended.
    Raises AdoptionError. No documentation of the engine's promises what "parent" rests on, so each start is checked.
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
