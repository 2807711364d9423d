from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from systemd_docker.commands import container
from systemd_docker.errors import EngineError, EngineUnreachableError, Error, UsageError
from systemd_docker.frozen import replace
from systemd_docker.plan.ownership import INVOCATION_LABEL, UNIT_LABEL, USER_LABEL
from systemd_docker.unit import UnitContext, read_unit
from tests.fakes.bus import FakeBus
from tests.fakes.containers import RUNS, STDERR, STDOUT, Container, Script
from tests.fakes.engine import FakeEngine


def web(engine: FakeEngine, **environ: str) -> UnitContext:
    """As a control process of web.service sees itself."""
    unit = read_unit({"DOCKER_HOST": f"unix://{engine.path}", "INVOCATION_ID": "now", **environ}, "/nonexistent")
    return replace(unit, name="web.service")


def add(engine: FakeEngine, name: str, labels: Mapping[str, str], *, runs: bool = True) -> Container:
    made = engine.add(name, script=RUNS, request={"Labels": labels})
    if runs:
        engine.begin(made)
    return made


def of_web(invocation: str = "now", **more: str) -> dict[str, str]:
    return {UNIT_LABEL: "web.service", INVOCATION_LABEL: invocation, **more}


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[FakeBus]:
    """The system bus, on which systemd has every unit inactive."""
    with FakeBus(tmp_path / "bus", {"ActiveState": ("s", "inactive")}) as made:
        yield made


def outside(engine: FakeEngine, bus: FakeBus, **environ: str) -> UnitContext:
    """As a shell sees itself."""
    return replace(web(engine, DBUS_SYSTEM_BUS_ADDRESS=bus.address, **environ), name="", invocation_id="")


def stranger(engine: FakeEngine, trick: str) -> Container:
    """What `docker run trick` makes: of an image that carries the labels of web.service."""
    if trick == "commit":
        engine.commit("own", "trick")
    else:
        engine.add_image("trick", {UNIT_LABEL: "web.service"})
    made = engine.add("stranger", script=RUNS, request={"Image": "trick"})
    engine.begin(made)
    # dockerd lists the newest first
    engine.containers = {made.id: made} | engine.containers
    return made


VERBS = {"exec": ["true"], "kill": ["--signal=HUP"], "stop": [], "rm": []}


@pytest.mark.parametrize("invocation", ["now", "then"])
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("trick", ["commit", "label"])
@pytest.mark.parametrize("verb", VERBS)
def test_no_verb_touches_a_container_whose_image_carries_the_units_labels(
    verb: str, trick: str, *, named: bool, invocation: str, engine: FakeEngine, bus: FakeBus
) -> None:
    own = add(engine, "own", of_web(invocation))
    theirs = stranger(engine, trick)
    unit = outside(engine, bus) if named else web(engine)

    container.main(verb, [*(["--unit=web"] if named else []), *VERBS[verb]], unit)

    assert theirs.is_running
    assert not theirs.signals
    assert not [call for call in engine.requests if theirs.id in call.path and call.method != "GET"]
    assert [call for call in engine.requests if own.id in call.path and call.method != "GET"]


@pytest.mark.parametrize("verb", ["exec", "kill"])
@pytest.mark.parametrize("trick", ["commit", "label"])
def test_a_strangers_container_is_not_the_units_where_the_unit_has_none(
    verb: str, trick: str, engine: FakeEngine
) -> None:
    engine.begin(engine.add("own", request={"Labels": of_web()}))
    theirs = stranger(engine, trick)
    engine.remove(engine.find("own"))

    with pytest.raises(Error, match=r"no container of web\.service is running"):
        container.main(verb, VERBS[verb], web(engine))

    assert theirs.is_running


def test_an_images_label_of_a_user_does_not_hide_the_units_container(engine: FakeEngine) -> None:
    engine.add_image("hides", {USER_LABEL: "1000"})
    own = engine.add("own", script=RUNS, request={"Image": "hides", "Labels": of_web(**{USER_LABEL: ""})})
    engine.begin(own)

    assert container.main("kill", ["-sHUP"], web(engine)) == 0

    assert own.signals == ["HUP"]


@pytest.mark.parametrize(
    ("named", "meant"),
    [
        ("web", "web.service"),
        ("web.service", "web.service"),
        ("docker@redis-7.2", "docker@redis-7.2.service"),
        ("web:blue", "web:blue.service"),
        ("w" * 247, "w" * 247 + ".service"),
    ],
)
def test_a_unit_may_be_named_without_its_suffix(named: str, meant: str, engine: FakeEngine, bus: FakeBus) -> None:
    own = add(engine, "own", {UNIT_LABEL: meant, INVOCATION_LABEL: "then"})

    assert container.main("kill", [f"--unit={named}", "-sHUP"], outside(engine, bus)) == 0

    assert own.signals == ["HUP"]


