"""Remove what a container leaves behind, once it has ended."""

from __future__ import annotations

import os

from systemd_docker import log
from systemd_docker.engine.client import Engine
from systemd_docker.engine.http import no_longer_than
from systemd_docker.errors import Error
from systemd_docker.frozen import frozen
from systemd_docker.kernel.signals import StopRequestedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.kernel.signals import Signals
    from systemd_docker.service.container_state import ContainerState
    from systemd_docker.service.engine_requests import EngineAddress

LATE_STOP_SEC = 5
"""How long a removal may go on when the unit is told to stop in the middle of it."""

REMOVAL_TIMEOUT_SEC = 120
"""How long the engine may take to remove a container with large volumes."""


@frozen
class CleanUp:
    """The leftovers of one container.

    removes:            whether the container itself is removed.
    pid_file:           where the leader's PID is written, "" for nowhere.
    files, directories: removed in this order; directories only where they are empty.
    """

    removes: bool = False
    pid_file: str = ""
    files: tuple[str, ...] = ()
    directories: tuple[str, ...] = ()


def remove_container(
    address: EngineAddress, container: ContainerState, signals: Signals, limit_sec: float, late_stop_sec: float
) -> None:
    """Remove the container; a failure is a warning.

    limit_sec: for all of it. late_stop_sec: for the rest of it, once a signal to stop arrives.
    """
    signals.patience_sec = late_stop_sec
    engine = Engine(address.socket_path, address.api, no_longer_than(limit_sec, signals.wait))
    try:
        engine.remove(container.id)
    except (Error, StopRequestedError) as error:
        log.warning(f"cannot remove container '{container.name}': {error}")
        log.info("The unit's next start removes it, and so does 'systemd-docker rm' in ExecStopPost=.")


def remove_files(clean_up: CleanUp) -> None:
    """Remove files and empty directories; those that are gone already, or are still used, are fine."""
    for remove_one, paths in ((os.unlink, clean_up.files), (os.rmdir, clean_up.directories)):
        for path in paths:
            try:
                remove_one(path)
            except OSError as error:
                log.debug(f"'{path}' is not there to be removed: {error.strerror}")
