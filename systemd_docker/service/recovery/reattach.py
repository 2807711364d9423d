"""The engine has gone away, or somebody else has stopped the container: what has become of it.

Nothing is polled: an engine that comes back shows itself by its socket or its PID file, which the kernel reports.
What is asked in between, with ever longer pauses, is only in case that a report was missed. A container that runs on,
as with live-restore, or runs again, after `docker restart`, is held on to as one that we have started ourselves.
"""

from __future__ import annotations

import os
import select
import time

from systemd_docker import log
from systemd_docker.errors import EngineError, EngineUnreachableError, Error
from systemd_docker.frozen import frozen, replace
from systemd_docker.kernel.pidfd import NO_FD, hold, is_dead
from systemd_docker.service.output.log_resume import since_sec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from systemd_docker.engine.client import Engine
    from systemd_docker.engine.events import Event
    from systemd_docker.engine.http import Exchange
    from systemd_docker.engine.models import ContainerFacts
    from systemd_docker.kernel.loop import Loop
    from systemd_docker.service.supervise.state import Held

RESTART_GRACE_SEC = 3
"""Between the end of a container that somebody has asked the engine to stop, and its next start, if it was a
`docker restart`: nothing tells the two apart before."""

HURRIED_SEC = 1
"""How long the engine may take to tell who stopped it when the unit is to stop."""

FIRST_PAUSE_SEC, LONGEST_PAUSE_SEC = 1, 60
"""Between attempts to reach an engine that does not show itself; each pause is twice as long as the one before."""

SETTLING_PAUSE_SEC = 0.05
"""The first of them when the engine has just shown itself."""

MAX_GHOST_LOOKS = 4
"""How often an engine may say of a dead leader that it runs; with the pauses, for 15 s."""

PID_FILE = "docker.pid"
"""What dockerd writes beside its socket when it starts. The socket itself stays where docker.socket holds it."""


@frozen
class Ended:
    """exit_code: None where nobody can tell it."""

    exit_code: int | None


