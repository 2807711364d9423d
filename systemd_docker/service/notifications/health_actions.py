"""What follows from how a running container is: READY=1 once it is healthy, its Status: line, WATCHDOG=1, an end."""

from __future__ import annotations

from systemd_docker import log
from systemd_docker.engine.client import Engine
from systemd_docker.engine.http import never_wait
from systemd_docker.kernel.pidfd import NO_FD
from systemd_docker.service.notifications.best_effort import tell
from systemd_docker.service.notifications.health import Health
from systemd_docker.service.notifications.watchdog import Watchdog

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.kernel.loop import Loop
    from systemd_docker.sd.notify import Notifier
    from systemd_docker.service.engine_requests import Requests
    from systemd_docker.service.notifications.status import Status
    from systemd_docker.service.supervise.state import Held

_ENDS = {"none": "ignoring", "kill": "killing it", "restart": "restarting it", "stop": "stopping it"}
"""What --health-on-failure= does, for the log."""


class Vitals:
    """Listens to the container's health, if it has any, and keeps the service manager informed; close() it.

    awaits_healthy: whether READY=1 is still to be said.
    """

    def __init__(self, loop: Loop, held: Held, requests: Requests, notifier: Notifier, status: Status) -> None:
        """Raises EngineUnreachableError."""
        self.awaits_healthy = held.awaits_healthy
        self._held = held
        self._requests = requests
        self._notifier = notifier
        self._status = status
        self._watchdog = Watchdog(loop, held, requests, notifier)
        self._health = None
        if held.healthcheck:
            engine = Engine(held.socket_path, held.api, never_wait)
            probed = self._watchdog.probed if held.watchdog == "health" else None
            self._health = Health(loop, engine, held, changed=self._changed, probed=probed)
            if held.health_found:
                # A change that nobody was told of, for there was no engine to tell.
                self._health.take(held.health_found)

    @property
    def health(self) -> tuple[str, int]:
        """(status, since_nsec) of Health, for who goes on later."""
        return (self._health.status, self._health.since_nsec) if self._health else ("", 0)

    @property
    def news_fd(self) -> int:
        """Of Health; NO_FD where there is more to do than to listen, or nothing."""
        return self._health.fd if self._health and self._held.watchdog not in ("health", "engine") else NO_FD

    def close(self) -> None:
        if self._health is not None:
            self._health.close()

    def _changed(self, health: str) -> None:
        if health == "healthy" and self.awaits_healthy:
            self.awaits_healthy = False
            tell(self._notifier, READY=1)
        self._status.set_health(health)
        if health == "unhealthy":
            action = self._held.health_on_failure
            log.warning(f"container '{self._held.name}' is unhealthy, {_ENDS[action]}")
            self._end(action)

    def _end(self, action: str) -> None:
        held = self._held
        asks = {
            "kill": lambda engine: engine.kill(held.id, "SIGKILL"),
            "restart": lambda engine: engine.restart(held.id, timeout_sec=held.stop_timeout_sec),
            "stop": lambda engine: engine.stop(held.id, timeout_sec=held.stop_timeout_sec),
        }
        if ask := asks.get(action):
            self._requests.send(f"the engine does not {action} an unhealthy container", ask)
