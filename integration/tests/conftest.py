"""Fixtures of the tests of the product, beside those of integration/conftest.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.harness.machine import Machine
from integration.inside import recorder as recorder_program
from integration.words.journal import Journal
from integration.words.recorder import DIRECTORY, Recorder


@pytest.fixture
def journal(machine: Machine) -> Journal:
    return Journal(machine)


@pytest.fixture
def recorder(machine: Machine) -> Iterator[Recorder]:
    machine.copy(Path(recorder_program.__file__), "/srv/recorder.py")
    machine.install_unit(
        "recorder.service",
        "[Service]\nType=notify\nRuntimeDirectory=recorder\n"
        f"ExecStart=/usr/bin/python3 /srv/recorder.py {DIRECTORY}/notify {DIRECTORY}/log\n",
    )
    machine.run("systemctl start recorder")
    yield Recorder(machine)
    machine.run("systemctl stop web")
