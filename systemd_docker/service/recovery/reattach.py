"""Find the container again: after the engine went away, and after the engine has started the container anew.

Nothing is polled: an engine that comes back shows itself by its socket or its PID file, which inotify(7) reports. The
questions in between, with growing pauses, are only in case that a report was missed. A container that still runs, as
with live-restore, or runs again, as after `docker restart`, is attached to like one that has just been started.
"""

from __future__ import annotations

import os
import select

from systemd_docker import log
from systemd_docker.engine.answers import exit_of, facts_of
from systemd_docker.errors import EngineError, Error
from systemd_docker.frozen import frozen
from systemd_docker.kernel.fd import NO_FD, Fd, close_fd
from systemd_docker.kernel.pidfd import is_dead, open_or_none
from systemd_docker.service.container_state import ContainerState
from systemd_docker.service.engine_requests import ANSWER_TIMEOUT_SEC, Follower, engine_at
from systemd_docker.service.exit_wait import ExitWaitState
from systemd_docker.service.output.log_resume import since_sec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from systemd_docker.engine.http import Exchange
    from systemd_docker.engine.models import ContainerFacts
    from systemd_docker.kernel.loop import Loop, Timer
    from systemd_docker.service.engine_requests import EngineAddress
    from systemd_docker.service.output.log_resume import Plain

FIRST_PAUSE_SEC, LONGEST_PAUSE_SEC = 1, 60
"""Between attempts to reach an engine that does not show itself; each pause is twice as long as the one before."""

SETTLING_PAUSE_SEC = 0.05
"""The first pause when the engine has just shown itself: its socket is there a moment before it listens."""

MAX_STALE_ANSWERS = 4
"""How often an engine may report a dead leader as running, in 15 s: its containerd was killed, and it never
learns."""

PID_FILE = "docker.pid"
"""dockerd writes it beside its socket when it starts. The socket itself stays where docker.socket holds it."""


@frozen
class Found:
    """The container as the engine describes it now. Its descriptors are the receiver's.

    exit_code: of a container that has ended; None for one that runs.
    output_fd: its output, from before the last that was passed on where is_log; NO_FD where there is none.
    early:     output that was received already.
    health:    the engine's word, "" where the container does not run or has no healthcheck.
    """

    container: ContainerState
    exit_code: int | None
    output_fd: Fd
    early: bytes
    is_log: bool
    exit_wait: ExitWaitState
    health: str


