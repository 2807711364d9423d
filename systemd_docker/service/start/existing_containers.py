"""Names that are taken, and containers that an earlier start has left: whose they are, and what becomes of them.

| the container of that name is | with --rm | without | with --replace |
|---|---|---|---|
| stopped | removed | started again | removed |
| running | an error | attached to | removed |
| another live unit's | an error | an error | an error |
"""

from __future__ import annotations

import time

from systemd_docker import log
from systemd_docker.engine import client, http
from systemd_docker.errors import EngineError, Error
from systemd_docker.plan.launch_plan import UNIT_LABEL, USER_LABEL
from systemd_docker.sd.unit_properties import ANSWER_TIMEOUT_SEC, PropertiesQuery
from systemd_docker.service.start import ownership

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.engine.client import Engine
    from systemd_docker.engine.models import ContainerFacts
    from systemd_docker.plan.launch_plan import LaunchPlan
    from systemd_docker.unit import UnitContext

CREATED_STATUS = ("created", "exited", "dead")
"""States of a container that may be started or removed without ending anything; `GET /containers/ID/json`."""

DEAD_STATES = ("inactive", "failed")
"""ActiveState= of a unit that does not need its container; org.freedesktop.systemd1(5)."""


def clear_leftovers(engine: Engine, plan: LaunchPlan, unit: UnitContext) -> None:
    """End what earlier starts of this unit have left, whose wrapper was killed: there is one of us at a time.

    What runs must not go on beside us; what has stopped goes where the unit removes its containers. The container
    whose name we want is left to settle().
    """
    if not unit.name:
        return
    for listed in ownership.containers_of(engine, unit):
        if ownership.is_of_invocation(listed, unit) or (listed.name == plan.name and not plan.remove):
            continue
        if plan.remove:
            log.info(f"removing container '{listed.name}', which an earlier start of {unit.name} has left")
            engine.remove(listed.id)
        elif listed.status not in CREATED_STATUS:
            log.info(f"killing container '{listed.name}', which an earlier start of {unit.name} has left")
            exchange = engine.kill(listed.id, "SIGKILL")
            try:
                client.complete(exchange, http.wait_ready, time.monotonic() + client.ANSWER_TIMEOUT_SEC)
            finally:
                exchange.close()


def settle(engine: Engine, plan: LaunchPlan, unit: UnitContext) -> ContainerFacts | None:
    """The name is taken: by the container that is ours to go on with, or None, it is free now. Raises Error."""
    try:
        taken = engine.inspect(plan.name)
    except EngineError as error:
        if error.http_status == 404:
            # Whoever had the name has gone since.
            return None
        raise
    runs = taken.status not in CREATED_STATUS
    owner = _other_live_unit(taken, unit)
    if owner:
        raise _in_use(plan, taken, owner)
    if plan.replace or (plan.remove and not runs):
        log.info(f"removing the container {taken.id[:12]} that has the name '{plan.name}' and is {taken.status}")
        engine.remove(taken.id)
        return None
    if runs and plan.remove:
        raise _in_use(plan, taken, "")
    if plan.adoption.cgroup_parent and taken.cgroup_parent != plan.adoption.cgroup_parent:
        raise Error(
            f"cannot {'attach to' if runs else 'start'} container '{plan.name}': it was created for another place in"
            f" the cgroup tree, '{taken.cgroup_parent or 'the engine default'}'",
            hint=f"Remove it with 'docker rm --force {plan.name}', or use --replace, which makes a new one.",
        )
    if runs:
        log.info(f"container '{plan.name}' runs already, and is attached to")
    else:
        log.info(f"starting the stopped container '{plan.name}' again as it was created; use --rm for a new one")
    return taken


def _in_use(plan: LaunchPlan, taken: ContainerFacts, owner: str) -> Error:
    belongs = f" and belongs to {owner}" if owner else ""
    return Error(
        f"cannot create container '{plan.name}': the name is in use by container {taken.id[:12]},"
        f" which is {taken.status}{belongs}",
        hint=f"Stop {owner} first, or give one of the two another --name."
        if owner
        else f"Stop it with 'docker rm --force {plan.name}', use another --name, or --replace.",
    )


def _other_live_unit(taken: ContainerFacts, unit: UnitContext) -> str:
    """The unit that needs the container, "" where that is nobody but us."""
    owner, user = str(taken.labels.get(UNIT_LABEL, "")), str(taken.labels.get(USER_LABEL, ""))
    if not owner or (owner, user) == (unit.name, unit.user):
        return ""
    if user != unit.user:
        # A manager that we cannot ask.
        return owner
    try:
        query = PropertiesQuery(owner, unit.environ, is_user=unit.is_user)
        state = query.answer(http.wait_ready, time.monotonic() + ANSWER_TIMEOUT_SEC).active_state
    except (OSError, TimeoutError) as error:
        log.warning(f"cannot tell whether {owner} is active, ignoring: {error}")
        return owner
    return "" if state in DEAD_STATES else owner
