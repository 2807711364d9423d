"""A running service, and a process to be the payload's leader."""

from __future__ import annotations

import subprocess
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


@pytest.fixture
def leader() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "1000"])
    yield process
    process.kill()
    process.wait()
