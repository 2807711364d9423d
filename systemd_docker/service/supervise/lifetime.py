"""A service that runs: supervised until its container has ended, then cleared away."""

from __future__ import annotations

import os

from systemd_docker import log
from systemd_docker.kernel.loop import Loop
from systemd_docker.kernel.pidfd import NO_FD
from systemd_docker.kernel.signals import Signals
from systemd_docker.service.engine_requests import Requests
from systemd_docker.service.exit_status import Outcome, ending_of
from systemd_docker.service.notifications.main_pid import MainPid
from systemd_docker.service.supervise import state as held_room
from systemd_docker.service.supervise.reexec import rest
from systemd_docker.service.supervise.stopper import Stopper
from systemd_docker.service.supervise.supervisor import Supervisor

KILLED = 128 + 9
"""SIGKILL, as the engine reports it."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.service.exit_status import Ending
    from systemd_docker.service.supervise.state import Held
    from systemd_docker.unit import UnitContext


LATE_STOP_SEC = 5
"""How long a removal may go on when the unit is told to stop in the middle of it."""

LAST_REMOVAL_SEC = 1
"""How long it may take at least, of what STOP_MARGIN_SEC leaves."""


def live(held: Held, unit: UnitContext, signals: Signals, *, is_new: bool = True) -> Ending:
    """Supervise what is held until it has ended, and clear it away; how this process has to end.

    is_new: whether the container has just been started.
    Raises EngineUnreachableError: the container has ended while the engine was away, and nobody knows how.
    """
    loop = Loop()
    main_pid = MainPid(loop, held.notify_socket, is_leader=held.leader_is_main)
    stopper = Stopper(loop, held, Requests(loop, held.socket_path, held.api))
    rests_soon = is_new
    try:
        while True:
            supervisor = Supervisor(loop, held, main_pid, stopper)
            exit_code = supervisor.run(
                signals, lambda now: rest(now, unit.environ, signals.has_caught), rests_soon=rests_soon
            )
            held = supervisor.now_held()
            at_start = is_new and supervisor.was_stopped_early
            if exit_code is not None and stopper.stopped_by and (exit_code != KILLED or stopper.killed):
                break
            # Only who loses the engine, or a container that has ended by itself, pays for the room that searches.
            from systemd_docker.service.recovery.recovery import search

            found = search(held, exit_code, unit, loop, main_pid, stopper, signals)
            is_new = found.held.leader != held.leader
            held, exit_code = found.held, found.exit_code
            if not found.goes_on:
                break
            rests_soon = True
        if exit_code == KILLED and not stopper.stopped_by:
            _say_why_it_was_killed(held, signals, stopper)
    finally:
        main_pid.close()
        _clear(held, signals, stopper)
    if exit_code is None:
        exit_code = _unknown_exit_code(held, stopper)
    return ending_of(Outcome(exit_code, stopper.stopped_by, stopper.killed, at_start), as_code=held.as_code)


def _say_why_it_was_killed(held: Held, signals: Signals, stopper: Stopper) -> None:
    """The one reason for SIGKILL that nobody has chosen; asked for while the container is still there."""
    from systemd_docker.engine.answers import ANSWER_TIMEOUT_SEC
    from systemd_docker.engine.client import Engine
    from systemd_docker.engine.http import no_longer_than
    from systemd_docker.errors import Error
    from systemd_docker.kernel.signals import StopRequestedError

    limit_sec = stopper.left_sec(ANSWER_TIMEOUT_SEC, at_least_sec=LAST_REMOVAL_SEC)
    try:
        facts = Engine(held.socket_path, held.api, no_longer_than(limit_sec, signals.wait)).inspect(held.id)
    except (Error, StopRequestedError) as error:
        log.debug(f"nobody can tell why container '{held.name}' was killed: {error}")
        return
    if facts.oom_killed:
        log.error(f"container '{held.name}' ran out of memory and was killed")
        log.info("Its limits are --memory of docker-run(1) and MemoryMax= of the unit.")


def _unknown_exit_code(held: Held, stopper: Stopper) -> int:
    """A container that was to stop, and is dead, has stopped; else it is an error that nobody knows how it ended."""
    if stopper.stopped_by:
        log.warning(f"the engine has not said how container '{held.name}' has stopped, ignoring")
        return 128 + stopper.stopped_by
    from systemd_docker.errors import EngineUnreachableError

    raise EngineUnreachableError(
        f"container '{held.name}' has ended, and the engine cannot say how",
        hint="See 'systemctl status docker.service'.",
    )


def resume(held: Held, unit: UnitContext) -> Ending:
    """Go on in a new image of this program; see service.supervise.reexec."""
    signals = Signals()
    try:
        return live(held, unit, signals, is_new=False)
    finally:
        signals.close()


def _clear(held: Held, signals: Signals, stopper: Stopper) -> None:
    if held.guard_fd != NO_FD:
        # First, so that it is gone when we go: the manager waits for all who are in the unit.
        from systemd_docker.service.notifications.guard import dismiss

        dismiss(held.guard_fd)
    if held.removes:
        from systemd_docker.engine.answers import ANSWER_TIMEOUT_SEC
        from systemd_docker.engine.client import Engine
        from systemd_docker.engine.http import no_longer_than
        from systemd_docker.service.start.launch import remove

        signals.patience_sec = min(LATE_STOP_SEC, held.patience_sec / 2)
        limit_sec = stopper.left_sec(ANSWER_TIMEOUT_SEC, at_least_sec=LAST_REMOVAL_SEC)
        remove(Engine(held.socket_path, held.api, no_longer_than(limit_sec, signals.wait)), held.id)
    for remove_one, paths in ((os.unlink, held.files), (os.rmdir, held.directories)):
        for path in paths:
            try:
                remove_one(path)
            except OSError as error:
                log.debug(f"'{path}' is not there to be removed: {error.strerror}")
    held_room.close(held)
