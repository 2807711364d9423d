from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from systemd_docker.kernel.loop import Loop
from systemd_docker.sd.notify import Notifier
from systemd_docker.service.engine_requests import Requests
from systemd_docker.service.notifications.health_actions import Vitals
from systemd_docker.service.notifications.status import Status
from tests.fakes.containers import Script
from tests.fakes.held import held

if TYPE_CHECKING:
    from collections.abc import Sequence

    from systemd_docker.sd.notify import Assignments
    from tests.fakes.engine import FakeEngine


class Records(Notifier):
    """A notifier that writes down what it is told."""

    def __init__(self) -> None:
        super().__init__("")
        self.said: list[str] = []

    def notify(self, **assignments: str | int) -> None:
        self.said += [f"{key}={value}" for key, value in assignments.items()]

    def notify_text(self, assignments: Assignments, fds: Sequence[int] = ()) -> None:
        self.notify(**assignments)


FOUND = [
    # what was known, what is found, whether READY=1 is still to be said, and what is said
    ("starting", "starting", True, []),
    ("starting", "healthy", True, ["READY=1", "STATUS=web runs (healthy)"]),
    ("starting", "healthy", False, ["STATUS=web runs (healthy)"]),
    ("healthy", "unhealthy", False, ["STATUS=web runs (unhealthy)"]),
    ("unhealthy", "starting", False, ["STATUS=web runs (starting)"]),
    ("healthy", "healthy", False, []),
    ("healthy", "", False, []),
]


@pytest.mark.parametrize(("health", "found", "awaits", "said"), FOUND)
def test_what_is_found_counts_like_a_change(
    engine: FakeEngine, health: str, found: str, awaits: Any, said: list[str]
) -> None:
    container = engine.add("web", script=Script(exit_code=None))
    record = held(
        socket_path=engine.path,
        api=(1, 45),
        id=container.id,
        status="web runs",
        healthcheck="true",
        health=health,
        health_found=found,
        awaits_healthy=awaits,
    )
    loop, notifier = Loop(), Records()

    vitals = Vitals(loop, record, Requests(loop, engine.path, (1, 45)), notifier, Status(notifier, record))

    assert notifier.said == said
    assert vitals.health[0] == (found or health)
    assert vitals.awaits_healthy == (awaits and found != "healthy")
    vitals.close()
