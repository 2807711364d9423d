"""Containers that are there already: leftovers of earlier starts, and one that has the name of the new one.

| the container of that name is | with --rm | without | with --replace |
|---|---|---|---|
| stopped | removed | started again | removed |
| running | an error | attached to | removed |
| another live unit's | an error | an error | an error |

A container that was not created for this unit keeps its anonymous volumes when it is removed.
"""

from __future__ import annotations

import time

from systemd_docker import log
from systemd_docker.errors import EngineError, Error
from systemd_docker.plan.adoption import SHIM_RUNTIME
from systemd_docker.plan.ownership import Owner, is_of_invocation
from systemd_docker.sd.unit_properties import ANSWER_TIMEOUT_SEC, PropertiesQuery
from systemd_docker.service import ownership

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.engine.client import Engine
    from systemd_docker.engine.models import ContainerFacts, Listed
    from systemd_docker.plan.launch_plan import LaunchPlan
    from systemd_docker.unit import UnitContext

CREATED_STATUS = ("created", "exited", "dead")
"""States of a container that may be started or removed without ending anything; `GET /containers/ID/json`."""


def clear_leftovers(engine: Engine, plan: LaunchPlan, unit: UnitContext) -> None:
    """End the containers of earlier starts of this unit whose systemd-docker was killed: a unit has one at a time.

    A container that runs is killed; where the unit removes its containers, it is removed. The container that has the
    wanted name is left to resolve_conflict().
    """
    if not unit.name:
        return
    for listed in ownership.containers_of(engine, unit):
        if is_of_invocation(listed.labels, unit) or (listed.name == plan.name and not plan.remove):
            continue
        if plan.remove:
            log.info(
                f"removing container '{listed.name}' ({listed.id[:12]}, {listed.status}), left by an earlier start of"
                f" {unit.name}"
            )
            engine.remove(listed.id)
        elif listed.status not in CREATED_STATUS:
            _kill(engine, listed, unit)


def resolve_conflict(engine: Engine, plan: LaunchPlan, unit: UnitContext) -> ContainerFacts | None:
    """Decide about the container that has the wanted name: it is used, or removed (None). Raises Error."""
    try:
        taken = engine.inspect(plan.name)
    except EngineError as error:
        if error.http_status == 404:
            # Removed since the engine refused the name.
            return None
        raise
    runs = taken.status not in CREATED_STATUS
    owner = ownership.owner_of(engine, taken)
    is_mine = owner == Owner(unit.name, unit.user)
    if owner is not None and not is_mine and _is_live(engine, owner, unit):
        raise _in_use(plan, taken, owner.unit)
    if plan.replace or (plan.remove and not runs):
        _remove(engine, plan, taken, is_mine=is_mine)
        return None
    if runs and plan.remove:
        raise _in_use(plan, taken, "")
    if plan.adoption.cgroup_parent and taken.cgroup_parent != plan.adoption.cgroup_parent:
        raise Error(
            f"cannot {'attach to' if runs else 'start'} container '{plan.name}': it was created for another place in"
            f" the cgroup tree, '{taken.cgroup_parent or 'the engine default'}'",
            hint=f"Remove it with 'docker rm --force {plan.name}', or use --replace, which makes a new one.",
        )
    if taken.runtime == SHIM_RUNTIME and plan.adoption.stays_writable:
        raise Error(
            f"cannot {'attach to' if runs else 'start'} container '{plan.name}': it was created with the runtime"
            f" {SHIM_RUNTIME}, and {plan.adoption.stays_writable}",
            hint=f"Remove it with 'docker rm --force {plan.name}', or use --replace, which makes a new one.",
        )
    if runs:
        log.info(f"attaching to container '{plan.name}', which is running already")
    else:
        log.info(f"starting the stopped container '{plan.name}' again as it was created; use --rm for a new one")
    return taken


def _kill(engine: Engine, listed: Listed, unit: UnitContext) -> None:
    log.info(f"killing container '{listed.name}' ({listed.id[:12]}), left by an earlier start of {unit.name}")
    failure = engine.finish(engine.kill(listed.id, "SIGKILL"))
    if failure is not None and failure.http_status not in (404, 409):  # gone, or ended by itself
        log.warning(f"cannot kill container '{listed.name}': {failure}")
        log.info(f"End it with 'docker rm --force {listed.name}'.")


def _remove(engine: Engine, plan: LaunchPlan, taken: ContainerFacts, *, is_mine: bool) -> None:
    origin = "" if is_mine else "; this unit has not created it, so its anonymous volumes stay"
    log.info(f"removing container {taken.id[:12]}, which is {taken.status} and has the name '{plan.name}'{origin}")
    engine.remove(taken.id, volumes=is_mine)


def _in_use(plan: LaunchPlan, taken: ContainerFacts, owner: str) -> Error:
    belongs = f" and belongs to {owner}" if owner else ""
    return Error(
        f"cannot create container '{plan.name}': the name is in use by container {taken.id[:12]},"
        f" which is {taken.status}{belongs}",
        hint=f"Stop {owner} first, or give one of the two another --name."
        if owner
        else f"Stop it with 'docker rm --force {plan.name}', use another --name, or --replace.",
    )


def _is_live(engine: Engine, owner: Owner, unit: UnitContext) -> bool:
    """Return whether another unit needs its container. A unit that systemd does not report on may."""
    if owner.user != unit.user:
        # Another manager's, which only its own user may ask.
        return True
    try:
        query = PropertiesQuery(owner.unit, unit.environ, is_user=unit.is_user)
        return query.answer(engine.patience, time.monotonic() + ANSWER_TIMEOUT_SEC).is_live
    except OSError as error:
        log.warning(
            f"cannot ask systemd whether {owner.unit} is active, taking it for active: {error.filename}:"
            f" {error.strerror}"
        )
        log.info(f"See 'systemctl status {owner.unit}'.")
        return True
