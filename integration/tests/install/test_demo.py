"""`integration/demo` works in a machine and on a host; it checks by itself that the container is the service."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from integration import demo

if TYPE_CHECKING:
    from integration.harness.machine import Machine

pytestmark = pytest.mark.integration

PACKAGE = Path(__file__).parents[2]

FILES = ("__init__.py", "demo.py", "harness/__init__.py", "harness/polling.py")
"""The files of the demonstration."""


def test_the_demonstration_shows_the_service_and_leaves_nothing(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    demo.show(machine, demo.say)

    shown = capsys.readouterr().out
    assert re.search(r"Main PID: \d+ \(sh\)", shown)
    assert re.search(r"hello-world\[\d+\]: hello world$", shown, re.MULTILINE)
    assert "nothing is left" in shown


def test_on_a_host_it_needs_python_alone(machine: Machine) -> None:
    for name in FILES:
        machine.copy(PACKAGE / name, f"/root/checkout/integration/{name}")

    shown = machine.run("cd /root/checkout; python3 -m integration.demo --host; rm -r /root/checkout")

    assert "nothing is left" in shown


def test_on_a_host_without_an_engine_it_fails_with_the_reason(own_machine: Machine) -> None:
    for name in FILES:
        own_machine.copy(PACKAGE / name, f"/root/checkout/integration/{name}")
    own_machine.run("systemctl stop docker.service docker.socket")

    result = own_machine.attempt("cd /root/checkout; python3 -m integration.demo --host")

    assert result.returncode == 1
    assert result.stderr == "no engine answers on this host: 'docker info' fails\n"