def test_the_container_of_the_units_last_start_is_meant(engine: FakeEngine, bus: FakeBus) -> None:
    bus.properties["InvocationID"] = ("ay", bytes(16))
    add(engine, "older", of_web("then"))
    own = add(engine, "own", of_web(bytes(16).hex()))

    assert container.main("kill", ["--unit=web", "-sHUP"], outside(engine, bus)) == 0

    assert own.signals == ["HUP"]


def test_an_alias_is_the_unit_that_it_names(engine: FakeEngine, bus: FakeBus) -> None:
    bus.properties["Id"] = ("s", "web.service")
    own = add(engine, "own", of_web())

    assert container.main("kill", ["--unit=shop", "-sHUP"], outside(engine, bus)) == 0

    assert own.signals == ["HUP"]


def test_the_calling_unit_may_be_named_and_systemd_is_not_asked(engine: FakeEngine, bus: FakeBus) -> None:
    add(engine, "own", of_web())

    assert container.main("rm", ["--unit=web"], web(engine, DBUS_SYSTEM_BUS_ADDRESS=bus.address)) == 0

    assert not engine.containers
    assert not bus.asked


def test_rm_of_a_unit_without_containers_matches_nothing(engine: FakeEngine, bus: FakeBus) -> None:
    with pytest.raises(Error, match=r"typo\.service has no container") as raised:
        container.main("rm", ["--unit=typo"], outside(engine, bus))

    assert raised.value.exit_status == 1


def test_rm_of_an_active_unit_asks_for_force(engine: FakeEngine, bus: FakeBus) -> None:
    bus.properties["ActiveState"] = ("s", "active")
    add(engine, "own", of_web())

    with pytest.raises(Error, match="the unit is active") as raised:
        container.main("rm", ["--unit=web"], outside(engine, bus))

    assert raised.value.hint == "Stop it with 'systemctl stop web.service', or add --force."
    assert len(engine.containers) == 1
    assert container.main("rm", ["--unit=web", "--force"], outside(engine, bus)) == 0
    assert not engine.containers


def test_rm_says_what_it_removes(engine: FakeEngine, capfd: pytest.CaptureFixture[str]) -> None:
    own = add(engine, "own", of_web())

    container.main("rm", [], web(engine))

    assert f"removed container 'own' ({own.id[:12]}, running) of web.service" in capfd.readouterr().err


