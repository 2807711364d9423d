"""A service that runs: supervised until its container has ended, then cleared away."""

from __future__ import annotations

import os

from systemd_docker import log
from systemd_docker.service import held as held_room
from systemd_docker.service.ending import ending_of
from systemd_docker.service.loop import Loop
from systemd_docker.service.mainpid import MainPid
from systemd_docker.service.rest import rest
from systemd_docker.service.signals import Signals
from systemd_docker.service.supervise import Supervisor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.service.ending import Ending
    from systemd_docker.service.held import Held
    from systemd_docker.unit import UnitContext


def live(held: Held, unit: UnitContext, signals: Signals, *, may_rest: bool = True) -> Ending:
    """Supervise what is held until it has ended, and clear it away; how this process has to end."""
    loop = Loop()
    main_pid = MainPid(held.notify_socket, is_leader=held.leader_is_main)
    try:
        supervisor = Supervisor(loop, held, main_pid)
        outcome = supervisor.run(signals, rest=(lambda now: rest(now, unit.environ)) if may_rest else None)
    finally:
        _clear(held)
    return ending_of(outcome, as_code=held.as_code)


def resume(held: Held, unit: UnitContext) -> Ending:
    """Go on in a new image of this program; see service.rest."""
    signals = Signals(can_interrupt=False)
    try:
        return live(held, unit, signals, may_rest=False)
    finally:
        signals.close()


def _clear(held: Held) -> None:
    if held.removes:
        from systemd_docker.engine.client import Engine
        from systemd_docker.service.launch import remove

        remove(Engine(held.socket_path, held.api), held.id)
    for remove_one, paths in ((os.unlink, held.files), (os.rmdir, held.directories)):
        for path in paths:
            try:
                remove_one(path)
            except OSError as error:
                log.debug(f"'{path}' is not there to be removed: {error.strerror}")
    held_room.close(held)
