from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from systemd_docker.commands import container
from systemd_docker.errors import EngineError, EngineUnreachableError, Error, UsageError
from systemd_docker.frozen import replace
from systemd_docker.plan.launch_plan import INVOCATION_LABEL, UNIT_LABEL, USER_LABEL
from systemd_docker.unit import UnitContext, read_unit
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


def test_another_unit_is_meant_where_it_is_named(engine: FakeEngine) -> None:
    db = add(engine, "db", {UNIT_LABEL: "db.service", INVOCATION_LABEL: "then"})

    assert container.main("kill", ["--unit=db", "--signal", "USR1"], replace(web(engine), name="")) == 0

    assert db.signals == ["USR1"]


def test_rm_removes_what_the_unit_left_and_nothing_else(engine: FakeEngine) -> None:
    add(engine, "runs", of_web())
    add(engine, "ended", of_web("then"), runs=False)
    db = add(engine, "db", {UNIT_LABEL: "db.service"})

    assert container.main("rm", [], web(engine)) == 0

    assert list(engine.containers) == [db.id]


@pytest.mark.parametrize("verb", ["rm", "stop", "kill"])
def test_an_engine_that_does_not_answer_is_not_waited_for(verb: str, engine: FakeEngine) -> None:
    """systemd holds its socket and starts it when the unit has stopped: it may be us who keep it waiting."""
    release = engine.hold("HEAD /_ping")

    with pytest.raises(EngineUnreachableError, match="has not answered in time"):
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

    with pytest.raises(Error, match=r"no container of web\.service runs"):
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
