"""Find the unit of a process that sees no unit in its cgroup path: with ProtectControlGroups=private or strict."""

from __future__ import annotations

import time

from systemd_docker import log
from systemd_docker.frozen import replace
from systemd_docker.sd.unit_properties import ANSWER_TIMEOUT_SEC, SELF, PropertiesQuery
from systemd_docker.unit import revealed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.engine import http
    from systemd_docker.unit import UnitContext


def reveal(unit: UnitContext, wait: http.Wait) -> UnitContext:
    """Return the unit with its name and its control group, asked from systemd; without a cgroup where that fails."""
    try:
        query = PropertiesQuery(SELF, unit.environ)
        found = query.answer(wait, time.monotonic() + ANSWER_TIMEOUT_SEC)
    except OSError as error:
        log.warning(f"cannot ask systemd which unit this is: {error.filename}: {error.strerror}")
        log.info("Start the bus (dbus.socket), or set ProtectControlGroups=yes in the unit.")
        return replace(unit, cgroup=None)
    return revealed(unit, found.name, found.control_group, has_subgroup=bool(found.delegate_subgroup))
