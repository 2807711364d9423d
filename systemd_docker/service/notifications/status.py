"""The text of STATUS=, which `systemctl status` shows in its Status: line."""

from __future__ import annotations

from systemd_docker.service.notifications.best_effort import send_status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.sd.notify import Notifier
    from systemd_docker.service.notifications.state import NotifyState

PREFIX = b"STATUS="


class Status:
    """The line of a running container: systemd-docker's, until the container sends its own; with details behind it.

    text:     without details; steady: systemd-docker's own.
    health:   the engine's word, "" for a container without a healthcheck.
    restarts: how often the container was started again.
    """

    def __init__(self, notifier: Notifier, state: NotifyState, health: str) -> None:
        self.text = state.status
        self.steady = state.steady_status
        self.health = health
        self.restarts = state.restarts
        self._notifier = notifier

    def send(self) -> None:
        send_status(self._notifier, self._with_details(self.text))

    def set_health(self, health: str) -> None:
        if health != self.health:
            self.health = health
            self.send()

    def with_details(self, line: bytes) -> bytes:
        """Return an assignment of the container's as it is to be passed on; a STATUS= replaces the text and gets
        details."""
        if not line.startswith(PREFIX):
            return line
        self.text = line.removeprefix(PREFIX).decode(errors="replace")
        return PREFIX + self._with_details(self.text).encode(errors="replace")

    def _with_details(self, text: str) -> str:
        times = "once" if self.restarts == 1 else f"{self.restarts} times"
        details = [*([self.health] if self.health else []), *([f"restarted {times}"] if self.restarts else [])]
        return f"{text} ({', '.join(details)})" if details else text
