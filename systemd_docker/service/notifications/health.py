"""Listen to the container's healthcheck through the engine's events.

The engine runs the check, counts, and sends an event at each change: nothing is polled. It sends none for a single
probe, which the watchdog needs; but each probe is an exec of the check's command, and these have events. The same
command run by hand with `docker exec` proves as much.
"""

from __future__ import annotations

from systemd_docker import log
from systemd_docker.engine.answers import facts_of, failure_of
from systemd_docker.engine.events import EventError, EventReader
from systemd_docker.errors import EngineError, Error, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from systemd_docker.engine.client import Engine
    from systemd_docker.engine.events import Event
    from systemd_docker.engine.http import Exchange
    from systemd_docker.kernel.loop import Loop, Timer
    from systemd_docker.service.container_state import ContainerState
    from systemd_docker.service.engine_requests import EngineRequests
    from systemd_docker.service.notifications.state import HealthState

HTTP_OK = 200

MAX_PROBES = 8
"""Probes under way whose end is waited for. The engine runs one at a time; more are an administrator's own, or their
end was lost with the engine: the oldest one is forgotten then."""

ANSWER_TIMEOUT_SEC = 30
"""How long the engine may take to accept a subscription, which it does before it looks for events."""

FIRST_PAUSE_SEC, LONGEST_PAUSE_SEC = 1, 60
"""Before the next subscription, when the engine has refused or ended one; each pause is twice the one before. The
first event, or a subscription that stood longer than the longest pause, ends the series."""


def require_healthcheck(engine: Engine, option: str, image: str, container_id: str) -> None:
    """Raises UsageError where option waits for the health of a container that has no healthcheck."""
    if not engine.inspect(container_id).healthcheck:
        raise UsageError(
            f"{option} needs a healthcheck, and neither the command line nor image '{image}' has one",
            hint="Add --health-cmd, or HEALTHCHECK to the image.",
        )


