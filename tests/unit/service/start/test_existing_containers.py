from __future__ import annotations

import pytest

from systemd_docker.engine import client, http
from systemd_docker.errors import EngineUnreachableError, Error
from systemd_docker.frozen import replace
from systemd_docker.options.own import parse_own
from systemd_docker.options.run_options import parse_run
from systemd_docker.plan.adoption import SHIM_RUNTIME
from systemd_docker.plan.launch_plan import LaunchPlan
from systemd_docker.plan.ownership import INVOCATION_LABEL, UNIT_LABEL, USER_LABEL
from systemd_docker.service import ownership
from systemd_docker.service.start import existing_containers, planning
from systemd_docker.service.start.early_queries import EarlyQueries
from systemd_docker.unit import UnitContext, read_unit
from tests.fakes.containers import RUNS, Container
from tests.fakes.engine import FakeEngine


def unit_of(engine: FakeEngine) -> UnitContext:
    unit = read_unit({"DOCKER_HOST": f"unix://{engine.path}", "INVOCATION_ID": "now", "PATH": "/nowhere"}, "/nowhere")
    return replace(unit, name="web.service")


def connected(engine: FakeEngine) -> client.Engine:
    return client.connect(engine.path, wait=http.wait_ready)


def plan_of(engine: FakeEngine, *words: str, own: str = "") -> LaunchPlan:
    options = parse_run([*words, "busybox:musl"])
    parsed = parse_own(["--adopt=none", *own.split()])[0]
    unit = replace(unit_of(engine), name="")
    return planning.prepare(parsed, options, unit, EarlyQueries(unit), http.wait_ready).plan


def add(engine: FakeEngine, name: str, *, unit: str = "", invocation: str = "then", runs: bool = True) -> Container:
    labels = {UNIT_LABEL: unit, INVOCATION_LABEL: invocation} if unit else {}
    made = engine.add(name, script=RUNS, request={"Labels": labels})
    if runs:
        engine.begin(made)
    return made


