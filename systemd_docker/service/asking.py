"""What is asked before anything else is done, so that the answers cost no time: the engine and the service manager.

Apart from service.prepare, which reads the answers, because that room imports for 20 ms: meanwhile both of them work.
"""

from __future__ import annotations

from systemd_docker import log, systemctl
from systemd_docker import unit as unit_room
from systemd_docker.engine import client
from systemd_docker.errors import Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.engine.wire import Exchange
    from systemd_docker.unit import UnitContext


class Questions:
    """On their way. Owns a child and a connection until close(), which whoever has the answers may do twice.

    unit:   what systemctl(1) knows of the unit; None where there is no unit.
    engine: client.ask_info()'s, or why it could not be asked: a wrong command line is worth telling first.
    """

    def __init__(self, unit: UnitContext) -> None:
        self.unit = _ask_manager(unit)
        self.engine: Exchange | Error = _ask_engine(unit)

    def close(self) -> None:
        if self.unit is not None:
            self.unit.close()
        if not isinstance(self.engine, Error):
            self.engine.close()


def _ask_manager(unit: UnitContext) -> systemctl.Question | None:
    if not unit.name:
        return None
    try:
        return systemctl.Question(unit.name, unit_room.PROPERTIES, unit.environ, user=unit.is_user)
    except OSError as error:
        log.warning(f"cannot run systemctl, ignoring: {error}")
        return None


def _ask_engine(unit: UnitContext) -> Exchange | Error:
    try:
        return client.ask_info(unit_room.engine_socket(unit))
    except Error as error:
        return error
