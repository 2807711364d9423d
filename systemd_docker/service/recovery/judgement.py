"""Find out why a container ended that this unit did not stop, and whether `docker restart` starts it again.

The engine's events tell: it was asked to stop the container, or it was not. Only a container that the engine was
asked to stop can be about to be started again by it; no event tells `docker stop` and `docker restart` apart before.
"""

from __future__ import annotations

import time

from systemd_docker import log
from systemd_docker.engine.answers import facts_of
from systemd_docker.engine.events import EventError, EventReader
from systemd_docker.errors import Error
from systemd_docker.frozen import frozen
from systemd_docker.kernel.signals import SIGKILL, signal_number
from systemd_docker.service.engine_requests import EngineRequests, Follower, engine_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from systemd_docker.engine.events import Event
    from systemd_docker.engine.http import Exchange
    from systemd_docker.kernel.loop import Loop, Timer
    from systemd_docker.service.container_state import ContainerState
    from systemd_docker.service.engine_requests import EngineAddress

ANSWER_TIMEOUT_SEC = 10
"""How long the engine may take to tell why the container ended; then nothing is known, and it is over."""

HURRIED_SEC = 1
"""The same when the unit is to stop."""

RESTART_GRACE_SEC = 3
"""Between the end of a container that the engine was asked to stop, and its next start, if it was `docker
restart`."""

KILLED = 128 + SIGKILL


@frozen
class Verdict:
    """was_killed: the engine was asked to stop the container and had to send SIGKILL.

    stopped_nsec: when it was asked to stop, by its clock, if the container may be started again; else 0.
    ran_out_of_memory: the kernel killed it for its memory limit.
    """

    was_killed: bool = False
    stopped_nsec: int = 0
    ran_out_of_memory: bool = False


class Judgement:
    """Ask the engine why one container ended; calls back once, with a Verdict, then is to be closed."""

    def __init__(
        self,
        loop: Loop,
        address: EngineAddress,
        container: ContainerState,
        *,
        on_verdict: Callable[[Verdict], None],
    ) -> None:
        self._loop = loop
        self._requests = EngineRequests(loop, address)
        self._container = container
        self._on_verdict = on_verdict
        self._events: tuple[Event, ...] = ()
        self._ran_out_of_memory = False
        self._timer: Timer | None = None
        self._stop_signal = ""

    def begin(self, exit_code: int, stop_signal: str, stop_timeout_sec: float) -> None:
        """stop_signal, stop_timeout_sec: of the container; the stop may have begun as long ago as that."""
        self._stop_signal = stop_signal
        self._timer = self._loop.after(ANSWER_TIMEOUT_SEC, self._decide)
        now_nsec = time.time_ns()
        begin_nsec = now_nsec - int((stop_timeout_sec + 60) * 10**9)
        what = f"cannot ask the engine how container '{self._container.name}' ended"
        self._requests.send(
            what,
            lambda engine: engine.events(
                self._container.id,
                ("kill", "die", "start", "destroy"),
                since_nsec=begin_nsec,
                until_nsec=now_nsec,
            ),
            self._on_events,
            ANSWER_TIMEOUT_SEC,
        )
        if exit_code == KILLED:
            self._requests.send(
                what, lambda engine: engine.ask(self._container.id), self._on_facts, ANSWER_TIMEOUT_SEC
            )
        self._decide_if_known()

    def hurry(self) -> None:
        """The unit is to stop: a restart is not waited for any more, only for a moment how the container ended."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self._loop.after(HURRIED_SEC, self._decide)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._requests.close()

    def _on_events(self, exchange: Exchange | None) -> None:
        if exchange is not None:
            self._events = parsed(exchange.parser.take_body())
        self._decide_if_known()

    def _on_facts(self, exchange: Exchange | None) -> None:
        if exchange is not None:
            try:
                self._ran_out_of_memory = facts_of(exchange).oom_killed
            except Error as error:
                log.debug(f"cannot tell why container '{self._container.name}' was killed: {error}")
        self._decide_if_known()

    def _decide_if_known(self) -> None:
        if not self._requests.are_open:
            self._decide()

    def _decide(self) -> None:
        if self._timer is None:
            return
        self.close()
        events = self._events
        self._on_verdict(
            Verdict(was_killed(events, self._stop_signal), stopped_nsec(events), self._ran_out_of_memory)
        )


class RestartWatch:
    """Wait until the engine starts the container again, or the time for that is over; calls back once."""

    def __init__(
        self,
        loop: Loop,
        address: EngineAddress,
        container: ContainerState,
        *,
        on_started: Callable[[], None],
        on_not_restarted: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._engine = engine_at(address)
        self._id = container.id
        self._on_started = on_started
        self._on_not_restarted = on_not_restarted
        self._reader = EventReader()
        self._follower: Follower | None = None

    def begin(self, since_nsec: int) -> None:
        """since_nsec: when the container was stopped; its next start may be past already."""
        try:
            exchange = self._engine.events(self._id, ("start", "destroy"), since_nsec=since_nsec)
        except Error as error:
            log.debug(f"cannot wait for a restart of the container: {error}")
            self._on_not_restarted()
            return
        follower = self._follower = Follower(self._loop, exchange, RESTART_GRACE_SEC)
        found: list[Event] = []

        def is_done(exchange: Exchange) -> bool:
            found.extend(self._read(exchange))
            return bool(found) or exchange.complete

        def on_done() -> None:
            follower.close()
            if any(event.action == "start" for event in found):
                self._on_started()
            else:
                self._on_not_restarted()

        follower.follow(is_done, on_done, lambda reason: self._on_not_restarted())

    def close(self) -> None:
        if self._follower is not None:
            self._follower.close()
            self._follower = None

    def _read(self, exchange: Exchange) -> tuple[Event, ...]:
        if exchange.parser.head is None or exchange.parser.head.status != 200:
            return ()
        try:
            return tuple(self._reader.feed(exchange.parser.take_body()))
        except EventError as error:
            log.debug(f"the engine's events are no events: {error}")
            return ()


def parsed(body: bytes) -> tuple[Event, ...]:
    """Return the events in a whole answer; () where it is none."""
    try:
        return tuple(EventReader().feed(body))
    except EventError as error:
        log.debug(f"the engine's events are no events: {error}")
        return ()


def stopped_nsec(events: Sequence[Event]) -> int:
    """Return when the last end was, if the engine had been asked for it and the container still exists; else 0."""
    asked_nsec = ended_nsec = 0
    for event in events:
        match event.action:
            case "kill":
                asked_nsec = event.time_nsec
            case "die":
                ended_nsec = event.time_nsec if asked_nsec else 0
                asked_nsec = 0
            case "start":
                asked_nsec = 0
            case "destroy":
                return 0
    # An engine may report the end a moment after it has answered the wait for it.
    return asked_nsec or ended_nsec


def was_killed(events: Sequence[Event], stop_signal: str) -> bool:
    """Return whether the engine sent the stop signal and then SIGKILL: `docker stop` does, `docker kill` sends
    one."""
    sent: list[str] = []
    for event in events:
        if event.action == "start":
            sent.clear()
        elif event.action == "kill":
            sent.append(str(event.attributes.get("signal", "")))
    return sent[-2:] == [str(signal_number(stop_signal)), str(SIGKILL)]
