"""Act on a change of the container's health: READY=1, STATUS=, --health-on-failure=."""

from __future__ import annotations

from systemd_docker import log
from systemd_docker.service.notifications.best_effort import send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.sd.notify import Notifier
    from systemd_docker.service.container_state import ContainerState
    from systemd_docker.service.engine_requests import EngineRequests
    from systemd_docker.service.notifications.status import Status

_ACTIONS = {"none": "", "kill": ", killing it", "restart": ", restarting it", "stop": ", stopping it"}
"""The end of the log line, by --health-on-failure=."""

RESTART_GRACE_SEC = 10
"""How much longer than its stop timeout the engine may take to restart a container."""


class HealthActions:
    """awaits_healthy: READY=1 is still to be sent, at the first "healthy"."""

    def __init__(
        self,
        container: ContainerState,
        requests: EngineRequests,
        notifier: Notifier,
        status: Status,
        *,
        awaits_healthy: bool,
    ) -> None:
        self.awaits_healthy = awaits_healthy
        self._container = container
        self._requests = requests
        self._notifier = notifier
        self._status = status

    def act(self, health: str, on_failure: str, stop_timeout_sec: float) -> None:
        """health: the new status; on_failure: --health-on-failure=."""
        if health == "healthy" and self.awaits_healthy:
            self.awaits_healthy = False
            send(self._notifier, READY=1)
        self._status.set_health(health)
        if health == "unhealthy":
            log.warning(f"container '{self._container.name}' is unhealthy{_ACTIONS[on_failure]}")
            self._end(on_failure, int(stop_timeout_sec))

    def _end(self, action: str, timeout_sec: int) -> None:
        container_id = self._container.id
        asks = {
            "kill": lambda engine: engine.kill(container_id, "SIGKILL"),
            "restart": lambda engine: engine.restart(container_id, timeout_sec=timeout_sec),
            "stop": lambda engine: engine.stop(container_id, timeout_sec=timeout_sec),
        }
        if ask := asks.get(action):
            what = f"cannot {action} unhealthy container '{self._container.name}'"
            self._requests.send(what, ask, limit_sec=timeout_sec + RESTART_GRACE_SEC)
