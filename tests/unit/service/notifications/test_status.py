from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from systemd_docker.service.notifications.state import NotifyState
from systemd_docker.service.notifications.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from systemd_docker.sd.notify import Notifier
    from tests.fakes.manager import Manager

DETAILS = [
    ("", 0, "STATUS=web runs"),
    ("healthy", 0, "STATUS=web runs (healthy)"),
    ("", 1, "STATUS=web runs (restarted once)"),
    ("unhealthy", 2, "STATUS=web runs (unhealthy, restarted 2 times)"),
]


def state(restarts: int = 0) -> NotifyState:
    return NotifyState(status="web runs", steady_status="Container web", restarts=restarts)


@pytest.mark.parametrize(("health", "restarts", "line"), DETAILS)
def test_details_stand_behind_the_text(
    notifier: Notifier, manager: Manager, health: str, restarts: int, line: str
) -> None:
    status = Status(notifier, state(restarts), health)

    status.send()

    assert manager.received() == [line]


def test_health_is_sent_when_it_changes_and_only_then(notifier: Notifier, manager: Manager) -> None:
    status = Status(notifier, state(), "starting")

    for health in ("starting", "healthy", "healthy", "unhealthy"):
        status.set_health(health)

    assert manager.received() == ["STATUS=web runs (healthy)", "STATUS=web runs (unhealthy)"]


def test_a_line_of_the_container_replaces_the_text_and_gets_the_details(notifier: Notifier, manager: Manager) -> None:
    status = Status(notifier, state(1), "healthy")

    assert status.with_details(b"STATUS=serving") == b"STATUS=serving (healthy, restarted once)"
    assert status.with_details(b"READY=1") == b"READY=1"

    assert (status.text, status.steady) == ("serving", "Container web")
    assert manager.received() == [], "the caller sends it"


def test_a_line_that_is_not_utf_8_is_passed_on_with_replacements(notifier: Notifier) -> None:
    status = Status(notifier, state(), "")

    assert status.with_details(b"STATUS=\xff up").decode() == "STATUS=\N{REPLACEMENT CHARACTER} up"


def test_a_systemd_that_is_away_is_logged(
    notifier: Notifier, manager: Manager, logged: Callable[[], list[str]]
) -> None:
    manager.go_away()

    Status(notifier, state(), "").send()

    assert len(logged()) == 1
    assert "cannot send a notification to systemd: " in logged()[0]
