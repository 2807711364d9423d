"""What `systemctl status` shows in its Status: line, in STATUS= messages."""

from __future__ import annotations

from systemd_docker.service.readiness import say_status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.plan import LaunchPlan
    from systemd_docker.sd_notify import Notifier
    from systemd_docker.service.launch import Container

PREFIX = b"STATUS="


class Status:
    """The line of a running container: ours, until the payload has one of its own; its health stands behind either.

    It is said again when it changes, and nothing wakes us up in order to say it.
    """

    def __init__(self, notifier: Notifier, text: str, health: str = "") -> None:
        """health: the engine's word, "" for a container that has none."""
        self.text = text
        self.health = health
        self._notifier = notifier

    def say(self) -> None:
        say_status(self._notifier, self._with_health(self.text))

    def set_health(self, health: str) -> None:
        if health != self.health:
            self.health = health
            self.say()

    def of_payload(self, line: bytes) -> bytes:
        """A payload's assignment as it is to go on: a status is its own from now on, with its health behind it."""
        if not line.startswith(PREFIX):
            return line
        self.text = line.removeprefix(PREFIX).decode(errors="replace")
        return PREFIX + self._with_health(self.text).encode(errors="replace")

    def _with_health(self, text: str) -> str:
        return f"{text} ({self.health})" if self.health else text


def steady_text(container: Container, plan: LaunchPlan) -> str:
    """ "Container web (4f2b8c7d9e01) from nginx:1 runs in this unit"."""
    place = "in this unit" if plan.adoption.is_in_unit else "outside of this unit"
    return f"Container {container.name} ({container.id[:12]}) from {plan.image} runs {place}"
