"""A running service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fakes.service import STOP, Service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from systemd_docker.kernel.loop import Loop
    from tests.fakes.clock import Clock
    from tests.fakes.engine import FakeEngine


@pytest.fixture
def service(engine: FakeEngine, loop: Loop, clock: Clock, tmp_path: Path) -> Iterator[Service]:
    """A running service; afterwards the loop is empty, and no descriptor is left."""
    made = Service(engine, loop, clock, tmp_path, stop=STOP)
    yield made
    made.close()