class Reattachment:
    """Look for one container until it is found or known to be gone; calls back once, then is to be closed.

    has_reached_engine: whether the engine has answered about the container.
    """

    def __init__(
        self,
        loop: Loop,
        address: EngineAddress,
        container: ContainerState,
        recent: Callable[[], Plain] | None,
        *,
        on_found: Callable[[Found], None],
        on_nothing: Callable[[], None],
    ) -> None:
        """recent: returns the last output that was passed on, see Position; None where output is not relayed."""
        self.has_reached_engine = False
        self._loop = loop
        self._engine = engine_at(address)
        self._socket_path = address.socket_path
        self._container = container
        self._recent = recent
        self._on_found = on_found
        self._on_nothing = on_nothing
        self._follower: Follower | None = None
        self._timer: Timer | None = None
        self._pause_sec: float = FIRST_PAUSE_SEC
        self._stale_answers = 0
        self._inotify = int(NO_FD)
        self._output: tuple[Fd, bytes, bool] = (NO_FD, b"", False)

    def begin(self, pause_sec: float = 0.0) -> None:
        """pause_sec: before the first question; for an engine that has just been lost a second time."""
        if pause_sec:
            self._watch_directory()
            self._timer = self._loop.after(pause_sec, self._look)
        else:
            self._look()

    def close(self) -> None:
        self._stop_asking()
        self._drop_output()
        if self._inotify != NO_FD:
            self._loop.unwatch(self._inotify)
            os.close(self._inotify)
            self._inotify = int(NO_FD)

    # Is the engine there, and does it know the container?

    def _look(self) -> None:
        self._stop_asking()
        self._ask(
            lambda: self._engine.ask(self._container.id), lambda exchange: exchange.complete, self._on_inspected
        )

    def _on_inspected(self, exchange: Exchange) -> None:
        try:
            facts = facts_of(exchange)
        except EngineError as error:
            if error.http_status == 404:
                self.has_reached_engine = True
                self._on_nothing()
            else:
                self._pause(f"the engine cannot inspect container '{self._container.name}' yet: {error}")
            return
        self.has_reached_engine = True
        if facts.running and self._is_stale(facts):
            self._stale_answers += 1
            if self._stale_answers >= MAX_STALE_ANSWERS:
                self._on_nothing()
            else:
                self._pause(f"the engine reports process {facts.pid} as running, which is dead")
        elif self._recent is None:
            self._ask_exit(facts)
        else:
            self._ask_log(facts, self._recent())

    def _is_stale(self, facts: ContainerFacts) -> bool:
        known = self._container
        return facts.pid == known.leader and known.pidfd != NO_FD and is_dead(known.pidfd)

    # Output from where it stopped: the engine's log has it, unless the container has no log.

    def _ask_log(self, facts: ContainerFacts, recent: Plain) -> None:
        def on_head(exchange: Exchange) -> None:
            head = exchange.parser.head
            assert head is not None
            if head.status == 200:
                self._take_output(exchange, is_log=True)
                self._ask_exit(facts)
            elif head.status >= 500 and head.status != NOT_IMPLEMENTED:
                self._pause(
                    f"the engine cannot read the log of container '{self._container.name}' yet: {head.status}"
                )
            else:
                log.info(f"container '{self._container.name}' has no log: its output in the meantime is lost")
                self._ask_output(facts)

        self._ask(
            lambda: self._engine.ask_log(self._container.id, since_sec=since_sec(recent)),
            lambda exchange: exchange.parser.head is not None,
            on_head,
        )

    def _ask_output(self, facts: ContainerFacts) -> None:
        if not facts.running:
            self._ask_exit(facts)
            return

        def on_head(exchange: Exchange) -> None:
            if exchange.parser.head is not None and exchange.parser.head.is_upgrade:
                self._take_output(exchange, is_log=False)
            self._ask_exit(facts)

        self._ask(
            lambda: self._engine.ask_output(self._container.id),
            lambda exchange: exchange.parser.head is not None,
            on_head,
        )

    def _take_output(self, exchange: Exchange, *, is_log: bool) -> None:
        early = exchange.parser.take_body()
        self._output = (Fd(exchange.detach().detach()), early, is_log)

    def _drop_output(self) -> None:
        close_fd(self._output[0])
        self._output = (NO_FD, b"", False)

    # The next end.

    def _ask_exit(self, facts: ContainerFacts) -> None:
        if not facts.running:
            self._report(facts, facts.exit_code, ExitWaitState())
            return

        def on_head(exchange: Exchange) -> None:
            head = exchange.parser.head
            assert head is not None
            if head.status != 200:
                self._drop_output()
                self._pause(f"the engine cannot wait for container '{self._container.name}' yet: {head.status}")
            elif exchange.complete:
                self._on_exited(facts, exchange)
            else:
                fd, received = exchange.parts()
                self._report(facts, None, ExitWaitState(Fd(fd), received))

        self._ask(
            lambda: self._engine.ask_exit(self._container.id),
            lambda exchange: exchange.parser.head is not None,
            on_head,
        )

    def _on_exited(self, facts: ContainerFacts, exchange: Exchange) -> None:
        try:
            exit_code = exit_of(exchange)
        except EngineError as error:
            self._drop_output()
            self._pause(str(error))
            return
        self._report(facts, exit_code, ExitWaitState())

    def _report(self, facts: ContainerFacts, exit_code: int | None, exit_wait: ExitWaitState) -> None:
        runs = exit_code is None
        leader, pidfd = open_or_none(facts.pid if runs else 0)
        container = ContainerState(self._container.id, facts.name or self._container.name, leader, pidfd)
        (output_fd, early, is_log), self._output = self._output, (NO_FD, b"", False)
        health = facts.health if runs else ""
        self._on_found(Found(container, exit_code, output_fd, early, is_log, exit_wait, health))

    # Asking, and pauses.

    def _ask(
        self, ask: Callable[[], Exchange], is_done: Callable[[Exchange], bool], then: Callable[[Exchange], None]
    ) -> None:
        """Ask, and call then with the exchange, which is closed afterwards; or pause, and begin again."""
        try:
            follower = self._follower = Follower(self._loop, ask(), ANSWER_TIMEOUT_SEC)
        except Error as error:
            self._drop_output()
            self._pause(str(error))
            return

        def on_done() -> None:
            self._follower = None
            then(follower.exchange)
            follower.close()

        def on_failed(reason: str) -> None:
            self._follower = None
            self._drop_output()
            self._pause(f"the engine went away again: {reason}")

        follower.follow(is_done, on_done, on_failed)

    def _pause(self, reason: str) -> None:
        log.debug(reason)
        self._watch_directory()
        self._timer = self._loop.after(self._pause_sec, self._look)
        self._pause_sec = min(2 * self._pause_sec, LONGEST_PAUSE_SEC)

    def _stop_asking(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._follower is not None:
            self._follower.close()
            self._follower = None

    def _watch_directory(self) -> None:
        """inotify only shortens the pauses: without it the engine is asked again when the next one is over."""
        if self._inotify != NO_FD:
            return
        # Memory: ctypes, which only a service needs that has lost its engine.
        from systemd_docker.kernel import inotify

        directory = os.path.dirname(self._socket_path)
        try:
            self._inotify = inotify.watch(directory, inotify.IN_CREATE | inotify.IN_MOVED_TO | inotify.IN_CLOSE_WRITE)
        except OSError as error:
            log.debug(f"cannot watch '{directory}' for the engine's return: {error}")
            return
        self._loop.watch(self._inotify, select.POLLIN, self._on_directory_change)

    def _on_directory_change(self) -> None:
        names = os.read(self._inotify, 65536)
        wanted = (PID_FILE, os.path.basename(self._socket_path))
        if self._follower is None and any(name.encode() in names for name in wanted):
            self._stop_asking()
            self._pause_sec = FIRST_PAUSE_SEC
            self._timer = self._loop.after(SETTLING_PAUSE_SEC, self._look)


NOT_IMPLEMENTED = 501
"""What engines answer for the log of a container whose log driver cannot be read; others answer 4xx."""