def test_without_a_bus_and_systemctl_a_named_unit_is_taken_for_active(
    engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    add(engine, "own", of_web())
    nowhere = web(engine, DBUS_SYSTEM_BUS_ADDRESS=f"unix:path={tmp_path}/none")

    with pytest.raises(Error, match="the unit is not known to be inactive"):
        container.main("rm", ["--unit=web"], replace(nowhere, name=""))

    assert "cannot ask systemd for the state of web.service, taking it for active" in capfd.readouterr().err


def test_a_signal_goes_to_the_container_of_this_invocation(engine: FakeEngine) -> None:
    ours = add(engine, "ours", of_web())
    others = [add(engine, "older", of_web("then")), add(engine, "db", {UNIT_LABEL: "db.service"})]

    assert container.main("kill", ["-s", "HUP"], web(engine)) == 0

    assert ours.signals == ["HUP"]
    assert not any(other.signals for other in others)


def test_a_users_unit_and_the_systems_of_the_same_name_are_two(engine: FakeEngine) -> None:
    theirs = add(engine, "theirs", of_web(**{USER_LABEL: "1000"}))

    assert container.main("rm", [], web(engine)) == 0

    assert theirs.id in engine.containers


def test_another_unit_is_meant_where_it_is_named(engine: FakeEngine, bus: FakeBus) -> None:
    db = add(engine, "db", {UNIT_LABEL: "db.service", INVOCATION_LABEL: "then"})

    assert container.main("kill", ["--unit=db", "--signal", "USR1"], outside(engine, bus)) == 0

    assert db.signals == ["USR1"]


def test_rm_removes_what_the_unit_left_and_nothing_else(engine: FakeEngine) -> None:
    add(engine, "runs", of_web())
    add(engine, "ended", of_web("then"), runs=False)
    db = add(engine, "db", {UNIT_LABEL: "db.service"})

    assert container.main("rm", [], web(engine)) == 0

    assert list(engine.containers) == [db.id]


@pytest.mark.parametrize("verb", ["rm", "stop", "kill"])
def test_an_engine_that_does_not_answer_is_not_waited_for(verb: str, engine: FakeEngine) -> None:
    """systemd holds its socket and starts it when the unit has stopped: the command may be what keeps it waiting."""
    release = engine.hold("HEAD /_ping")

    with pytest.raises(EngineUnreachableError, match="timed out after 0 s waiting for the engine"):
        container.main(verb, [], web(engine), prompt_sec=0.1)
    release()


@pytest.mark.parametrize("verb", ["rm", "stop"])
def test_nothing_to_do_is_done(verb: str, engine: FakeEngine) -> None:
    add(engine, "db", {UNIT_LABEL: "db.service"})

    assert container.main(verb, [], web(engine)) == 0

    assert len(engine.containers) == 1


@pytest.mark.parametrize(("argv", "query"), [([], {}), (["-t", "3"], {"t": "3"}), (["--time=0"], {"t": "0"})])
def test_stop_waits_for_the_containers_own_time_or_for_ours(
    argv: list[str], query: dict[str, str], engine: FakeEngine
) -> None:
    ours = add(engine, "ours", of_web())

    assert container.main("stop", argv, web(engine)) == 0

    assert engine.wait_for_request("POST /containers/*/stop").query == query
    assert ours.exit_code == 143


def test_a_command_runs_with_its_output_and_its_exit_status(
    engine: FakeEngine, capfd: pytest.CaptureFixture[str]
) -> None:
    engine.exec_script = Script(output=((STDOUT, b"reloaded\n"), (STDERR, b"oh\n")), exit_code=3)
    add(engine, "ours", of_web())

    argv = ["-u", "nobody", "--env=A=b", "-e", "MAINPID", "-w/tmp", "nginx", "-s", "reload"]
    assert container.main("exec", argv, web(engine, MAINPID="7")) == 3

    assert capfd.readouterr() == ("reloaded\n", "oh\n")
    (body,) = engine.execs.values()
    assert body == {
        "AttachStdout": True,
        "AttachStderr": True,
        "Cmd": ["nginx", "-s", "reload"],
        "Env": ["A=b", "MAINPID=7"],
        "Privileged": False,
        "User": "nobody",
        "WorkingDir": "/tmp",
    }


BAD = [
    ("kill", ["web"], "'systemd-docker kill' takes no arguments"),
    ("exec", [], "'systemd-docker exec' needs a command"),
    ("stop", ["--time=soon"], "must be a number of seconds"),
    ("kill", ["--bogus"], "unknown flag: --bogus"),
]


@pytest.mark.parametrize(("verb", "argv", "message"), BAD)
def test_what_is_typed_wrong(verb: str, argv: list[str], message: str, engine: FakeEngine) -> None:
    with pytest.raises(UsageError, match=message):
        container.main(verb, argv, web(engine))


def test_outside_of_a_unit_one_has_to_be_named(engine: FakeEngine) -> None:
    with pytest.raises(UsageError, match="not started by a unit"):
        container.main("rm", [], replace(web(engine), name=""))


@pytest.mark.parametrize("argv", [["kill"], ["exec", "true"]])
def test_without_a_running_container_there_is_nobody_to_tell(argv: list[str], engine: FakeEngine) -> None:
    add(engine, "ended", of_web(), runs=False)

    with pytest.raises(Error, match=r"no container of web\.service is running"):
        container.main(argv[0], argv[1:], web(engine))


def test_the_engines_refusal_says_what_was_tried(engine: FakeEngine) -> None:
    add(engine, "ours", of_web())

    with pytest.raises(EngineError, match="cannot send NOPE to container 'ours': Invalid signal: NOPE"):
        container.main("kill", ["-sNOPE"], web(engine))


def test_no_engine_is_an_error(tmp_path: Path, engine: FakeEngine) -> None:
    unit = web(engine, DOCKER_HOST=f"unix://{tmp_path}/nobody.sock")

    with pytest.raises(EngineUnreachableError, match="cannot reach the engine"):
        container.main("rm", [], unit)


@pytest.mark.parametrize("verb", container.VERBS)
def test_every_verb_explains_itself(verb: str, engine: FakeEngine, capsys: pytest.CaptureFixture[str]) -> None:
    assert container.main(verb, ["--help"], web(engine)) == 0

    assert capsys.readouterr().out.startswith(f"Usage:  systemd-docker {verb} [OPTIONS]")
