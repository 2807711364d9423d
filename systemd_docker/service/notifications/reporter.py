"""Everything that systemd is told while a container runs: by the container, about its health, for the watchdog."""

from __future__ import annotations

import os

from systemd_docker.frozen import replace
from systemd_docker.kernel.fd import NO_FD
from systemd_docker.sd.notify import Listener, Notifier
from systemd_docker.service.notifications.health import Health
from systemd_docker.service.notifications.health_actions import HealthActions
from systemd_docker.service.notifications.proxy import Proxy, reserved_lines
from systemd_docker.service.notifications.status import Status
from systemd_docker.service.notifications.watchdog import Watchdog

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from systemd_docker.kernel.loop import Loop
    from systemd_docker.service.container_state import ContainerState
    from systemd_docker.service.engine_requests import EngineRequests
    from systemd_docker.service.notifications.state import HealthState, NotifyState, WatchdogState
    from systemd_docker.service.stop_policy import StopPolicy

    class Reported(Protocol):
        """The parts of a service's state that the reporter needs."""

        @property
        def container(self) -> ContainerState: ...
        @property
        def stop(self) -> StopPolicy: ...
        @property
        def notify(self) -> NotifyState: ...
        @property
        def health(self) -> HealthState: ...
        @property
        def watchdog(self) -> WatchdogState: ...


class Reporter:
    """The Status: line, the container's notifications, its health and the watchdog; close() it."""

    def __init__(self, loop: Loop, state: Reported, requests: EngineRequests, notifier: Notifier) -> None:
        self._state = state
        self._container = state.container
        self._requests = requests
        self._status = Status(notifier, state.notify, state.health.status)
        self._proxy = self._make_proxy(loop, notifier) if state.notify.payload_fd != NO_FD else None
        self._watchdog = Watchdog(loop, state.container, state.watchdog, requests, notifier)
        self._actions = HealthActions(
            state.container,
            requests,
            notifier,
            self._status,
            awaits_healthy=state.notify.ready == "healthy",
        )
        self._health = self._make_health(loop) if state.health.check else None

    def begin(self) -> None:
        """Listen to the engine from now on."""
        self.resume(self._state.health.found)

    def drain(self) -> None:
        """Pass on what the container sent before it ended."""
        if self._proxy is not None:
            self._proxy.drain()

    def pause(self) -> None:
        """The engine is away: it reports nothing. The container's own notifications are passed on all the same."""
        self._watchdog.pause()
        if self._health is not None:
            self._health.close()

    def resume(self, health: str) -> None:
        """The engine is there. health: its word now, "" where it was not asked."""
        self._watchdog.resume()
        if self._health is not None:
            if health:
                self._health.take(health)
            self._health.listen()

    def forget_leader(self) -> None:
        """The leader is dead, and what it has sent is not true any more.

        At its death, and not when its successor is found: that one sends as soon as it runs, while a busy systemd may
        still be acting on the death.
        """
        self.drain()
        self._status.text = self._status.steady

    def restart(self) -> None:
        """The container runs again, with another leader."""
        self._status.restarts += 1
        if self._health is not None:
            self._health.status = self._status.health = "starting"
        self._status.send()

    def snapshot(self) -> tuple[NotifyState, HealthState]:
        """Return the two states with what has changed since the beginning."""
        notify = replace(
            self._state.notify,
            status=self._status.text,
            restarts=self._status.restarts,
            ready="healthy" if self._actions.awaits_healthy else self._ready_when_sent(),
        )
        if self._health is None:
            return notify, self._state.health
        health = replace(self._state.health, status=self._health.status, found="", since_nsec=self._health.since_nsec)
        return notify, health

    def close(self) -> None:
        self.pause()
        if self._proxy is not None:
            self._proxy.close()
        self._watchdog.close()

    def _ready_when_sent(self) -> str:
        ready = self._state.notify.ready
        return "started" if ready == "healthy" else ready

    def _make_proxy(self, loop: Loop, notifier: Notifier) -> Proxy:
        state = self._state
        # A descriptor of the listener's own, which it closes.
        listener = Listener.resumed(os.dup(state.notify.payload_fd))
        return Proxy(loop, listener, notifier, self._status, reserved_lines(state.notify, state.watchdog.source))

    def _make_health(self, loop: Loop) -> Health:
        state = self._state
        return Health(
            loop,
            state.container,
            state.health,
            self._requests,
            changed=self._on_health,
            probed=self._watchdog.probed if state.watchdog.source == "health" else None,
        )

    def _on_health(self, health: str) -> None:
        self._actions.act(health, self._state.health.on_failure, self._state.stop.timeout_sec)