class Whereabouts:
    """Watches until found is not None: what is held from now on, or that there is nothing any more.

    is_engine_back: whether it answers.
    was_stopped:    whether somebody had the engine stop it, and SIGKILL was what it took.

    Of the descriptors in the record that it began with, those that were replaced have been closed.
    """

    def __init__(
        self, loop: Loop, held: Held, engine: Engine, exit_code: int | None, *, pause_sec: float = FIRST_PAUSE_SEC
    ) -> None:
        """exit_code: what the engine has said of the end, None where it has not."""
        self.found: Held | Ended | None = None
        self.is_engine_back = False
        self.was_stopped = False
        self._is_judging = False
        self._is_hurried = False
        self._ghost_looks = 0
        self._loop = loop
        self._held = held
        self._engine = engine
        self._exit_code = exit_code
        self._exchanges: list[Exchange] = []
        self._pause_sec = pause_sec
        self._attempt = 0
        self._inotify = NO_FD

    def begin(self) -> None:
        if self._exit_code is None:
            self._look()
        else:
            self._ask_who_stopped_it(self._exit_code)

    def close(self) -> None:
        for exchange in list(self._exchanges):
            self._forget(exchange)
        if self._inotify != NO_FD:
            self._loop.unwatch(self._inotify)
            os.close(self._inotify)
            self._inotify = NO_FD

    def give_up(self) -> None:
        """Nobody will tell any more."""
        if self.found is None:
            self.found = Ended(self._exit_code)

    def hurry(self) -> None:
        """It is dead, and the unit is to stop: a restart is not waited for, only whether it was stopped as well."""
        self._is_hurried = True
        if self._is_judging:
            self._loop.after(HURRIED_SEC, self.give_up)
        else:
            self.give_up()

    # The container has ended, and the engine has said so.

    def _ask_who_stopped_it(self, exit_code: int) -> None:
        """Only what the engine was asked to stop can be about to be started again by the engine."""
        now_nsec = time.time_ns()
        begin_nsec = now_nsec - (self._held.stop_timeout_sec + 60) * 10**9

        def judge(exchange: Exchange) -> None:
            events = _events(exchange.parser.take_body())
            self._is_judging = False
            self.was_stopped = was_stopped(events, self._held.stop_signal)
            stopped_nsec = _stopped_at(events)
            if stopped_nsec and not self._is_hurried:
                # The next start may be behind us already.
                self._hold_for_restart(exit_code, stopped_nsec + 1)
            else:
                self.give_up()

        self._is_judging = True
        self._ask(
            lambda: self._engine.events(
                self._held.id, ("kill", "die", "start", "destroy"), since_nsec=begin_nsec, until_nsec=now_nsec
            ),
            judge,
            self.give_up,
        )

    def _hold_for_restart(self, exit_code: int, since_nsec: int) -> None:
        self._loop.after(RESTART_GRACE_SEC, self._expect_no_restart)
        try:
            exchange = self._engine.events(self._held.id, ("start", "destroy"), since_nsec=since_nsec)
        except EngineUnreachableError:
            self.give_up()
            return
        self._exchanges.append(exchange)

        def on_event() -> None:
            try:
                exchange.advance()
            except OSError:
                self.give_up()
                return
            events = _events(exchange.parser.take_body()) if exchange.parser.head else ()
            if any(event.action == "start" for event in events):
                self._forget(exchange)
                self._exit_code = None
                self.was_stopped = False
                self._look()
            elif events or exchange.complete:
                self.give_up()
            else:
                self._loop.watch(exchange.fileno(), exchange.events, on_event)

        self._loop.watch(exchange.fileno(), exchange.events, on_event)

    def _expect_no_restart(self) -> None:
        if self._exit_code is not None:
            self.give_up()

    # Where the engine is, and whether it knows the container.

    def _look(self) -> None:
        self._attempt += 1
        self._ask(lambda: self._engine.ask(self._held.id), self._on_facts, self._wait_for_engine)

    def _on_facts(self, exchange: Exchange) -> None:
        from systemd_docker.engine.answers import facts_of

        try:
            facts = facts_of(exchange)
        except EngineError as error:
            if error.http_status == 404:
                self.give_up()
            else:
                log.debug(f"the engine cannot tell of container '{self._held.name}' yet: {error}")
                self._wait_for_engine()
            return
        self.is_engine_back = True
        if not facts.running:
            self._exit_code = facts.exit_code
        elif facts.pid == self._held.leader and self._held.pidfd != NO_FD and is_dead(self._held.pidfd):
            self._look_for_ghost()
            return
        self._take_output(facts)

    def _look_for_ghost(self) -> None:
        """The leader is dead, and the engine does not know. One whose containerd was killed may never learn of it."""
        self._ghost_looks += 1
        if self._ghost_looks < MAX_GHOST_LOOKS:
            self._wait_for_engine()
        else:
            self.give_up()

    def _wait_for_engine(self) -> None:
        if self._inotify == NO_FD:
            self._inotify = _watch_directory(os.path.dirname(self._held.socket_path))
            if self._inotify != NO_FD:
                self._loop.watch(self._inotify, select.POLLIN, self._on_directory_change)
        attempt = self._attempt
        self._loop.after(self._pause_sec, lambda: self._look_again(attempt))
        self._pause_sec = min(2 * self._pause_sec, LONGEST_PAUSE_SEC)

    def _on_directory_change(self) -> None:
        names = os.read(self._inotify, 65536)
        wanted = (PID_FILE, os.path.basename(self._held.socket_path))
        if any(name.encode() in names for name in wanted):
            # A socket's file is there a moment before anybody listens.
            self._pause_sec = SETTLING_PAUSE_SEC
            self._look_again(self._attempt)

    def _look_again(self, attempt: int) -> None:
        """Unless somebody has done so since, or an answer is on its way."""
        if attempt == self._attempt and self.found is None and not self._exchanges:
            self._look()

    # It is there: hold on to it.

    def _take_output(self, facts: ContainerFacts) -> None:
        if self._held.output_fd == NO_FD:
            self._finish(facts, NO_FD, b"", is_log=False)
            return
        tails = self._held.tails

        def on_log(exchange: Exchange) -> None:
            head = exchange.parser.head
            assert head is not None
            if head.status == 200:
                self._finish(facts, *_detached(exchange), is_log=True)
            else:
                log.info(
                    f"the engine keeps no output of container '{self._held.name}': what it wrote meanwhile is lost"
                )
                self._attach(facts)

        self._ask_head(lambda: self._engine.ask_log(self._held.id, since_sec=since_sec(tails)), on_log)

    def _attach(self, facts: ContainerFacts) -> None:
        def on_head(exchange: Exchange) -> None:
            if exchange.parser.head is not None and exchange.parser.head.is_upgrade:
                self._finish(facts, *_detached(exchange), is_log=False)
            else:
                self._finish(facts, NO_FD, b"", is_log=False)

        if facts.running:
            self._ask_head(lambda: self._engine.ask_output(self._held.id), on_head)
        else:
            self._finish(facts, NO_FD, b"", is_log=False)

    def _finish(self, facts: ContainerFacts, output_fd: int, early: bytes, *, is_log: bool) -> None:
        """The container as it is now is what is held."""
        from systemd_docker.engine.multiplex import BEGINNING

        try:
            exchange = self._engine.ask_exit(self._held.id)
            # The request fits into the socket's buffer: nothing else is to be sent.
            exchange.advance()
        except (OSError, Error):
            if output_fd != NO_FD:
                os.close(output_fd)
            self._wait_for_engine()
            return
        leader, pidfd = hold(facts.pid if facts.running else 0)
        for fd in (self._held.output_fd, self._held.exit_fd, self._held.pidfd):
            if fd != NO_FD:
                os.close(fd)
        exit_fd, exit_received = exchange.parts()
        self.found = replace(
            self._held,
            name=facts.name or self._held.name,
            leader=leader,
            output_fd=output_fd,
            output_is_log=is_log,
            frame=BEGINNING,
            early_output=early,
            exit_fd=exit_fd,
            exit_received=exit_received,
            pidfd=pidfd,
            health_found=facts.health if facts.running else "",
        )

    # Requests.

    def _ask(
        self, ask: Callable[[], Exchange], then: Callable[[Exchange], None], otherwise: Callable[[], None]
    ) -> None:
        self._follow(ask, lambda exchange: exchange.complete, then, otherwise)

    def _ask_head(self, ask: Callable[[], Exchange], then: Callable[[Exchange], None]) -> None:
        self._follow(ask, lambda exchange: exchange.parser.head is not None, then, self._wait_for_engine)

    def _follow(
        self,
        ask: Callable[[], Exchange],
        is_done: Callable[[Exchange], bool],
        then: Callable[[Exchange], None],
        otherwise: Callable[[], None],
    ) -> None:
        """Ask, and call then when it is done, with an exchange that is closed afterwards; or otherwise."""
        try:
            exchange = ask()
        except EngineUnreachableError:
            otherwise()
            return
        self._exchanges.append(exchange)

        def advance() -> None:
            try:
                exchange.advance()
            except OSError as error:
                log.debug(f"the engine went away while it was asked: {error}")
                self._forget(exchange)
                otherwise()
                return
            if is_done(exchange):
                self._loop.unwatch(exchange.fileno())
                self._exchanges.remove(exchange)
                then(exchange)
                exchange.close()
            else:
                self._loop.watch(exchange.fileno(), exchange.events, advance)

        self._loop.watch(exchange.fileno(), exchange.events, advance)

    def _forget(self, exchange: Exchange) -> None:
        self._loop.unwatch(exchange.fileno())
        exchange.close()
        self._exchanges.remove(exchange)