class Health:
    """Listens to one container's health until close(); subscribes again whenever the engine ends a subscription.

    status:     the engine's word: "starting", "healthy" or "unhealthy".
    since_nsec: from when on the events are still to be read: before this start began, at first, so that none is
                missed.
    """

    def __init__(
        self,
        loop: Loop,
        container: ContainerState,
        state: HealthState,
        requests: EngineRequests,
        *,
        changed: Callable[[str], None],
        probed: Callable[[bool, str], None] | None,
    ) -> None:
        """changed: called with each new status.
        probed:  called with whether a probe succeeded, and the status; None spares the engine the events.
        """
        self.status = state.status
        self.since_nsec = state.since_nsec
        self._loop = loop
        self._requests = requests
        self._container = container
        self._check = state.check
        self._changed = changed
        self._probed = probed
        self._probes: dict[str, None] = {}
        self._exchange: Exchange | None = None
        self._reader = EventReader()
        self._timer: Timer | None = None
        self._pause_sec: float = FIRST_PAUSE_SEC
        self._has_warned = False
        self._accepted_at: float | None = None
        self._wants_word = False

    def listen(self) -> None:
        """Subscribe now, in place of an earlier subscription."""
        self.close()
        self._subscribe()

    def take(self, status: str) -> None:
        """Act on the engine's word."""
        if status != self.status:
            self.status = status
            self._changed(status)

    def close(self) -> None:
        """Stop listening, and forget earlier failures; listen() may follow."""
        self._drop()
        self._end_series()

    def _subscribe(self) -> None:
        self._drop()
        actions = ("health_status", "exec_create", "exec_die") if self._probed else ("health_status",)
        try:
            exchange = self._requests.engine.events(self._container.id, actions, since_nsec=self.since_nsec)
        except Error as error:
            self._fail(str(error), is_away=True)
            return
        self._exchange, self._reader = exchange, EventReader()
        self._timer = self._loop.after(ANSWER_TIMEOUT_SEC, self._on_no_answer)
        self._watch(exchange)

    def _watch(self, exchange: Exchange) -> None:
        self._loop.watch(exchange.fileno(), exchange.events, lambda: self._advance(exchange))

    def _drop(self) -> None:
        self._cancel_timer()
        self._accepted_at = None
        self._wants_word = False
        if self._exchange is not None:
            self._loop.unwatch(self._exchange.fileno())
            self._exchange.close()
            self._exchange = None

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_no_answer(self) -> None:
        self._fail(f"no answer within {ANSWER_TIMEOUT_SEC} s")

    def _advance(self, exchange: Exchange) -> None:
        try:
            exchange.advance()
            head = exchange.parser.head
            if head is not None and head.status == HTTP_OK:
                self._accept()
                self._read(exchange)
        except EventError as error:
            self._fail(str(error))
        except OSError as error:
            self._fail(str(error), is_away=True)
        else:
            # An event's handler may have closed it.
            if exchange is self._exchange:
                self._go_on(exchange)

    def _accept(self) -> None:
        if self._accepted_at is not None:
            return
        self._accepted_at = self._loop.now()
        self._cancel_timer()
        if self._pause_sec > FIRST_PAUSE_SEC:
            self._ask()

    def _ask(self) -> None:
        """Ask for the engine's word: it keeps its last 256 events, of all containers, and may have dropped one."""
        self._wants_word = self._requests.send(
            f"cannot ask for the health of container '{self._container.name}'",
            lambda engine: engine.ask(self._container.id),
            self._answered,
        )

    def _answered(self, exchange: Exchange | None) -> None:
        """Act on an answer unless an event has come since the question, which is newer, or close()."""
        if exchange is None or not self._wants_word:
            return
        self._wants_word = False
        try:
            health = facts_of(exchange).health
        except EngineError as error:
            log.warning(f"cannot ask for the health of container '{self._container.name}': {error}")
            return
        if health:
            self.take(health)

    def _go_on(self, exchange: Exchange) -> None:
        if not exchange.complete:
            self._watch(exchange)
            return
        head = exchange.parser.head
        if head is None or head.status == HTTP_OK:
            self._fail("the engine ended the subscription", is_away=True)
        else:
            self._fail(str(failure_of(exchange) or f"the engine answered {head.status}"))

    def _read(self, exchange: Exchange) -> None:
        for event in self._reader.feed(exchange.parser.take_body()):
            self._end_series()
            self.since_nsec = event.time_nsec + 1
            self._handle(event)

    def _handle(self, event: Event) -> None:
        probe = str(event.attributes.get("execID", ""))
        match event.action:
            case "health_status":
                self._wants_word = False
                self.take(event.detail)
            case "exec_create" if event.detail.endswith(self._check):
                self._probes[probe] = None
                if len(self._probes) > MAX_PROBES:
                    del self._probes[next(iter(self._probes))]
            case "exec_die" if probe in self._probes:
                del self._probes[probe]
                if self._probed is not None:
                    self._probed(event.attributes.get("exitCode") == "0", self.status)

    def _fail(self, reason: str, *, is_away: bool = False) -> None:
        """Subscribe again after a pause. One warning in a series of failures.

        is_away: the engine seems to have gone, which service.recovery reports: no warning unless it happens again.
        """
        if self._accepted_at is not None and self._loop.now() - self._accepted_at >= LONGEST_PAUSE_SEC:
            self._end_series()
        self._drop()
        text = f"cannot listen to the health of container '{self._container.name}': {reason}; asking again"
        if self._has_warned or (is_away and self._pause_sec == FIRST_PAUSE_SEC):
            log.debug(text)
        else:
            log.warning(text)
            self._has_warned = True
        self._timer = self._loop.after(self._pause_sec, self._subscribe)
        self._pause_sec = min(2 * self._pause_sec, LONGEST_PAUSE_SEC)

    def _end_series(self) -> None:
        self._pause_sec, self._has_warned = FIRST_PAUSE_SEC, False
