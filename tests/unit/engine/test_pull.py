"""Pulls in a child process, against the fake engine: progress, credentials, every way to fail, and no leftovers."""

from __future__ import annotations

import base64
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from systemd_docker.engine import pull as pull_module
from systemd_docker.engine import pull_worker
from systemd_docker.engine.pull_progress import PullProgress
from systemd_docker.errors import EngineError, EngineUnreachableError
from tests.fakes.images import Pull

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fakes.engine import FakeEngine

ROOT = Path(__file__).parents[3]
DEADLINE_SEC = 20


def layer(status: str, name: str, current: int = 0, total: int = 0) -> dict[str, Any]:
    return {"status": status, "id": name, "progressDetail": {"current": current, "total": total} if total else {}}


LINES = (
    {"status": "Pulling from library/nginx", "id": "latest"},
    layer("Pulling fs layer", "a1"),
    layer("Already exists", "b2"),
    layer("Downloading", "a1", 1_000_000, 3_000_000),
    layer("Download complete", "a1"),
    layer("Extracting", "a1", 3_000_000, 3_000_000),
    layer("Pull complete", "a1"),
    {"status": "Digest: sha256:00"},
    {"status": "Status: Downloaded newer image for nginx:latest"},
)
ALL = PullProgress(3_000_000, 3_000_000, 3_000_000, 2, 2, finished=True)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """$DOCKER_CONFIG: an empty directory."""
    directory = tmp_path / "config"
    directory.mkdir()
    return directory


@pytest.fixture
def nginx(engine: FakeEngine) -> FakeEngine:
    """An engine that can pull nginx."""
    engine.registry["nginx:latest"] = Pull(LINES)
    return engine


def start(engine: FakeEngine, config: Path, reference: str = "nginx", **more: Any) -> pull_module.Pull:
    environ = {"PATH": f"{config}:/usr/bin:/bin", "DOCKER_CONFIG": str(config)} | more.pop("environ", {})
    request = {"socket_path": engine.path, "api_version": "1.45", "environ": environ} | more
    return pull_module.start_pull(reference, **request)


def receive(pull: pull_module.Pull) -> PullProgress:
    """The next news."""
    deadline = time.monotonic() + DEADLINE_SEC
    while time.monotonic() < deadline:
        select.select([pull], [], [], deadline - time.monotonic())
        if progress := pull.receive():
            return progress
    raise TimeoutError("no news of the pull")


def follow(pull: pull_module.Pull) -> list[PullProgress]:
    """All news, up to the last."""
    with pull:
        news = [receive(pull)]
        while not news[-1].finished:
            news.append(receive(pull))
    return news


def test_an_image_is_pulled(nginx: FakeEngine, config: Path) -> None:
    news = follow(start(nginx, config, platform="linux/arm64"))

    assert news[-1] == ALL
    assert not any(progress.finished for progress in news[:-1])
    [call] = nginx.requests
    assert (str(call), call.version) == ("POST /images/create", "1.45")
    assert call.query == {"fromImage": "docker.io/library/nginx", "tag": "latest", "platform": "linux/arm64"}
    assert "nginx:latest" in nginx.images


def test_without_a_platform_none_is_sent_and_a_digest_is_a_tag(engine: FakeEngine, config: Path) -> None:
    digest = "sha256:" + "0a" * 32
    engine.registry[f"127.0.0.1:5000/app@{digest}"] = Pull()

    follow(start(engine, config, f"127.0.0.1:5000/app:1@{digest}"))

    assert engine.requests[0].query == {"fromImage": "127.0.0.1:5000/app", "tag": digest}


def test_progress_comes_while_it_is_made(nginx: FakeEngine, config: Path) -> None:
    nginx.registry["nginx:latest"].stall_at = 4

    with start(nginx, config) as pull:
        assert receive(pull).text("nginx") == "Pulling nginx"
        assert pull.receive() is None, "no news, and no waiting for any"
        nginx.go_on("nginx:latest")
        while not (progress := receive(pull)).finished:
            assert progress.total_bytes in (0, 3_000_000)

    assert progress == ALL


