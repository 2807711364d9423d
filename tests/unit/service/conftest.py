"""A clock that tests turn, and an event loop that has to be empty afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from systemd_docker.kernel.loop import Loop
from systemd_docker.kernel.signals import Signals
from tests.fakes.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator


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
