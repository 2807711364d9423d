"""systemd's end of the notifications."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from systemd_docker.sd.notify import Notifier
from tests.fakes.manager import Manager

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    """It is there for this process: $NOTIFY_SOCKET names it."""
    manager = Manager(tmp_path / "manager")
    monkeypatch.setenv("NOTIFY_SOCKET", manager.path)
    yield manager
    manager.close()


@pytest.fixture
def notifier(manager: Manager) -> Notifier:
    return Notifier(manager.path)
