"""Send WATCHDOG=1 in time, where the unit has WatchdogSec= and there is reason to.

Three sources: the container sends it itself ("payload", through service.notifications.proxy), its healthcheck
succeeds ("health"), or the engine reports it as running ("engine"). Without WATCHDOG=1 systemd sends SIGABRT, which
is the business of service.supervise.stopper.
"""

from __future__ import annotations

from systemd_docker import log
from systemd_docker.engine.answers import facts_of
from systemd_docker.engine.models import DEFAULT_HEALTHCHECK_INTERVAL_NSEC
from systemd_docker.errors import EngineError
from systemd_docker.service.notifications.best_effort import keep_alive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.engine.http import Exchange
    from systemd_docker.engine.models import ContainerFacts
    from systemd_docker.kernel.loop import Loop, Timer
    from systemd_docker.sd.notify import Notifier
    from systemd_docker.service.container_state import ContainerState
    from systemd_docker.service.engine_requests import EngineRequests
    from systemd_docker.service.notifications.state import WatchdogState

ALIVE = "running"
"""The one status of a container that can do its work; "paused" is not."""

ASKS_PER_LIMIT = 3
"""Questions to the engine within WatchdogSec=: when one is given up, the next is answered in time all the same.
sd_watchdog_enabled(3) recommends at least two."""

_SOURCES = {
    "payload": "the container sends WATCHDOG=1",
    "health": "the container's healthcheck succeeds",
    "engine": "the engine reports the container as running",
}


def source_of(wanted: str, watchdog_usec: int, facts: ContainerFacts) -> str:
    """Return a plan's watchdog without "auto": the healthcheck where its probes come often enough, or else the
    engine.

    Logs the source: it decides how a hanging service shows.
    """
    interval_usec = (facts.healthcheck_interval_nsec or DEFAULT_HEALTHCHECK_INTERVAL_NSEC) // 1000
    source = wanted
    if source == "auto":
        source = "health" if facts.healthcheck and interval_usec < watchdog_usec else "engine"
    if source == "health" and interval_usec >= watchdog_usec:
        log.warning(
            f"the healthcheck runs every {interval_usec / 1e6:g} s, which is too seldom for"
            f" WatchdogSec={watchdog_usec / 1e6:g}: systemd will abort the service"
        )
        log.info("Set a shorter --health-interval, or a longer WatchdogSec=.")
    if source:
        log.info(f"watchdog source: {_SOURCES[source]}")
    return source


class Watchdog:
    """Sends WATCHDOG=1 for a healthcheck or for the engine; close() it."""

    def __init__(
        self,
        loop: Loop,
        container: ContainerState,
        state: WatchdogState,
        requests: EngineRequests,
        notifier: Notifier,
    ) -> None:
        self._loop = loop
        self._container = container
        self._state = state
        self._requests = requests
        self._notifier = notifier
        self._is_asking = False
        self._timer: Timer | None = None

    def resume(self) -> None:
        """Ask the engine from now on, if it is the source."""
        if self._state.source == "engine" and self._timer is None:
            self._ask()

    def pause(self) -> None:
        """The engine is away, and reports nothing as running; a question that is under way is dropped."""
        self._is_asking = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        self.pause()

    def probed(self, succeeded: bool, health: str) -> None:  # noqa: FBT001  as Health calls it
        """A probe has ended. While the container starts, a failure is no bad sign; see --health-start-period."""
        if self._state.source == "health" and (succeeded or health == "starting"):
            keep_alive(self._notifier)

    def _ask(self) -> None:
        """Ask whether the container runs, unless the last question has not been answered yet."""
        period_sec = self._state.usec / ASKS_PER_LIMIT / 1_000_000
        if not self._is_asking:
            self._is_asking = self._requests.send(
                f"cannot ask the engine whether container '{self._container.name}' runs, for WatchdogSec=",
                lambda engine: engine.ask(self._container.id),
                self._answered,
                period_sec,
            )
        # Set after the question's own limit: where both are due, a question is given up before the next is asked.
        self._timer = self._loop.after(period_sec, self._ask)

    def _answered(self, exchange: Exchange | None) -> None:
        self._is_asking = False
        if exchange is None or self._timer is None:
            # There is no answer, or it comes too late: after pause().
            return
        try:
            status = facts_of(exchange).status
        except EngineError as error:
            log.warning(f"cannot tell whether container '{self._container.name}' runs, for WatchdogSec=: {error}")
            return
        if status == ALIVE:
            keep_alive(self._notifier)
