from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

import pytest

from systemd_docker.sd.notify import Notifier
from systemd_docker.service.notifications.status import Status
from tests.fakes.held import held

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DETAILS = [
    ("", 0, "STATUS=web runs"),
    ("healthy", 0, "STATUS=web runs (healthy)"),
    ("", 1, "STATUS=web runs (restarted once)"),
    ("unhealthy", 2, "STATUS=web runs (unhealthy, restarted 2 times)"),
]


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    path = str(tmp_path / "manager")
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        sock.bind(path)
        yield sock


def received(manager: socket.socket) -> list[str]:
    texts = []
    with contextlib.suppress(BlockingIOError):
        while True:
            texts.append(manager.recv(4096).decode())
    return texts


@pytest.mark.parametrize(("health", "restarts", "said"), DETAILS)
def test_what_we_know_stands_behind(manager: socket.socket, health: str, restarts: int, said: str) -> None:
    status = Status(Notifier("/set"), held(status="web runs", health=health, restarts=restarts))

    status.say()

    assert received(manager) == [said]


def test_health_is_said_when_it_changes_and_only_then(manager: socket.socket) -> None:
    status = Status(Notifier("/set"), held(status="web runs", health="starting"))

    for health in ("starting", "healthy", "healthy", "unhealthy"):
        status.set_health(health)

    assert received(manager) == ["STATUS=web runs (healthy)", "STATUS=web runs (unhealthy)"]
