"""`systemd-docker run` as a process, from its command line to its ending, with the fake engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from systemd_docker.service.supervise.limits import EARLY_SEC
from tests.fakes.containers import RUNS, STDERR, STDOUT, Script
from tests.fakes.engine import FakeEngine
from tests.fakes.images import Pull
from tests.process.program import ARGV, ROOT, command, environ_of, finish, run

ENDINGS = [
    (Script(output=((STDOUT, b"out\n"), (STDERR, b"err\n"))), 0, "out\n", "err\n"),
    (Script(output=((STDOUT, b"no newline"),), exit_code=3), 3, "no newline", ""),
    (Script(output=(), exit_code=255), 255, "", ""),
    (Script(output=(), exit_code=143), -signal.SIGTERM, "", ""),
    (Script(output=(), exit_code=139), -signal.SIGSEGV, "", ""),
]


@pytest.mark.parametrize(("script", "returncode", "stdout", "stderr"), ENDINGS)
def test_output_and_ending_are_the_containers(
    script: Script, returncode: int, stdout: str, stderr: str, any_engine: FakeEngine
) -> None:
    any_engine.script = script

    words = ["--adopt=none", "--log-level=warning", "run", "--rm", "busybox:musl"]

    assert finish(command(any_engine, *words)) == (returncode, stdout, stderr)
    assert not any_engine.containers


def test_the_engine_is_asked_in_the_order_that_loses_nothing(engine: FakeEngine) -> None:
    run(engine, "--rm", "busybox:musl")

    assert engine.sequence() == [
        "GET /info",
        "POST /containers/create",
        "POST /containers/ID/attach",
        "POST /containers/ID/wait",
        "POST /containers/ID/start",
        "GET /containers/ID/json",
        "GET /events",
        "DELETE /containers/ID",
    ]


def test_without_rm_the_container_stays(engine: FakeEngine) -> None:
    run(engine, "--name", "web", "busybox:musl")

    assert [container.status for container in engine.containers.values()] == ["exited"]


def test_out_of_memory_is_said(engine: FakeEngine) -> None:
    engine.script = RUNS
    process = command(engine, "--adopt=none", "run", "--rm", "--name", "web", "busybox:musl")
    engine.wait_for_request("GET /containers/*/json")
    engine.finish("web", 137, oom_killed=True)

    returncode, _, stderr = finish(process)

    assert returncode == -signal.SIGKILL
    assert "container 'web' ran out of memory and was killed\n" in stderr
    assert not engine.containers


@pytest.mark.parametrize("closed", [(1,), (0, 1), (0, 1, 2)])
def test_standard_streams_that_are_closed_are_nobodys(closed: tuple[int, ...], engine: FakeEngine) -> None:
    redirections = " ".join(f"{fd}>&-" for fd in closed)
    words = [*ARGV, "--adopt=none", "run", "--rm", "--name", "web", "busybox:musl"]

    shell = ["sh", "-c", f'exec "$@" {redirections}', "sh", *words]
    result = subprocess.run(shell, env=environ_of(engine), capture_output=True, text=True, timeout=20)

    assert result.returncode == 0
    assert ("standard output is closed: what is written to it is lost" in result.stderr) is (2 not in closed)
    assert not engine.containers


START_ERRORS = [("executable file not found in $PATH", 127), ("permission denied", 126), ("no space left", 125)]


@pytest.mark.parametrize(("reason", "status"), START_ERRORS)
def test_a_start_that_fails_has_docker_runs_status_and_leaves_nothing(
    reason: str, status: int, engine: FakeEngine
) -> None:
    engine.script = Script(start_error=f'OCI runtime create failed: exec: "x": {reason}: unknown')

    returncode, _, stderr = run(engine, "--rm", "--name", "web", "busybox:musl", "x")

    assert returncode == status
    assert stderr.startswith("systemd-docker: cannot start container 'web': ")
    assert reason in stderr
    assert not engine.containers


BAD = [
    # words, the error line, in the hint
    (["run", "--bogus", "x"], "unknown flag: --bogus", "run --help"),
    (["run", "-q7", "x"], "unknown flag: -7 in -q7", "run --help"),
    (["run"], "needs an image", "systemd-docker run"),
    (["run", "--memory=lots", "x"], 'invalid argument "lots" for --memory: not a size', "run --help"),
    (["run", "-i", "x"], "--interactive is refused", "StandardInput="),
    (["run", "--restart=always", "x"], "--restart=always", "Restart="),
    (["--adopt=up", "run", "x"], "must be one of auto, parent", "--help"),
    (["frobnicate"], "unknown subcommand: 'frobnicate'", "run"),
    ([], "no subcommand is given", "run"),
    (["run", "--env-file", "/nonexistent", "busybox:musl"], "/nonexistent", ""),
    (["run", "--pull=never", "nosuch:image"], "nosuch:image", "docker pull"),
]


@pytest.mark.parametrize(("words", "line", "hint"), BAD)
def test_bad_input_is_one_line_a_hint_and_125(words: list[str], line: str, hint: str, engine: FakeEngine) -> None:
    words = ["--adopt=none", *words] if words and not words[0].startswith("--adopt") else words

    returncode, stdout, stderr = finish(command(engine, *words))

    assert returncode == 125
    assert stdout == ""
    first, *rest = stderr.splitlines()
    assert line in first
    assert hint in " ".join(rest)
    assert "Traceback" not in stderr
    assert not engine.containers


@pytest.mark.parametrize("address", ["unix:///nonexistent/docker.sock", "tcp://192.0.2.1:2375", "ssh://host", "x"])
def test_an_engine_that_is_not_here_is_said(address: str, engine: FakeEngine) -> None:
    returncode, _, stderr = run(engine, "busybox:musl", DOCKER_HOST=address)

    assert returncode == 125
    assert address.removeprefix("unix://") in stderr.splitlines()[0]
    assert len(stderr.splitlines()) == 2


def test_a_stop_is_the_containers_and_the_ending_is_its_own(engine: FakeEngine) -> None:
    engine.script = RUNS
    process = command(engine, "--adopt=none", "run", "--rm", "--stop-timeout=7", "busybox:musl")
    engine.wait_for_request("GET /containers/*/json")
    process.send_signal(signal.SIGTERM)
    stop = engine.wait_for_request("POST /containers/*/stop")

    returncode, _, stderr = finish(process)

    assert stop.query == {"t": "7"}
    assert returncode == -signal.SIGTERM
    assert "warning" not in stderr
    assert not engine.containers


def test_other_signals_are_passed_on(engine: FakeEngine) -> None:
    engine.script = Script(output=(), exit_code=None, ignores=frozenset({"HUP", "USR1"}))
    process = command(engine, "--adopt=none", "run", "--rm", "--name", "web", "busybox:musl")
    engine.wait_for_request("GET /containers/*/json")
    for signo, name in ((signal.SIGHUP, "1"), (signal.SIGUSR1, "10")):
        process.send_signal(signo)
        engine.wait_for(
            lambda name=name: (
                engine.matching("POST /containers/*/kill")[-1:]  # type: ignore[misc]
                and engine.matching("POST /containers/*/kill")[-1].query == {"signal": name}
            ),
            what="the signal",
        )
    engine.finish("web", 0)

    assert finish(process)[0] == 0


def test_a_stop_before_there_is_a_container_leaves_none(engine: FakeEngine) -> None:
    release = engine.hold("POST /containers/*/start")
    process = command(engine, "--adopt=none", "run", "--rm", "busybox:musl")
    engine.wait_for_request("POST /containers/*/start")
    process.send_signal(signal.SIGTERM)

    engine.wait_for_request("DELETE /containers/*")
    release()

    assert finish(process)[0] == -signal.SIGTERM
    assert not engine.containers


def test_a_stop_while_the_engine_creates_waits_for_what_is_to_be_removed(engine: FakeEngine) -> None:
    release = engine.hold("POST /containers/create")
    process = command(engine, "--adopt=none", "run", "--rm", "busybox:musl")
    engine.wait_for_request("POST /containers/create")
    process.send_signal(signal.SIGTERM)

    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.3)
    release()

    assert finish(process)[0] == -signal.SIGTERM
    assert engine.sequence()[-2:] == ["POST /containers/create", "DELETE /containers/ID"]
    assert not engine.containers


@pytest.mark.parametrize(("is_early", "returncode"), [(True, -signal.SIGTERM), (False, 2)])
def test_what_a_stop_has_met_before_there_was_a_payload_has_stopped(
    engine: FakeEngine, *, is_early: bool, returncode: int
) -> None:
    engine.script = Script(output=(), exit_code=None, ignores=frozenset({"TERM"}))
    release = engine.hold("GET /containers/*/json") if is_early else lambda: None
    process = command(engine, "--adopt=none", "run", "--rm", "--name", "web", "busybox:musl")
    engine.wait_for_request("GET /containers/*/json")
    if not is_early:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(EARLY_SEC + 0.3)
    process.send_signal(signal.SIGTERM)
    if is_early:
        engine.finish("web", 2)
        release()
    else:
        engine.wait_for_request("POST /containers/*/stop")
        engine.finish("web", 2)

    assert finish(process)[0] == returncode
    assert not engine.containers


def test_a_pid_file_a_cid_file_and_their_end(engine: FakeEngine, tmp_path: Path) -> None:
    engine.script = Script(output=(), exit_code=None, pid=os.getpid())
    cid, pid = tmp_path / "cid", tmp_path / "pid"
    words = ["--adopt=none", f"--pid-file={pid}", "run", "--rm", "--name", "web", f"--cidfile={cid}", "busybox:musl"]
    process = command(engine, *words)
    assert process.stderr is not None
    assert "adoption none" in process.stderr.readline(), "what it says of a container that runs"

    assert cid.read_text() == engine.find("web").id
    assert pid.read_text() == str(os.getpid())

    engine.finish("web", 0)
    assert finish(process)[0] == 0
    assert cid.exists()
    assert not pid.exists()


def test_a_cid_file_that_is_there_stops_the_start(engine: FakeEngine, tmp_path: Path) -> None:
    cid = tmp_path / "cid"
    web = engine.add("web", script=RUNS)
    engine.begin(web)
    cid.write_text(web.id)

    returncode, _, stderr = run(engine, f"--cidfile={cid}", "busybox:musl")

    assert returncode == 125
    assert f"the container ID file '{cid}' exists" in stderr
    assert list(engine.containers) == [web.id]
    assert cid.read_text() == web.id


def test_a_cid_file_of_a_container_that_is_gone_is_replaced(engine: FakeEngine, tmp_path: Path) -> None:
    cid = tmp_path / "cid"
    cid.write_text("5e" * 32)

    returncode, _, _ = run(engine, "--name=web", f"--cidfile={cid}", "busybox:musl")

    assert returncode == 0
    assert cid.read_text() == engine.find("web").id


def test_an_old_engine_is_refused_with_its_version(tmp_path: Path) -> None:
    with FakeEngine(tmp_path / "old.sock", api_version="1.41") as engine:
        returncode, _, stderr = run(engine, "--annotation=a=b", "busybox:musl")

    assert returncode == 125
    assert "--annotation needs an engine with API 1.43, this one has 1.41" in stderr


def test_an_image_that_is_not_there_is_pulled_first(engine: FakeEngine) -> None:
    engine.registry["127.0.0.1:5000/app:1"] = Pull()

    returncode, stdout, _ = run(engine, "--rm", "127.0.0.1:5000/app:1")

    assert (returncode, stdout) == (0, "hello\n")
    assert [str(call) for call in engine.matching("POST /images/create")] == ["POST /images/create"]


def test_dry_run_shows_everything_and_does_nothing(engine: FakeEngine) -> None:
    words = ["--adopt=none", "--dry-run", "run", "--name", "web", "-p", "80:80", "busybox:musl", "true"]

    returncode, stdout, stderr = finish(command(engine, *words))

    assert (returncode, stderr) == (0, "")
    assert stdout.splitlines()[0] == "POST /v1.45/containers/create?name=web"
    assert "adoption: none" in stdout
    assert [str(call) for call in engine.requests] == ["GET /info"]


def test_dry_run_for_programs_is_one_object(engine: FakeEngine) -> None:
    words = ["--dry-run", "--print=api", "run", "--name", "web", "busybox:musl", "true"]

    returncode, stdout, _ = finish(command(engine, *words))

    plan = json.loads(stdout)
    assert returncode == 125
    assert (plan["method"], plan["path"], plan["query"]) == ("POST", "/v1.45/containers/create", {"name": "web"})
    assert plan["body"]["Cmd"] == ["true"]
    assert "not started as a systemd service" in plan["adoption"]["refused"]


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["run", "--help"]])
def test_help_and_version_need_no_engine(words: list[str], tmp_path: Path) -> None:
    result = subprocess.run(
        [*ARGV, *words],
        env={"PYTHONPATH": str(ROOT), "DOCKER_HOST": "unix:///nonexistent"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "systemd-docker" in result.stdout
    assert result.stderr == ""


def test_standard_input_is_the_containers_where_there_is_one(engine: FakeEngine) -> None:
    engine.script = RUNS
    process = command(
        engine, "--adopt=none", "run", "--rm", "-i", "--name", "web", "busybox:musl", stdin=subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write("hello\n" * 20_000)
    process.stdin.close()
    process.stdin = None
    engine.wait_for(lambda: engine.matching("POST /containers/*/start"), what="the start")
    web = engine.find("web")
    engine.wait_for(lambda: web.stdin_closed, what="the end of the input")
    engine.finish("web", 0)

    assert finish(process)[0] == 0
    assert bytes(web.stdin) == b"hello\n" * 20_000
    assert engine.matching("POST /containers/*/attach")[0].query["stdin"] == "1"


def test_plain_needs_no_unit(engine: FakeEngine) -> None:
    returncode, stdout, _ = finish(command(engine, "--plain-request", "run", "busybox:musl"))

    assert (returncode, stdout) == (0, "hello\n")
    assert "Labels" not in engine.matching("POST /containers/create")[0].json()


def test_credentials_are_in_the_container_before_it_starts(engine: FakeEngine, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"registry.example": {"auth": "dTpw"}}}))

    returncode, _, stderr = run(engine, "--use-api-socket", "busybox:musl", DOCKER_CONFIG=str(tmp_path))

    put = [str(call) for call in engine.requests].index(str(engine.matching("PUT /containers/*/archive")[0]))
    start = [str(call) for call in engine.requests].index(str(engine.matching("POST /containers/*/start")[0]))
    assert returncode == 0, stderr
    assert put < start
    assert b"registry.example" in engine.matching("PUT /containers/*/archive")[0].body
