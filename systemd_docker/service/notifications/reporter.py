"""What the service manager is told while a container runs, where there is anything to tell: by the payload, of its
health, for the watchdog. Most services have none of it, and do not import this room.

Health changes seldom, and understanding the engine's events takes 2 MB: so a service that rests only waits for the
next one to come. Then it subscribes anew, with the time of the last one that it saw, and soon rests again.
"""

from __future__ import annotations

import os
import select

from systemd_docker import log
from systemd_docker.errors import EngineUnreachableError
from systemd_docker.frozen import replace
from systemd_docker.kernel.pidfd import NO_FD
from systemd_docker.sd.notify import Listener, Notifier
from systemd_docker.service.notifications.status import Status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from systemd_docker.kernel.loop import Loop
    from systemd_docker.service.engine_requests import Requests
    from systemd_docker.service.notifications.health_actions import Vitals
    from systemd_docker.service.notifications.proxy import Proxy
    from systemd_docker.service.supervise.state import Held


class Reports:
    """The Status: line, the payload's messages, and the container's vitals; close() them."""

    def __init__(self, loop: Loop, held: Held, requests: Requests, *, stirred: Callable[[], None]) -> None:
        """stirred: called when more was imported than resting needs. Raises EngineUnreachableError."""
        self._loop = loop
        self._requests = requests
        self._stirred = stirred
        self._notifier = Notifier(held.notify_socket)
        self._status = Status(self._notifier, held)
        self._news_fd = NO_FD
        self._vitals: Vitals | None = None
        if held.health_fd != NO_FD and not held.health_found:
            self._news_fd = held.health_fd
            loop.watch(held.health_fd, select.POLLIN, lambda: self._on_news(held))
        elif held.healthcheck or held.watchdog == "engine":
            self._vitals = self._make_vitals(held)
        self._proxy = self._make_proxy(held) if held.notify_fd != NO_FD else None

    def drain(self) -> None:
        """Pass on what the container said before it ended."""
        if self._proxy is not None:
            self._proxy.drain()

    def forget(self) -> None:
        """The leader is dead: what it has said is not true any more, and what is said from now on is its successor's.

        Now, and not when the successor is found: that one speaks as soon as it runs, while a busy service manager may
        still be acting on the death.
        """
        self.drain()
        self._status.text = self._status.steady

    def now_held(self, held: Held) -> Held:
        """held, with what has changed since it was made."""
        now = replace(held, status=self._status.text, health_fd=self._news_fd)
        if self._vitals is None:
            return now
        health, since_nsec = self._vitals.health
        awaits_healthy = self._vitals.awaits_healthy
        return replace(
            now, health=health, health_found="", health_since_nsec=since_nsec, awaits_healthy=awaits_healthy
        )

    def resting(self, held: Held) -> Held:
        """held, from now_held(), for a new image of this program: with the descriptor that it has to wait for."""
        return replace(held, health_fd=self._vitals.news_fd) if self._vitals is not None else held

    def close(self) -> None:
        if self._news_fd != NO_FD:
            self._loop.unwatch(self._news_fd)
        if self._proxy is not None:
            self._proxy.close()
        if self._vitals is not None:
            self._vitals.close()

    def _make_proxy(self, held: Held) -> Proxy:
        from systemd_docker.service.notifications.proxy import Proxy

        # The listener gets a descriptor of its own, so that what we hold stays ours to close.
        listener = Listener.resumed(os.dup(held.notify_fd))
        return Proxy(self._loop, held, listener, self._notifier, self._status)

    def _make_vitals(self, held: Held) -> Vitals:
        from systemd_docker.service.notifications.health_actions import Vitals

        vitals = Vitals(self._loop, held, self._requests, self._notifier, self._status)
        if held.health_fd != NO_FD:
            os.close(held.health_fd)
        return vitals

    def _on_news(self, held: Held) -> None:
        self._loop.unwatch(self._news_fd)
        try:
            self._vitals = self._make_vitals(held)
        except EngineUnreachableError as error:
            # Who waits for the container's exit notices, too.
            log.debug(f"no more health of container '{held.name}': {error}")
            return
        self._news_fd = NO_FD
        self._stirred()
