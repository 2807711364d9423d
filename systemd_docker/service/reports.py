"""What the service manager is told while a container runs, where there is anything to tell: by the payload, of its
health, for the watchdog. Most services have none of it, and do not import this room."""

from __future__ import annotations

import os

from systemd_docker.record import replace
from systemd_docker.sd_notify import Listener, Notifier
from systemd_docker.service.held import NO_FD
from systemd_docker.service.proxy import Proxy
from systemd_docker.service.status import Status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.service.held import Held
    from systemd_docker.service.loop import Loop
    from systemd_docker.service.requests import Requests
    from systemd_docker.service.vitals import Vitals


class Reports:
    """The Status: line, the payload's messages, and the container's vitals; close() them."""

    def __init__(self, loop: Loop, held: Held, requests: Requests) -> None:
        """Raises EngineUnreachableError."""
        notifier = Notifier(held.notify_socket)
        self._status = Status(notifier, held.status, held.health)
        self._proxy: Proxy | None = None
        self._vitals: Vitals | None = None
        if held.notify_fd != NO_FD:
            # The listener gets a descriptor of its own, so that what we hold stays ours to close.
            listener = Listener.resumed(os.dup(held.notify_fd))
            self._proxy = Proxy(loop, held, listener, notifier, self._status)
        if held.healthcheck or held.watchdog == "engine":
            from systemd_docker.service.vitals import Vitals

            self._vitals = Vitals(loop, held, requests, notifier, self._status)

    def drain(self) -> None:
        """Pass on what the container said before it ended."""
        if self._proxy is not None:
            self._proxy.drain()

    def now_held(self, held: Held) -> Held:
        """held, with what has changed since it was made."""
        now = replace(held, status=self._status.text)
        if self._vitals is None:
            return now
        health, since_nsec = self._vitals.health
        awaits_healthy = self._vitals.awaits_healthy
        return replace(now, health=health, health_since_nsec=since_nsec, awaits_healthy=awaits_healthy)

    def close(self) -> None:
        if self._proxy is not None:
            self._proxy.close()
        if self._vitals is not None:
            self._vitals.close()