def test_thousands_of_lines_are_a_few_reports(nginx: FakeEngine, config: Path) -> None:
    nginx.registry["nginx:latest"] = Pull(tuple(layer("Downloading", "a1", n, 5000) for n in range(5000)))
    began = time.monotonic()

    news = follow(start(nginx, config))

    assert len(news) <= (time.monotonic() - began) / pull_worker.REPORT_INTERVAL_SEC + 2


def credentials(engine: FakeEngine) -> Any:
    """What the engine was told, decoded."""
    header = engine.requests[-1].headers.get("x-registry-auth")
    return None if header is None else json.loads(base64.urlsafe_b64decode(header))


def basic(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


HELPER = """#!/bin/sh
read server
printf '{"ServerURL":"%s","Username":"USER","Secret":"s"}' "$server"
"""

LOCAL = "127.0.0.1:5000"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, None),
        ({"auths": {"elsewhere.example": basic("u", "p")}}, None),
        ({"auths": {LOCAL: basic("u", "p:q")}}, {"username": "u", "password": "p:q", "serveraddress": LOCAL}),
        ({"auths": {f"http://{LOCAL}/v1/": basic("u", "p")}}, {"username": "u", "password": "p"}),
        ({"auths": {LOCAL: {"identitytoken": "t"}}}, {"IdentityToken": "t"}),
        ({"credsStore": "user"}, {"Username": "u", "Password": "s", "ServerAddress": LOCAL}),
        ({"credsStore": "nonesuch", "credHelpers": {LOCAL: "user"}}, {"Username": "u", "Password": "s"}),
        ({"credHelpers": {LOCAL: "token"}}, {"IdentityToken": "s"}),
    ],
    ids=str,
)
def test_credentials_are_found_where_docker_login_left_them(
    settings: dict[str, Any], expected: dict[str, str] | None, engine: FakeEngine, config: Path
) -> None:
    engine.registry[f"{LOCAL}/app:latest"] = Pull()
    (config / "config.json").write_text(json.dumps(settings))
    for helper, user in (("user", "u"), ("token", "<token>")):
        (config / f"docker-credential-{helper}").write_text(HELPER.replace("USER", user))
        (config / f"docker-credential-{helper}").chmod(0o755)

    follow(start(engine, config, f"{LOCAL}/app"))

    sent = credentials(engine)
    assert (sent is None) == (expected is None)
    assert (expected or {}).items() <= (sent or {}).items()


def test_the_configuration_is_in_the_home_directory_too(nginx: FakeEngine, tmp_path: Path) -> None:
    settings = {"auths": {"https://index.docker.io/v1/": basic("u", "p")}}
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text(json.dumps(settings))

    follow(start(nginx, tmp_path, environ={"DOCKER_CONFIG": "", "HOME": str(tmp_path)}))

    assert credentials(nginx)["username"] == "u"


