from __future__ import annotations

import pytest

from systemd_docker.engine import client
from systemd_docker.errors import Error
from systemd_docker.frozen import replace
from systemd_docker.options.own import parse_own
from systemd_docker.options.run_options import parse_run
from systemd_docker.plan.launch_plan import INVOCATION_LABEL, UNIT_LABEL, LaunchPlan
from systemd_docker.service.start import existing_containers, planning
from systemd_docker.service.start.early_queries import EarlyQueries
from systemd_docker.unit import UnitContext, read_unit
from tests.fakes.containers import RUNS, Container
from tests.fakes.engine import FakeEngine


def unit_of(engine: FakeEngine) -> UnitContext:
    unit = read_unit({"DOCKER_HOST": f"unix://{engine.path}", "INVOCATION_ID": "now", "PATH": "/nowhere"}, "/nowhere")
    return replace(unit, name="web.service")


def plan_of(engine: FakeEngine, *words: str, own: str = "") -> LaunchPlan:
    options = parse_run([*words, "busybox:musl"])
    parsed = parse_own(["--adopt=none", *own.split()])[0]
    unit = replace(unit_of(engine), name="")
    return planning.prepare(parsed, options, unit, EarlyQueries(unit)).plan


def add(engine: FakeEngine, name: str, *, unit: str = "", invocation: str = "then", runs: bool = True) -> Container:
    labels = {UNIT_LABEL: unit, INVOCATION_LABEL: invocation} if unit else {}
    made = engine.add(name, script=RUNS, request={"Labels": labels})
    if runs:
        engine.begin(made)
    return made


def settle(engine: FakeEngine, *words: str, own: str = "") -> str:
    """What became of the name web: the id to go on with, or "" where it is free."""
    taken = existing_containers.settle(
        client.connect(engine.path), plan_of(engine, "--name=web", *words, own=own), unit_of(engine)
    )
    return taken.id if taken else ""


@pytest.mark.parametrize("runs", [True, False])
def test_without_rm_what_is_there_is_gone_on_with(runs: bool, engine: FakeEngine) -> None:  # noqa: FBT001  a column
    web = add(engine, "web", runs=runs)

    assert settle(engine) == web.id


def test_with_rm_a_leftover_goes(engine: FakeEngine) -> None:
    add(engine, "web", runs=False)

    assert settle(engine, "--rm") == ""
    assert not engine.containers


def test_with_rm_what_runs_is_nobodys_to_remove(engine: FakeEngine) -> None:
    add(engine, "web")

    with pytest.raises(Error, match="the name is in use by container"):
        settle(engine, "--rm")


@pytest.mark.parametrize("words", [[], ["--rm"]])
def test_replace_removes_what_runs(words: list[str], engine: FakeEngine) -> None:
    add(engine, "web")

    assert settle(engine, *words, own="--replace") == ""
    assert not engine.containers


@pytest.mark.parametrize("own", ["", "--replace"])
def test_what_another_unit_may_need_stays(own: str, engine: FakeEngine) -> None:
    web = add(engine, "web", unit="db.service", runs=False)

    with pytest.raises(Error, match=r"belongs to db\.service"):
        settle(engine, "--rm", own=own)

    assert web.id in engine.containers


def test_what_earlier_starts_left_goes_and_nothing_else(engine: FakeEngine) -> None:
    kept = [
        add(engine, "now", unit="web.service", invocation="now"),
        add(engine, "theirs", unit="db.service"),
        add(engine, "foreign"),
    ]
    add(engine, "web", unit="web.service")
    add(engine, "old", unit="web.service", runs=False)

    existing_containers.clear_leftovers(
        client.connect(engine.path), plan_of(engine, "--rm", "--name=web"), unit_of(engine)
    )

    assert list(engine.containers) == [one.id for one in kept]


def test_without_rm_a_leftover_is_ended_and_kept(engine: FakeEngine) -> None:
    old, web = add(engine, "old", unit="web.service"), add(engine, "web", unit="web.service")

    existing_containers.clear_leftovers(client.connect(engine.path), plan_of(engine, "--name=web"), unit_of(engine))

    assert (old.status, old.signals) == ("exited", ["KILL"])
    assert web.is_running
