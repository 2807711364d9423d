"""Make room for a container in the unit's cgroup before it is created, and remove the cgroups that it leaves."""

from __future__ import annotations

import errno
import os

from systemd_docker.errors import AdoptionError
from systemd_docker.kernel import cgroup, mountinfo
from systemd_docker.plan.adoption import SHIM_RUNTIME, SUPERVISOR
from systemd_docker.service.adoption.state import AdoptionState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.plan.adoption import AdoptionPlan
    from systemd_docker.unit import UnitContext


def make_room(plan: AdoptionPlan, unit: UnitContext) -> None:
    """Move the processes in the unit's own cgroup to its supervisor/, if the plan says so.

    With cgroup v2 a cgroup that holds processes cannot hand controllers to its children: a container below it would
    fail to start with a memory limit, or become threaded and lose the memory controller silently. systemd-docker may
    not be alone there: ExecStart=/bin/sh -c … leaves a shell.

    Raises AdoptionError, also where a container could not be moved into the unit afterwards.
    """
    if plan.strategy == "move":
        # Memory: few containers are moved, and the module needs ctypes.
        from systemd_docker.service.adoption import move

        move.check(unit, plan.cgroups)
    if not plan.sweep or unit.cgroup is None:
        return
    supervisor = unit.cgroup.child(SUPERVISOR)
    try:
        if not unit.cgroup.pids():
            # systemd has started the processes in a sub-cgroup: DelegateSubgroup=.
            return
        supervisor.make()
        left = cgroup.move_processes(unit.cgroup, supervisor)
    except OSError as error:
        raise AdoptionError(
            f"cannot move systemd-docker to '{supervisor.directory}', out of the container's way: {error.strerror}"
            f" ({errno.errorcode.get(error.errno or 0, '?')})",
            hint="Set DelegateSubgroup=supervisor in the unit (systemd 254), or allow writing to the cgroup tree:"
            " ProtectControlGroups=no, and root for User=.",
        ) from error
    if left:
        raise AdoptionError(
            f"{len(left)} processes stay in '{unit.cgroup.directory}', in the container's way: they fork faster than"
            " they can be moved",
            hint="Run only systemd-docker in ExecStart=, or set DelegateSubgroup=supervisor (systemd 254).",
        )


def planned(plan: AdoptionPlan, runtime: str) -> AdoptionState:
    """Return the state of a container that is to become part of its unit as planned, and has not been moved yet.

    runtime: the container's; one that was created by an earlier start may have another than planned.
    """
    read_only = plan.read_only if runtime == SHIM_RUNTIME else ()
    return AdoptionState(plan.strategy, sweeps=plan.sweep, cgroups=plan.cgroups, read_only=read_only)


def leftovers(plan: AdoptionPlan, unit: UnitContext) -> tuple[str, ...]:
    """Return directories that the runtime has made and may leave when the container is gone."""
    return _on_v1(unit) if plan.strategy == "parent" else ()


def _on_v1(unit: UnitContext) -> tuple[str, ...]:
    """Return the unit's path in every v1 hierarchy, which the runtime makes and systemd may not know of.

    Where systemd has made it, systemd-docker is in there itself, and rmdir(2) does not remove it.
    """
    if unit.unified or unit.cgroup is None:
        return ()
    here = cgroup.v1_cgroups(mountinfo.read(), cgroup.read_proc_cgroup("self"))
    return tuple(cgroup.Cgroup(place.mount, unit.cgroup.path).directory for place in here.values())


def remove_leftovers(unit: UnitContext) -> None:
    """Remove leftovers() after a start that failed, or where systemd-docker was killed."""
    for directory in _on_v1(unit):
        try:
            os.rmdir(directory)
        except OSError:
            # It was not made, or a process is in it.
            continue
