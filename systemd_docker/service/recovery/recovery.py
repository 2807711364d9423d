"""What is done, and said to the service manager, while it is not known what has become of the container."""

from __future__ import annotations

import select

from systemd_docker import log
from systemd_docker.engine.client import Engine
from systemd_docker.engine.http import never_wait
from systemd_docker.errors import AdoptionError, Error
from systemd_docker.frozen import frozen, replace
from systemd_docker.kernel.pidfd import NO_FD
from systemd_docker.sd.notify import Notifier
from systemd_docker.service.adoption import adopt
from systemd_docker.service.adoption.state import AdoptionState
from systemd_docker.service.notifications.status import Status
from systemd_docker.service.recovery.reattach import Ended, Whereabouts
from systemd_docker.service.start import id_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal

    from systemd_docker.kernel.loop import Loop
    from systemd_docker.kernel.signals import Signals
    from systemd_docker.service.notifications.main_pid import MainPid
    from systemd_docker.service.notifications.reporter import Reports
    from systemd_docker.service.supervise.state import Held
    from systemd_docker.service.supervise.stopper import Stopper
    from systemd_docker.unit import UnitContext
else:
    import _signal as signal

RETURN_TIMEOUT_SEC = 60
"""How long the engine may take to come back and tell how a container has ended that is dead already. Until then a
restart of the unit would only find that there is no engine."""


STOPPED_RETURN_TIMEOUT_SEC = 5
"""The same for one that was to stop: how it has ended matters less than that the stop comes to its end."""


@frozen
class Found:
    """goes_on: the container runs, or has more to say; else it has ended with exit_code, None where nobody knows."""

    held: Held
    goes_on: bool
    exit_code: int | None = None


def search(
    held: Held,
    exit_code: int | None,
    unit: UnitContext,
    loop: Loop,
    main_pid: MainPid,
    stopper: Stopper,
    signals: Signals,
) -> Found:
    """exit_code: what the engine has said of the end, None where it has gone away.

    Descriptors in the record that are replaced are closed.
    """
    whereabouts = Whereabouts(loop, held, Engine(held.socket_path, held.api, never_wait), exit_code)
    is_dead = exit_code is not None

    def on_signal() -> None:
        for signo in signals.read():
            stopper.handle(signo)
        if stopper.stopped_by and is_dead:
            whereabouts.hurry()

    def on_leader_death() -> None:
        nonlocal is_dead
        is_dead = True
        loop.unwatch(held.pidfd)
        if reports is not None:
            reports.forget()
        # The unit does not claim to run while nothing does.
        main_pid.take_back(STOPPING=1)
        longest_sec = STOPPED_RETURN_TIMEOUT_SEC if stopper.stopped_by else min(held.patience_sec, RETURN_TIMEOUT_SEC)
        loop.after(stopper.left_sec(longest_sec), whereabouts.give_up)

    loop.watch(signals.fileno(), select.POLLIN, on_signal)
    if not is_dead and held.pidfd != NO_FD:
        loop.watch(held.pidfd, select.POLLIN, on_leader_death)
    reports = _payload_reports(loop, held, stopper)
    said = held
    try:
        whereabouts.begin()
        if stopper.stopped_by and is_dead:
            whereabouts.hurry()
        loop.run_until(lambda: whereabouts.found is not None and main_pid.settled)
    finally:
        whereabouts.close()
        if reports is not None:
            reports.drain()
            said = reports.now_held(held)
            reports.close()
        for fd in (signals.fileno(), held.pidfd):
            loop.unwatch(fd)
    if isinstance(whereabouts.found, Ended):
        if whereabouts.was_stopped:
            # By somebody who asked the engine in our place.
            stopper.stopped_by, stopper.killed = stopper.stopped_by or signal.SIGTERM, True
        return _gone(whereabouts.found, held, is_engine_back=whereabouts.is_engine_back)
    assert whereabouts.found is not None
    found = _taken_up(replace(whereabouts.found, status=said.status), held, unit, main_pid)
    stopper.held = found
    return Found(found, goes_on=True)


def _gone(ended: Ended, held: Held, *, is_engine_back: bool) -> Found:
    """An engine that does not answer removes nothing either: the next start does."""
    removes = held.removes and (ended.exit_code is not None or is_engine_back)
    return Found(replace(held, removes=removes), goes_on=False, exit_code=ended.exit_code)


def _payload_reports(loop: Loop, held: Held, stopper: Stopper) -> Reports | None:
    """What the payload says goes on meanwhile, its WATCHDOG=1 above all; its health only the engine knows."""
    if held.notify_fd == NO_FD:
        return None
    from systemd_docker.service.notifications.reporter import Reports

    watchdog = "health" if held.watchdog == "engine" else held.watchdog
    quiet = replace(held, healthcheck="", health_fd=NO_FD, watchdog=watchdog)
    return Reports(loop, quiet, stopper.requests, stirred=lambda: None)


def _taken_up(held: Held, before: Held, unit: UnitContext, main_pid: MainPid) -> Held:
    """What has to be told of a container that goes on."""
    if held.leader == before.leader:
        log.info(f"the engine is back, and container '{held.name}' has gone on meanwhile")
        return held
    if not held.leader:
        return held
    log.info(f"container '{held.name}' was started again, with process {held.leader}")
    held = replace(held, restarts=held.restarts + 1, health=held.health_found and "starting")
    if held.pid_file:
        try:
            id_files.replace_pid_file(held.pid_file, held.leader)
        except Error as error:
            log.warning(f"{error}, ignoring")
    adoption = AdoptionState(held.adoption, held.sweeps, held.cgroups)
    try:
        held = replace(held, moved=adopt.adopt(adoption, unit, held.id, held.leader).moved)
    except AdoptionError as error:
        log.error(f"{error}; container '{held.name}' is killed")
        signal.pidfd_send_signal(held.pidfd, signal.SIGKILL)
        return held
    if held.leader_is_main:
        main_pid.give(held.leader)
    Status(Notifier(held.notify_socket), held).say()
    return held
