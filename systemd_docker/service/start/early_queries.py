"""Queries sent before anything else is done: to the engine, and to systemd about this unit.

Apart from service.start.planning, which reads the answers, because that module imports for 20 ms: meanwhile the
engine and systemd work.
"""

from __future__ import annotations

import time

from systemd_docker import log
from systemd_docker.engine import client
from systemd_docker.errors import Error
from systemd_docker.sd.unit_properties import ANSWER_TIMEOUT_SEC, PropertiesQuery, UnitProperties
from systemd_docker.unit import engine_socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.engine import http
    from systemd_docker.engine.http import Exchange
    from systemd_docker.unit import UnitContext

_CONSEQUENCE = "so systemd-docker stays the main process and leaves TimeoutStopSec= at 90 s"


class EarlyQueries:
    """Queries in flight. Owns their connections; close() is idempotent.

    engine: client.ask_info()'s exchange, or the reason why there is none: a wrong command line is reported first.
    """

    def __init__(self, unit: UnitContext) -> None:
        self._unit_name = unit.name
        self.engine: Exchange | Error = _ask_engine(unit)
        self._properties = _ask_systemd(unit) if unit.name else None

    def properties(self, wait: http.Wait) -> UnitProperties:
        """The unit's properties, the most cautious ones where systemd did not report them. To be called once."""
        if self._properties is None:
            return UnitProperties()
        try:
            return self._properties.answer(wait, time.monotonic() + ANSWER_TIMEOUT_SEC)
        except OSError as error:
            _warn(self._unit_name, error)
            return UnitProperties()

    def close(self) -> None:
        if self._properties is not None:
            self._properties.close()
        if not isinstance(self.engine, Error):
            self.engine.close()


def _ask_systemd(unit: UnitContext) -> PropertiesQuery | None:
    try:
        return PropertiesQuery(unit.name, unit.environ, is_user=unit.is_user)
    except OSError as error:
        _warn(unit.name, error)
        return None


def _warn(unit_name: str, error: OSError) -> None:
    log.warning(
        f"cannot ask systemd for the properties of {unit_name}, {_CONSEQUENCE}: {error.filename}: {error.strerror}"
    )
    log.info(
        f"The unit's user must be able to run 'systemctl show {unit_name}': that needs the bus (dbus.socket), and"
        " with DynamicUser= libnss-systemd."
    )


def _ask_engine(unit: UnitContext) -> Exchange | Error:
    try:
        return client.ask_info(engine_socket(unit))
    except Error as error:
        return error
