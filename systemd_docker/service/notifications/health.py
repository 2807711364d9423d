"""What a container's own healthcheck finds: asked for before the start, listened to while it runs.

The engine runs the check, counts, and tells of a change; nobody polls. Single probes, which the watchdog wants to
know of, are not told as such: each is an exec of the check's command, and those are told. Who runs the same command
by hand proves as much.
"""

from __future__ import annotations

from systemd_docker import log
from systemd_docker.engine.events import EventError, EventReader
from systemd_docker.errors import UsageError
from systemd_docker.kernel.pidfd import NO_FD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from systemd_docker.engine.client import Engine
    from systemd_docker.engine.events import Event
    from systemd_docker.engine.http import Exchange
    from systemd_docker.kernel.loop import Loop
    from systemd_docker.service.supervise.state import Held

MAX_PROBES = 8
"""Probes under way whose end is waited for. The engine runs one at a time; more are somebody's own, in a hurry."""


def require_healthcheck(engine: Engine, option: str, image: str, container_id: str) -> None:
    """Raises UsageError where option waits for the health of a container that will never have any."""
    if not engine.inspect(container_id).healthcheck:
        raise UsageError(
            f"{option} needs a healthcheck, and neither the command line nor image '{image}' has one",
            hint="Add --health-cmd, or HEALTHCHECK to the image.",
        )


class Health:
    """Listens to one container's health; owns its connection to the engine until close().

    status:     the engine's word: "starting", "healthy" or "unhealthy".
    since_nsec: where to go on listening: when this start had not begun, at first, so that nothing of it is missed.
    """

    def __init__(
        self,
        loop: Loop,
        engine: Engine,
        held: Held,
        *,
        changed: Callable[[str], None],
        probed: Callable[[bool, str], None] | None,
    ) -> None:
        """changed: gets each new status.
        probed:  gets whether a probe succeeded, and the status; None spares the engine the telling.
        """
        self.status = held.health
        self.since_nsec = held.health_since_nsec
        self._loop = loop
        self._engine = engine
        self._held = held
        self._changed = changed
        self._probed = probed
        self._probes: dict[str, None] = {}
        self._exchange: Exchange | None = None
        self._reader = EventReader()
        self.listen()

    @property
    def fd(self) -> int:
        """What is readable when there is news, or the engine has gone; NO_FD until it listens. It stays ours."""
        exchange = self._exchange
        return exchange.fileno() if exchange is not None and exchange.parser.head is not None else NO_FD

    def listen(self) -> None:
        """Subscribe, again if need be. Raises EngineUnreachableError."""
        self.close()
        actions = ("health_status", "exec_create", "exec_die") if self._probed else ("health_status",)
        exchange = self._engine.events(self._held.id, actions, since_nsec=self.since_nsec)
        self._exchange, self._reader = exchange, EventReader()
        self._loop.watch(exchange.fileno(), exchange.events, lambda: self._advance(exchange))

    def close(self) -> None:
        if self._exchange is not None:
            self._loop.unwatch(self._exchange.fileno())
            self._exchange.close()
            self._exchange = None

    def _advance(self, exchange: Exchange) -> None:
        try:
            exchange.advance()
            events = list(self._reader.feed(exchange.parser.take_body()))
        except (OSError, EventError) as error:
            self._give_up(str(error))
            return
        for event in events:
            self.since_nsec = event.time_nsec + 1
            self._handle(event)
        if exchange is not self._exchange:
            return
        if exchange.complete:
            self._give_up("the engine has ended its events")
        else:
            self._loop.watch(exchange.fileno(), exchange.events, lambda: self._advance(exchange))

    def _handle(self, event: Event) -> None:
        probe = str(event.attributes.get("execID", ""))
        match event.action:
            case "health_status":
                self.take(event.detail)
            case "exec_create" if event.detail.endswith(self._held.healthcheck):
                if len(self._probes) < MAX_PROBES:
                    self._probes[probe] = None
            case "exec_die" if probe in self._probes:
                del self._probes[probe]
                if self._probed is not None:
                    self._probed(event.attributes.get("exitCode") == "0", self.status)

    def take(self, status: str) -> None:
        """This is the status now."""
        if status != self.status:
            self.status = status
            self._changed(status)

    def _give_up(self, reason: str) -> None:
        """An engine that went away is noticed by who waits for the container's exit."""
        log.debug(f"no more health of container '{self._held.name}': {reason}")
        self.close()