def test_nothing_but_the_docker_configuration_is_sent_to_the_engine(nginx: FakeEngine, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine localhost login u password p\n")

    follow(start(nginx, tmp_path, environ={"HOME": str(tmp_path), "ALL_PROXY": "http://127.0.0.1:1"}))

    assert "authorization" not in nginx.requests[0].headers


def failure(pull: pull_module.Pull) -> EngineError | EngineUnreachableError:
    """How it fails; and that it does so in one line."""
    with pytest.raises((EngineError, EngineUnreachableError)) as caught:
        follow(pull)
    assert len(str(caught.value).splitlines()) == 1
    return caught.value  # type: ignore[return-value]  # one of the two, as the line above found


UNREACHABLE = 'Get "https://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused'


@pytest.mark.parametrize(
    ("http_status", "message", "hint"),
    [
        (404, "pull access denied for nginx, repository does not exist", "log in with 'docker login' as"),
        (404, "manifest for nginx:latest not found: manifest unknown", ""),
        (500, UNREACHABLE, ""),
        (400, "invalid reference format", ""),
    ],
)
def test_an_engines_no_is_told_in_its_words(
    http_status: int, message: str, hint: str, engine: FakeEngine, config: Path
) -> None:
    engine.fail("POST /images/create", http_status, message)

    error = failure(start(engine, config))

    assert isinstance(error, EngineError)
    assert (str(error), error.http_status) == (message, http_status)
    assert hint in error.hint
    assert bool(hint) == bool(error.hint)


def test_an_error_in_the_middle_is_told_in_the_engines_words(engine: FakeEngine, config: Path) -> None:
    words = "unauthorized:\n authentication required"
    broken = {"error": words, "errorDetail": {"code": 401, "message": words}}
    engine.registry[f"{LOCAL}/app:latest"] = Pull((*LINES[:4], broken, {"status": "never read"}))

    error = failure(start(engine, config, f"{LOCAL}/app"))

    assert isinstance(error, EngineError)
    assert (str(error), error.http_status) == ("unauthorized: authentication required", 401)
    assert f"'docker login {LOCAL}'" in error.hint


def test_no_length_of_an_error_is_too_much(engine: FakeEngine, config: Path) -> None:
    engine.registry["nginx:latest"] = Pull(({"error": "\U0001f40b\x01" * 5000},))

    assert len(str(failure(start(engine, config)))) == pull_worker.MAX_MESSAGE_CHARS


@pytest.mark.parametrize("after_bytes", [0, 100, 350])
def test_an_engine_that_goes_away_is_unreachable(after_bytes: int, nginx: FakeEngine, config: Path) -> None:
    nginx.cut("POST /images/create", after_bytes)

    error = failure(start(nginx, config))

    assert isinstance(error, EngineUnreachableError)
    assert str(error).startswith("lost the engine (POST /images/create): ")


@pytest.mark.parametrize("line", [{"status": "x" * 2 * pull_worker.MAX_LINE_BYTES}, ["no", "object"]])
def test_progress_that_makes_no_sense_is_an_error(line: Any, nginx: FakeEngine, config: Path) -> None:
    nginx.registry["nginx:latest"] = Pull((line,))

    error = failure(start(nginx, config))

    assert isinstance(error, EngineError)
    assert str(error).startswith("unexpected answer from the engine to POST /images/create: ")


def test_no_engine_is_unreachable(engine: FakeEngine, config: Path) -> None:
    error = failure(start(engine, config, socket_path=str(config / "none.sock")))

    assert isinstance(error, EngineUnreachableError)
    assert str(error) == f"cannot reach the engine at '{config}/none.sock': No such file or directory (ENOENT)"


@pytest.mark.parametrize(
    ("helper", "words"),
    [
        ("", "docker-credential-mine not installed or not available in PATH"),
        ("#!/bin/sh\necho no key ring; exit 1\n", "no key ring"),
    ],
    ids=["missing", "failing"],
)
def test_a_credential_helper_that_does_not_work_is_named(
    helper: str, words: str, nginx: FakeEngine, config: Path
) -> None:
    (config / "config.json").write_text('{"credsStore": "mine"}')
    if helper:
        (config / "docker-credential-mine").write_text(helper)
        (config / "docker-credential-mine").chmod(0o755)

    error = failure(start(nginx, config))

    assert isinstance(error, EngineError)
    assert str(error).startswith("cannot get credentials: ")
    assert words in str(error)
    assert "credsStore" in error.hint
    assert not nginx.requests, "nothing is pulled without the credentials that were asked for"


def test_a_missing_docker_package_is_named(engine: FakeEngine, config: Path) -> None:
    standard_library = [path for path in sys.path if path and "site-packages" not in path and "dist-" not in path]

    error = failure(start(engine, config, import_path=[str(ROOT), *standard_library]))

    assert "No module named 'docker'" in str(error)
    assert "docker pull" in error.hint


@pytest.mark.parametrize("name", ["0a" * 32, "sha256:" + "0a" * 32])
def test_an_id_is_never_pulled(name: str, engine: FakeEngine, config: Path) -> None:
    with pytest.raises(EngineError, match="No such image"):
        start(engine, config, name)

    assert not engine.requests


def test_a_canceled_pull_is_gone_at_once(nginx: FakeEngine, config: Path) -> None:
    nginx.registry["nginx:latest"].stall_at = 4
    with start(nginx, config) as pull:
        receive(pull)

        status = pull.cancel()

        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
        assert pull.pid == 0
        assert pull.cancel() == status
    pull.close()


def test_canceling_ends_the_credential_helper_as_well(nginx: FakeEngine, config: Path) -> None:
    (config / "config.json").write_text('{"credsStore": "slow"}')
    os.mkfifo(config / "fifo")
    helper = config / "docker-credential-slow"
    helper.write_text(f"#!/bin/sh\necho $$ >{config}/fifo\nexec sleep 1000\n")
    helper.chmod(0o755)

    with start(nginx, config) as pull:
        pidfd = os.pidfd_open(int((config / "fifo").read_text()))
        pull.cancel()

    try:
        assert select.select([pidfd], [], [], DEADLINE_SEC)[0]
    finally:
        os.close(pidfd)


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_child_that_dies_without_a_word_is_an_error_with_its_signal(
    signo: signal.Signals, nginx: FakeEngine, config: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    nginx.registry["nginx:latest"].stall_at = 4
    with start(nginx, config) as pull:
        receive(pull)
        os.kill(pull.pid, signo)

        with pytest.raises(EngineError, match=f"was killed by {signo.name} without a result"):
            follow(pull)
    assert capfd.readouterr().err == "", "a signal is no bug, so there is no traceback"


@pytest.fixture
def bystander() -> Iterator[tuple[int, int, int]]:
    """A child that only sleeps, as (pid, both ends of a pipe): a Pull owns all of it but the last."""
    child = os.posix_spawn("/bin/sleep", ["sleep", "1000"], {}, setpgroup=0)
    pipe, write_end = os.pipe()
    os.set_blocking(pipe, False)
    yield child, pipe, write_end
    os.close(write_end)


def test_lines_that_come_in_pieces_are_put_together(bystander: tuple[int, int, int]) -> None:
    *owned, write_end = bystander
    report = dict.fromkeys(pull_module.COUNTS, 7)
    lines = b"".join(json.dumps(report | {"finished": last}).encode() + b"\n" for last in (False, True))

    with pull_module.Pull(*owned) as pull:

        @given(st.lists(st.integers(0, len(lines)), max_size=5))
        def any_pieces(cuts: list[int]) -> None:
            news = []
            for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(lines)], strict=True):
                os.write(write_end, lines[begin:end])
                news.append(pull.receive())
            assert [progress for progress in news if progress][-1] == PullProgress(7, 7, 7, 7, 7, finished=True)

        any_pieces()


