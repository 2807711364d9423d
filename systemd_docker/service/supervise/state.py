"""The state of one running service: everything that supervising, stopping and cleaning up need.

Made once, when the container has started. Because it is plain, it also goes through execve(2): see
service.supervise.reexec. Each part is defined by its owner; the state owns every descriptor in it.
"""

from __future__ import annotations

import os

from systemd_docker import jsonobj, log
from systemd_docker.errors import Error
from systemd_docker.frozen import frozen
from systemd_docker.kernel.fd import owned_fds
from systemd_docker.service import serialization
from systemd_docker.service.adoption.state import AdoptionState
from systemd_docker.service.container_state import ContainerState
from systemd_docker.service.engine_requests import EngineAddress
from systemd_docker.service.exit_wait import ExitWaitState
from systemd_docker.service.notifications.state import HealthState, NotifyState, WatchdogState
from systemd_docker.service.output.state import OutputState
from systemd_docker.service.stop_policy import StopPolicy
from systemd_docker.service.supervise.clean_up import CleanUp

VERSION = 1
"""Of the JSON. A field that is added with a default keeps it; a field that changes its meaning raises it."""


@frozen
class ServiceState:
    """One running service.

    log_level: as --log-level= set it; see log.LEVELS.
    as_code:   whether a signal that ended the payload is reported as exit status 128 + n.
    """

    log_level: int = log.INFO
    as_code: bool = False
    engine: EngineAddress = EngineAddress()
    container: ContainerState = ContainerState()
    exit_wait: ExitWaitState = ExitWaitState()
    stop: StopPolicy = StopPolicy()
    adoption: AdoptionState = AdoptionState("none")
    output: OutputState = OutputState()
    notify: NotifyState = NotifyState()
    health: HealthState = HealthState()
    watchdog: WatchdogState = WatchdogState()
    clean_up: CleanUp = CleanUp()


BLANK = ServiceState()


_HINT = "systemd-docker was replaced while it executed itself again. Restart the unit."


class StateError(Error):
    """This program does not understand the state that was handed over to it."""


def dump(state: ServiceState) -> bytes:
    return jsonobj.dump({"version": VERSION, **serialization.dump(state)})


def load(data: bytes) -> ServiceState:
    """Raises StateError."""
    try:
        obj = jsonobj.parse_object(data)
        version = jsonobj.get(obj, "version", int)
        if version != VERSION:
            raise StateError(f"the state of the running service has version {version}, not {VERSION}", hint=_HINT)
        return serialization.load(BLANK, obj)
    except jsonobj.JsonError as error:
        raise StateError(f"cannot read the state of the running service: {error}", hint=_HINT) from None


def close(state: ServiceState) -> None:
    for fd in owned_fds(state):
        os.close(fd)
