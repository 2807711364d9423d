"""Who tells the service manager that all is well, in time: WATCHDOG=1, where the unit has WatchdogSec=.

Three ways to know: the payload says so itself ("payload", through service.readiness), its healthcheck succeeds
("health"), or the engine sees it run ("engine"). What happens when nobody says so is service.stop's business: the
manager sends SIGABRT.
"""

from __future__ import annotations

from systemd_docker import log
from systemd_docker.engine.answers import facts_of
from systemd_docker.engine.models import DEFAULT_HEALTHCHECK_INTERVAL_NSEC
from systemd_docker.service.notifications.best_effort import keep_alive

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.engine.http import Exchange
    from systemd_docker.engine.models import ContainerFacts
    from systemd_docker.kernel.loop import Loop
    from systemd_docker.sd.notify import Notifier
    from systemd_docker.service.engine_requests import Requests
    from systemd_docker.service.supervise.state import Held

ALIVE = "running"
"""The one status of a container that can do its work; "paused" is not."""


def source_of(wanted: str, watchdog_usec: int, facts: ContainerFacts) -> str:
    """A plan's watchdog without "auto": the healthcheck where its probes come often enough, or else the engine.

    Says which one it is, for it decides what a hanging service looks like.
    """
    interval_usec = (facts.healthcheck_interval_nsec or DEFAULT_HEALTHCHECK_INTERVAL_NSEC) // 1000
    source = wanted
    if source == "auto":
        source = "health" if facts.healthcheck and interval_usec < watchdog_usec else "engine"
    if source == "health" and interval_usec >= watchdog_usec:
        log.warning(
            f"the healthcheck runs every {interval_usec / 1e6:g} s, which is too seldom for"
            f" WatchdogSec={watchdog_usec / 1e6:g}, ignoring"
        )
    if source:
        log.info(f"the watchdog is kept quiet by {_WORDS[source]}")
    return source


class Watchdog:
    """Pings in the way that was decided on, as long as there is reason to."""

    def __init__(self, loop: Loop, held: Held, requests: Requests, notifier: Notifier) -> None:
        self._loop = loop
        self._held = held
        self._requests = requests
        self._notifier = notifier
        self._is_asking = False
        if held.watchdog == "engine":
            self._ask()

    def probed(self, succeeded: bool, health: str) -> None:  # noqa: FBT001  what Health calls
        """A probe has ended. While the container starts, a failure is no bad sign; healthcheck's --start-period."""
        if self._held.watchdog == "health" and (succeeded or health == "starting"):
            keep_alive(self._notifier)

    def _ask(self) -> None:
        """Ask whether the container runs, unless the last question has not been answered yet."""
        # Twice in the time allowed, as sd_watchdog_enabled(3) recommends.
        self._loop.after(self._held.watchdog_usec / 2 / 1_000_000, self._ask)
        if not self._is_asking:
            self._is_asking = self._requests.send(
                "the engine does not tell whether the container runs",
                lambda engine: engine.ask(self._held.id),
                self._answered,
            )

    def _answered(self, exchange: Exchange | None) -> None:
        self._is_asking = False
        if exchange is not None and facts_of(exchange).status == ALIVE:
            keep_alive(self._notifier)


_WORDS = {
    "payload": "the container itself",
    "health": "the container's healthcheck",
    "engine": "the engine, which sees the container run",
}
