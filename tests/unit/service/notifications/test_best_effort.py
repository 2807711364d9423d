from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from systemd_docker.sd.notify import Notifier
from systemd_docker.service.notifications import best_effort

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fakes.manager import Manager

SENDS = [
    (lambda notifier: best_effort.send(notifier, READY=1, MAINPID=42), "READY=1\nMAINPID=42"),
    (lambda notifier: best_effort.send_status(notifier, "up\nREADY=1"), "STATUS=up READY=1"),
    (best_effort.keep_alive, "WATCHDOG=1"),
]


@pytest.mark.parametrize(("send", "message"), SENDS)
def test_what_is_sent(notifier: Notifier, manager: Manager, send: Callable[[Notifier], None], message: str) -> None:
    send(notifier)

    assert manager.received() == [message]


@pytest.mark.parametrize(("send", "message"), SENDS)
def test_a_systemd_that_is_away_is_logged_and_not_raised(
    notifier: Notifier,
    manager: Manager,
    logged: Callable[[], list[str]],
    send: Callable[[Notifier], None],
    message: str,
) -> None:
    manager.go_away()

    send(notifier)

    assert len(logged()) == 1
    assert logged()[0].startswith("systemd-docker: cannot send a notification to systemd: "), message


@pytest.mark.parametrize(("send", "message"), SENDS)
def test_without_systemd_nothing_is_sent(
    logged: Callable[[], list[str]], send: Callable[[Notifier], None], message: str
) -> None:
    send(Notifier(""))

    assert logged() == [], message


def test_without_systemd_no_start_takes_longer(logged: Callable[[], list[str]]) -> None:
    best_effort.extend_timeout(Notifier(""), 90)

    assert logged() == []