def settle(engine: FakeEngine, *words: str, own: str = "") -> str:
    """What became of the name web: the id to go on with, or "" where it is free."""
    taken = existing_containers.resolve_conflict(
        connected(engine),
        plan_of(engine, "--name=web", *words, own=own),
        unit_of(engine),
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

    existing_containers.clear_leftovers(connected(engine), plan_of(engine, "--rm", "--name=web"), unit_of(engine))

    assert list(engine.containers) == [one.id for one in kept]


def test_without_rm_a_leftover_is_ended_and_kept(engine: FakeEngine) -> None:
    old, web = add(engine, "old", unit="web.service"), add(engine, "web", unit="web.service")

    existing_containers.clear_leftovers(connected(engine), plan_of(engine, "--name=web"), unit_of(engine))

    assert (old.status, old.signals) == ("exited", ["KILL"])
    assert web.is_running


def stranger(engine: FakeEngine, trick: str, name: str = "stranger", *, runs: bool = True) -> Container:
    """A container of plain `docker run`, of an image that carries web.service's labels."""
    if trick == "commit":
        add(engine, "committed", unit="web.service", runs=False)
        engine.commit("committed", "trick")
        engine.remove(engine.find("committed"))
    else:
        engine.add_image("trick", {UNIT_LABEL: "web.service"})
    made = engine.add(name, script=RUNS, request={"Image": "trick"})
    if runs:
        engine.begin(made)
    assert made.labels[UNIT_LABEL] == "web.service"
    return made


@pytest.mark.parametrize("words", [[], ["--rm"]])
@pytest.mark.parametrize("trick", ["commit", "label"])
def test_a_container_whose_image_carries_the_units_labels_is_left_alone(
    trick: str, words: list[str], engine: FakeEngine, capfd: pytest.CaptureFixture[str]
) -> None:
    theirs = stranger(engine, trick)
    own = add(engine, "own", unit="web.service")

    existing_containers.clear_leftovers(connected(engine), plan_of(engine, *words), unit_of(engine))

    assert theirs.is_running
    assert not theirs.signals
    assert not own.is_running
    assert "leaving container 'stranger'" in capfd.readouterr().err


def test_a_leftover_whose_image_is_gone_is_known_by_its_place(engine: FakeEngine) -> None:
    engine.add_image("short", {})
    labels = {UNIT_LABEL: "web.service", INVOCATION_LABEL: "then"}
    place = {"CgroupParent": "/system.slice/web.service/payload.slice"}
    engine.add("own", request={"Image": "short", "Labels": labels, "HostConfig": place})
    theirs = engine.add("theirs", request={"Image": "short", "Labels": labels})
    engine.remove_image("short")

    existing_containers.clear_leftovers(connected(engine), plan_of(engine, "--rm"), unit_of(engine))

    assert list(engine.containers) == [theirs.id]


def test_an_images_label_of_a_user_does_not_lock_the_unit_out(engine: FakeEngine) -> None:
    engine.add_image("locks", {USER_LABEL: "1000"})
    labels = {UNIT_LABEL: "web.service", INVOCATION_LABEL: "then", USER_LABEL: ""}
    engine.add("web", request={"Image": "locks", "Labels": labels})

    assert settle(engine, "--rm") == ""
    assert not engine.containers


def test_a_name_that_a_strangers_container_has_is_no_other_units(engine: FakeEngine) -> None:
    engine.add_image("trick", {UNIT_LABEL: "db.service"})
    engine.add("web", request={"Image": "trick"})

    assert settle(engine, "--rm") == ""
    assert not engine.containers


@pytest.mark.parametrize(("unit", "volumes"), [("", None), ("web.service", "1")])
def test_anonymous_volumes_go_only_with_the_units_own_container(
    unit: str, volumes: str | None, engine: FakeEngine, capfd: pytest.CaptureFixture[str]
) -> None:
    web = add(engine, "web", unit=unit, runs=False)

    settle(engine, "--rm")

    assert engine.wait_for_request("DELETE /containers/*").query.get("v") == volumes
    assert f"removing container {web.id[:12]}, which is created and has the name 'web'" in capfd.readouterr().err


def test_a_leftover_that_cannot_be_killed_is_reported(engine: FakeEngine, capfd: pytest.CaptureFixture[str]) -> None:
    add(engine, "old", unit="web.service")
    engine.fail("POST /containers/*/kill", 500, "cannot kill: it is stuck")

    existing_containers.clear_leftovers(connected(engine), plan_of(engine, "--name=web"), unit_of(engine))

    assert "cannot kill container 'old': cannot kill: it is stuck" in capfd.readouterr().err


def test_a_stop_ends_the_wait_for_a_leftovers_death(engine: FakeEngine) -> None:
    add(engine, "old", unit="web.service")
    release = engine.hold("POST /containers/*/kill")
    impatient = client.connect(engine.path, wait=http.no_longer_than(0.2, http.wait_ready))

    with pytest.raises(EngineUnreachableError):
        existing_containers.clear_leftovers(impatient, plan_of(engine, "--name=web"), unit_of(engine))

    release()


def test_a_container_whose_mounts_would_be_weaker_now_is_not_started_again(engine: FakeEngine) -> None:
    add(engine, "web", runs=False).request["HostConfig"] = {"Runtime": SHIM_RUNTIME}
    plan = plan_of(engine, "--name=web")
    weaker = replace(plan, adoption=replace(plan.adoption, stays_writable="'/srv/a/sub' would stay writable"))

    with pytest.raises(Error, match="'/srv/a/sub' would stay writable") as refused:
        existing_containers.resolve_conflict(connected(engine), weaker, unit_of(engine))

    assert "--replace" in refused.value.hint
    assert existing_containers.resolve_conflict(connected(engine), plan, unit_of(engine))


@pytest.mark.parametrize(
    ("unit", "invocation", "runs", "expected"),
    [
        ("web.service", "then", False, True),
        ("web.service", "now", False, True),
        ("web.service", "then", True, True),
        ("web.service", "now", True, False),
        ("db.service", "then", False, False),
        ("", "", False, False),
        ("", "", True, False),
    ],
)
def test_a_container_is_not_needed_where_it_is_the_units_own_and_dead(
    unit: str, invocation: str, engine: FakeEngine, *, runs: bool, expected: bool
) -> None:
    made = add(engine, "web", unit=unit, invocation=invocation, runs=runs)

    assert ownership.is_dead_or_gone(connected(engine), unit_of(engine), made.id) == expected
    assert ownership.is_dead_or_gone(connected(engine), unit_of(engine), "5e" * 32)
