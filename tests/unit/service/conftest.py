"""A clock that tests turn, an event loop that has to be empty afterwards, and systemd's end of notifications."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from systemd_docker.kernel.loop import Loop
from systemd_docker.kernel.signals import Signals
from tests.fakes.clock import Clock
from tests.fakes.manager import Manager

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def signals() -> Iterator[Signals]:
    made = Signals()
    yield made
    made.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def loop(clock: Clock) -> Iterator[Loop]:
    """Nothing is watched and no timer is set when the test has closed what it made."""
    loop = Loop(clock)
    yield loop
    assert loop.is_empty, "a watch or a timer outlives its owner"


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    """It is there for this process: $NOTIFY_SOCKET names it."""
    made = Manager(tmp_path / "manager")
    monkeypatch.setenv("NOTIFY_SOCKET", made.path)
    yield made
    made.close()
