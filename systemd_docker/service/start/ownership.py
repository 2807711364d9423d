"""Which containers are a unit's own: by the labels that every container of ours carries, whoever asks."""

from __future__ import annotations

from systemd_docker.plan.launch_plan import INVOCATION_LABEL, UNIT_LABEL, USER_LABEL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.engine.client import Engine
    from systemd_docker.engine.models import Listed
    from systemd_docker.unit import UnitContext


def containers_of(engine: Engine, unit: UnitContext) -> tuple[Listed, ...]:
    """All containers of the unit: those of this invocation first, and of each kind the newest first."""
    found = [
        listed
        for listed in engine.labelled(UNIT_LABEL, unit.name)
        if str(listed.labels.get(USER_LABEL, "")) == unit.user
    ]
    return tuple(sorted(found, key=lambda listed: not is_of_invocation(listed, unit)))


def is_of_invocation(listed: Listed, unit: UnitContext) -> bool:
    """Whether the start of the unit that we belong to has created the container."""
    return bool(unit.invocation_id) and listed.labels.get(INVOCATION_LABEL) == unit.invocation_id
