"""What `systemctl status` shows in its Status: line, in STATUS= messages."""

from __future__ import annotations

from systemd_docker.service.notifications.best_effort import say_status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.plan.launch_plan import LaunchPlan
    from systemd_docker.sd.notify import Notifier
    from systemd_docker.service.start.launch import Container
    from systemd_docker.service.supervise.state import Held

PREFIX = b"STATUS="


class Status:
    """The line of a running container: ours, until the payload has one of its own; what we know stands behind either.

    It is said again when it changes, and nothing wakes us up in order to say it.

    text:   without what stands behind it.
    steady: ours.
    health: the engine's word, "" for a container that has none.
    """

    def __init__(self, notifier: Notifier, held: Held) -> None:
        self.text = held.status
        self.steady = held.steady_status
        self.health = held.health
        self._restarts = held.restarts
        self._notifier = notifier

    def say(self) -> None:
        say_status(self._notifier, self._with_details(self.text))

    def set_health(self, health: str) -> None:
        if health != self.health:
            self.health = health
            self.say()

    def of_payload(self, line: bytes) -> bytes:
        """A payload's assignment as it is to go on: a status is its own from now on, with what we know behind it."""
        if not line.startswith(PREFIX):
            return line
        self.text = line.removeprefix(PREFIX).decode(errors="replace")
        return PREFIX + self._with_details(self.text).encode(errors="replace")

    def _with_details(self, text: str) -> str:
        times = "once" if self._restarts == 1 else f"{self._restarts} times"
        details = [*([self.health] if self.health else []), *([f"restarted {times}"] if self._restarts else [])]
        return f"{text} ({', '.join(details)})" if details else text


def steady_text(container: Container, plan: LaunchPlan, unit_restarts: int) -> str:
    """ "Container web (4f2b8c7d9e01) from nginx:1, adoption parent: created in this unit's cgroup".

    unit_restarts: how often Restart= has started the unit again; see LaunchPlan and AdoptionPlan for the rest.
    """
    again = f", restart {unit_restarts} of the unit" if unit_restarts else ""
    adoption = f"adoption {plan.adoption.strategy}: {plan.adoption.reason}"
    return f"Container {container.name} ({container.id[:12]}) from {plan.image}{again}, {adoption}"