def drain(pull: pull_module.Pull) -> None:
    while pull.receive() is None:
        pass


@pytest.mark.parametrize(
    "garbage", [b"{}\n", b"\n", b"Traceback:\n", b"[1]\n", b'{"error": 1}\n', b"x" * 2 * pull_module.MAX_LINE_BYTES]
)
def test_garbage_from_the_child_is_an_error(garbage: bytes, bystander: tuple[int, int, int]) -> None:
    *owned, write_end = bystander
    os.write(write_end, garbage)

    with (
        pull_module.Pull(*owned) as pull,
        pytest.raises(EngineError, match=r"report from the pulling process"),
    ):
        drain(pull)


LEAN = """
import sys
sys.path += sys.argv[4:]
from systemd_docker.engine.pull import start_pull
import select
with start_pull(sys.argv[1], socket_path=sys.argv[2], api_version="1.41", environ={"HOME": sys.argv[3]}) as pull:
    progress = None
    while not (progress and progress.finished):
        select.select([pull], [], [])
        progress = pull.receive()
print(progress.text("nginx"), sorted({"docker", "requests", "subprocess", "http", "typing"} & set(sys.modules)))
"""


def test_a_lean_parent_never_imports_what_its_child_does(nginx: FakeEngine, tmp_path: Path) -> None:
    argv = [sys.executable, "-IS", "-c", LEAN, "nginx", nginx.path, str(tmp_path), str(ROOT), *sys.path]

    result = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE_SEC, check=False)

    assert (result.stdout, result.stderr) == ("Pulled nginx []\n", "")