def _detached(exchange: Exchange) -> tuple[int, bytes]:
    early = exchange.parser.take_body()
    return exchange.detach().detach(), early


def _watch_directory(path: str) -> int:
    """Return an fd that is readable when a file has been made or written there; NO_FD where that cannot be had."""
    # ctypes costs a megabyte, which only a service that waits for its engine pays.
    from systemd_docker.kernel import inotify

    try:
        return inotify.watch(path, inotify.IN_CREATE | inotify.IN_MOVED_TO | inotify.IN_CLOSE_WRITE)
    except OSError as error:
        log.debug(f"cannot watch '{path}' for the engine's socket: {error.strerror}")
        return NO_FD


def _stopped_at(events: tuple[Event, ...]) -> int:
    """When the last end was, if the engine had been asked for it and the container is still there; else 0."""
    asked_nsec = stopped_nsec = 0
    for event in events:
        match event.action:
            case "kill":
                asked_nsec = event.time_nsec
            case "die":
                stopped_nsec = event.time_nsec if asked_nsec else 0
                asked_nsec = 0
            case "start":
                asked_nsec = 0
            case "destroy":
                return 0
    # An engine may tell of the end a moment after it has answered who waited for it.
    return asked_nsec or stopped_nsec


def was_stopped(events: tuple[Event, ...], stop_signal: str) -> bool:
    """Whether the last that the engine sent was the stop signal and, for want of an end, SIGKILL: as for
    `docker stop`, ExecStop=systemd-docker stop. `docker kill` sends one signal."""
    sent: list[str] = []
    for event in events:
        if event.action == "start":
            sent.clear()
        elif event.action == "kill":
            sent.append(str(event.attributes.get("signal", "")))
    if sent[-1:] != ["9"]:
        return False
    from systemd_docker.plan.launch_plan import signal_number

    return sent[-2:-1] == [str(signal_number(stop_signal))]


def _events(data: bytes) -> tuple[Event, ...]:
    from systemd_docker.engine.events import EventError, EventReader

    try:
        return tuple(EventReader().feed(data))
    except EventError as error:
        log.debug(f"the engine's events are not understood: {error}")
        return ()
