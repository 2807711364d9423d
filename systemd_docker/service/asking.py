"""What the service manager is asked before anything else is done, so that its answer costs no time.

Apart from service.prepare, which reads the answer, because that room imports for 20 ms: meanwhile systemctl runs.
"""

from __future__ import annotations

from systemd_docker import log, systemctl
from systemd_docker import unit as unit_room

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.unit import UnitContext


def ask(unit: UnitContext) -> systemctl.Question | None:
    """What systemctl(1) knows of the unit, on its way; None where there is no unit. The caller closes it."""
    if not unit.name:
        return None
    try:
        return systemctl.Question(unit.name, unit_room.PROPERTIES, unit.environ, user=unit.is_user)
    except OSError as error:
        log.warning(f"cannot run systemctl, ignoring: {error}")
        return None
