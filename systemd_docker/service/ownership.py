"""Which containers are a unit's own: found by their labels, and proven by what no image can carry."""

from __future__ import annotations

from systemd_docker import log
from systemd_docker.errors import EngineError
from systemd_docker.plan import ownership
from systemd_docker.plan.ownership import Evidence, Owner, claimed_owner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from systemd_docker.engine.client import Engine
    from systemd_docker.engine.models import ContainerFacts, Listed
    from systemd_docker.jsonobj import JsonValue
    from systemd_docker.unit import UnitContext


def containers_of(engine: Engine, unit: UnitContext) -> tuple[Listed, ...]:
    """All containers that were created for the unit: this start's first, and of each kind the newest first."""
    mine = Owner(unit.name, unit.user)
    found = []
    for listed in engine.labelled(ownership.UNIT_LABEL, unit.name):
        if claimed_owner(listed.labels) != mine:
            continue
        if _proven_owner(engine, listed) == mine:
            found.append(listed)
        else:
            name = f"'{listed.name}' ({listed.id[:12]})"
            log.info(f"leaving container {name} alone: only its image gives it the label of {unit.name}")
    return tuple(sorted(found, key=lambda listed: not ownership.is_of_invocation(listed.labels, unit)))


def owner_of(engine: Engine, facts: ContainerFacts) -> Owner | None:
    """The unit that a container was created for, None for no unit's."""
    if claimed_owner(facts.labels) is None:
        return None
    return ownership.owner_of(Evidence(facts.labels, _image_labels(engine, facts.image_id), facts.cgroup_parent))


def is_dead_or_gone(engine: Engine, unit: UnitContext, container_id: str) -> bool:
    """Return whether no program needs a container: it was removed, or it is the unit's own and does not run.

    One that an earlier start of the unit has left running counts as dead: this start ends it, or goes on with it.
    """
    try:
        facts = engine.inspect(container_id)
    except EngineError as error:
        if error.http_status == 404:
            return True
        raise
    if owner_of(engine, facts) != Owner(unit.name, unit.user):
        return False
    return not facts.running or not ownership.is_of_invocation(facts.labels, unit)


def _proven_owner(engine: Engine, listed: Listed) -> Owner | None:
    """The container is asked for its place only where its labels prove nothing."""
    image_labels = _image_labels(engine, listed.image_id)
    if owner := ownership.owner_of(Evidence(listed.labels, image_labels)):
        return owner
    try:
        facts = engine.inspect(listed.id)
    except EngineError as error:
        if error.http_status == 404:
            # Removed meanwhile.
            return None
        raise
    return ownership.owner_of(Evidence(listed.labels, image_labels, facts.cgroup_parent))


def _image_labels(engine: Engine, image_id: str) -> Mapping[str, JsonValue] | None:
    """None for an image that was removed by force."""
    if not image_id:
        return None
    try:
        return engine.image_labels(image_id)
    except EngineError as error:
        if error.http_status == 404:
            return None
        raise
