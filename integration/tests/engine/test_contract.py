"""Real engines keep the contract that the fake engine of the unit tests keeps: tests/engine_contract.py.

The one module here that imports from tests/."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from integration.harness.machine import Machine, Spec
from tests.engine_contract import CASES, Case, UnixConnection, hold

pytestmark = [
    pytest.mark.integration,
    pytest.mark.machines(Spec("trixie"), Spec("bookworm"), Spec("forky", images="containerd")),
]

RECORDED = Path(__file__).parents[3] / "tests/engine"


def engine_socket(machine: Machine) -> str:
    return str(machine.path("/run/docker.sock"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.name))
def test_a_real_engine_keeps_the_contract(case: Case, machine: Machine) -> None:
    hold(case, engine_socket(machine))


@pytest.mark.machines(Spec("trixie"), Spec("bookworm"))
@pytest.mark.parametrize("answer", ["info", "version"])
def test_recorded_answers_have_the_fields_of_real_ones(answer: str, machine: Machine) -> None:
    connection = UnixConnection(engine_socket(machine))
    connection.request("GET", f"/{answer}")
    real = json.loads(connection.getresponse().read())
    connection.close()
    api = json.loads(machine.run("docker version --format '{{json .Server}}'"))["ApiVersion"]

    recorded = json.loads((RECORDED / f"v{api}" / f"{answer}.json").read_text())

    assert recorded.keys() <= real.keys()
    for name, value in recorded.items():
        # An empty list may be null: Go writes an empty slice so.
        assert value is None or real[name] is None or isinstance(real[name], type(value)), name
