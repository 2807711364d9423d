"""What is asked before anything else is done, so that the answers cost no time: the engine and the service manager.

Apart from service.start.planning, which reads the answers, because that room imports for 20 ms: meanwhile both of
them work.
"""

from __future__ import annotations

import time

from systemd_docker import log
from systemd_docker import unit as unit_room
from systemd_docker.engine import client
from systemd_docker.errors import Error
from systemd_docker.sd import manager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from systemd_docker.engine.http import Exchange
    from systemd_docker.sd import systemctl
    from systemd_docker.unit import UnitContext, UnitProperties

MANAGER_TIMEOUT_SEC = 5
"""For the manager's answer, which is there when it is wanted; one that is being reloaded takes longer."""


class Questions:
    """On their way. Owns connections until close(), which whoever has the answers may do twice.

    engine: client.ask_info()'s, or why it could not be asked: a wrong command line is worth telling first.
    """

    def __init__(self, unit: UnitContext) -> None:
        self._unit = unit
        self._manager = _ask_manager(unit) if unit.name else None
        self.engine: Exchange | Error = _ask_engine(unit)

    def properties(self) -> UnitProperties:
        """What the service manager knows of the unit; to be called once."""
        try:
            return unit_room.parse_properties(self._answer(time.monotonic() + MANAGER_TIMEOUT_SEC))
        except TimeoutError as error:
            log.warning(f"{error}, ignoring: the wrapper stays the main process")
            return unit_room.UnitProperties()

    def close(self) -> None:
        if self._manager is not None:
            self._manager.close()
        if not isinstance(self.engine, Error):
            self.engine.close()

    def _answer(self, deadline: float) -> Mapping[str, str]:
        if self._manager is None:
            return {}
        try:
            return self._manager.answer(deadline)
        except ConnectionError as error:
            log.debug(f"systemctl is asked instead: {error}")
            self._manager = _ask_systemctl(self._unit)
        return self._manager.answer(deadline) if self._manager is not None else {}


def _ask_manager(unit: UnitContext) -> manager.Question | systemctl.Question | None:
    if not unit.manager_socket:
        return _ask_systemctl(unit)
    try:
        return manager.Question(unit.manager_socket, unit.name, unit_room.PROPERTIES)
    except OSError as error:
        log.debug(f"systemctl is asked instead of '{unit.manager_socket}': {error}")
        return _ask_systemctl(unit)


def _ask_systemctl(unit: UnitContext) -> systemctl.Question | None:
    from systemd_docker.sd import systemctl

    try:
        return systemctl.Question(unit.name, tuple(unit_room.PROPERTIES), unit.environ, user=unit.is_user)
    except OSError as error:
        log.warning(f"cannot run systemctl, ignoring: {error}")
        return None


def _ask_engine(unit: UnitContext) -> Exchange | Error:
    try:
        return client.ask_info(unit_room.engine_socket(unit))
    except Error as error:
        return error
