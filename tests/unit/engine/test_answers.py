"""Every answer is read whole, refused in the engine's words, or an error that names its request."""

from __future__ import annotations

import contextlib
import itertools
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from systemd_docker.engine import answers, client, http
from systemd_docker.errors import EngineError, EngineUnreachableError
from tests.fakes.containers import RUNS
from tests.fakes.engine import FakeEngine
from tests.fakes.http import Delivery

READS: dict[str, tuple[str, Callable[[client.Engine], object]]] = {
    "inspect": ("GET /containers/web/json", lambda engine: engine.inspect("web")),
    "create": ("POST /containers/create", lambda engine: engine.create({"Image": "busybox:musl"}).warnings),
    "list": ("GET /containers/json", lambda engine: engine.labelled("of", "web")),
    "start": ("POST /containers/web/start", lambda engine: engine.start("web")),
    "exec": ("POST /containers/web/exec", lambda engine: bool(engine.create_exec("web", {"Cmd": ["true"]}))),
    "exec's end": ("GET /exec/*/json", lambda engine: engine.exec_exit_code("0")),
    "stop": ("POST /containers/web/stop", lambda engine: engine.finish(engine.stop("web", timeout_sec=0))),
    "remove": ("DELETE /containers/web", lambda engine: engine.remove("web")),
    "exit": ("POST /containers/web/wait", lambda engine: exit_code(engine)),
}
"""Requests, and what reads their answers."""


def exit_code(engine: client.Engine) -> int:
    with contextlib.closing(engine.ask_exit("web")) as exchange:
        if failure := answers.complete(exchange, http.wait_ready, time.monotonic() + 5):
            raise failure
    return answers.exit_of(completed(engine))


def completed(engine: client.Engine) -> http.Exchange:
    """A completed wait; its connection is closed, its answer stays."""
    with contextlib.closing(engine.ask_exit("web")) as exchange:
        while not exchange.complete:
            http.wait_ready(exchange.fileno(), exchange.events, time.monotonic() + 5)
            exchange.advance()
    return exchange


def connected(engine: FakeEngine, wait: http.Wait = http.wait_ready) -> client.Engine:
    return client.Engine(engine.path, (1, 45), wait)


@contextlib.contextmanager
def answering(tmp_path: Path, answer: bytes, title: str = "GET /info") -> Iterator[http.Exchange]:
    """An exchange whose peer sends these bytes and hangs up."""
    path = str(tmp_path / "docker.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        exchange = answers.open_exchange(path, http.format_request("GET", "/"), title)
        with contextlib.closing(exchange):
            exchange.advance()
            peer, _ = listener.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(answer)
            yield exchange
    Path(path).unlink()


@pytest.mark.parametrize("chunked", [False, True], ids=["by length", "in chunks"])
@pytest.mark.parametrize(("pattern", "read"), READS.values(), ids=READS)
def test_an_answer_cut_short_anywhere_is_an_engine_that_went_away(
    tmp_path: Path, pattern: str, read: Callable[[client.Engine], object], *, chunked: bool
) -> None:
    """Every byte of the short answers; the long ones' beginning, and every 97th byte from there."""
    with FakeEngine(tmp_path / "docker.sock") as fake:
        fake.delivery = Delivery(chunked=chunked)
        engine = connected(fake)

        def read_anew() -> object:
            for container in list(fake.containers.values()):
                fake.remove(container)
            fake.execs["0"] = {}
            container = fake.add("web", script=RUNS if pattern.endswith(("stop", "exec")) else None)
            if "start" not in pattern:
                fake.begin(container)
            if "list" in pattern or "containers/json" in pattern:
                container.request = {**container.request, "Labels": {"of": "web"}}
            return read(engine)

        expected = read_anew()
        seen = 0
        for length in itertools.chain(range(400), itertools.count(400, 97)):
            fake.cut(pattern, length)
            try:
                found = read_anew()
            except EngineUnreachableError:
                seen += 1
                continue
            assert without_ids(found) == without_ids(expected)
            break
    assert seen > 100


def without_ids(found: object) -> object:
    """The fake numbers its containers, and every read has one of its own."""
    return [(one.name, one.status) for one in found] if isinstance(found, tuple) else getattr(found, "name", found)


@pytest.mark.parametrize(("pattern", "read"), READS.values(), ids=READS)
def test_a_refusal_has_the_engines_status_and_words(
    engine: FakeEngine, pattern: str, read: Callable[[client.Engine], object]
) -> None:
    engine.begin(engine.add("web"))
    engine.fail(pattern, 500, "context deadline exceeded")

    try:
        result = read(connected(engine))
    except EngineError as error:
        result = error

    assert isinstance(result, EngineError)
    assert (str(result), result.http_status) == ("context deadline exceeded", 500)


def test_the_exit_code_of_a_refused_wait_is_the_refusal(engine: FakeEngine) -> None:
    engine.add("web")
    engine.fail("POST /containers/web/wait", 500, "context deadline exceeded")

    with pytest.raises(EngineError, match=r"^context deadline exceeded$"):
        answers.exit_of(completed(connected(engine)))


JSON_ANSWERS = [
    (b"{}", "no field StatusCode"),
    (b'{"StatusCode":"0"}', "field StatusCode: expected int, got str"),
    (b"<html>", "not JSON: a value is missing at character 0"),
    (b"", "not JSON: a value is missing at character 0"),
    (b"[]", "expected an object, got list"),
]


@pytest.mark.parametrize(("body", "why"), JSON_ANSWERS)
def test_an_answer_that_is_not_as_promised_names_its_request(tmp_path: Path, body: bytes, why: str) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with answering(tmp_path, answer, "POST /containers/web/wait") as exchange:
        assert answers.complete(exchange, http.wait_ready, time.monotonic() + 5) is None

    with pytest.raises(EngineError) as unexpected:
        answers.exit_of(exchange)

    assert str(unexpected.value) == f"unexpected answer from the engine to POST /containers/web/wait: {why}"


def test_an_engine_that_could_not_wait_says_why(tmp_path: Path) -> None:
    body = b'{"StatusCode":0,"Error":{"Message":"disk quota exceeded"}}'
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with answering(tmp_path, answer) as exchange:
        answers.complete(exchange, http.wait_ready, time.monotonic() + 5)

    with pytest.raises(EngineError, match=r"^disk quota exceeded$"):
        answers.exit_of(exchange)


def test_a_long_refusal_is_cut(tmp_path: Path) -> None:
    with answering(tmp_path, b"HTTP/1.1 502 Bad Gateway\r\n\r\n" + b"<br>\n" * 20_000) as exchange:
        failure = answers.complete(exchange, http.wait_ready, time.monotonic() + 5)

    assert failure is not None
    assert failure.http_status == 502
    assert len(str(failure)) == answers.MAX_MESSAGE_CHARS


def test_a_refusal_without_words_names_request_and_status(tmp_path: Path) -> None:
    with answering(tmp_path, b"HTTP/1.1 503 Oops\r\nContent-Length: 0\r\n\r\n") as exchange:
        failure = answers.complete(exchange, http.wait_ready, time.monotonic() + 5)

    assert str(failure) == "the engine answered GET /info with status 503"


PROTOCOL_ERRORS = [
    (b"SSH-2.0-OpenSSH\r\n\r\n",
     "unexpected answer from the engine to GET /info: not an HTTP answer: 'SSH-2.0-OpenSSH'"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 60_000 + b"\r\n\r\n",
     f"unexpected answer from the engine to GET /info: '{'9' * 40}' is not a length"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{",
     "lost the engine (GET /info): the connection was closed in the middle of the answer (ECONNRESET)"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "message"), PROTOCOL_ERRORS)
def test_an_answer_that_cannot_be_read_names_its_request(tmp_path: Path, answer: bytes, message: str) -> None:
    with answering(tmp_path, answer) as exchange, pytest.raises(EngineUnreachableError) as error:
        answers.receive(exchange, http.wait_ready)

    assert str(error.value) == message


def test_a_timeout_names_its_request_and_how_long_it_was(engine: FakeEngine) -> None:
    engine.add("web")
    release = engine.hold("GET /containers/web/json")

    with pytest.raises(EngineUnreachableError) as late:
        connected(engine, http.no_longer_than(0, http.wait_ready)).inspect("web")

    release()
    assert str(late.value) == "timed out after 0 s waiting for the engine (GET /containers/web/json)"


def test_an_id_in_a_message_is_as_short_as_usual(engine: FakeEngine) -> None:
    with contextlib.closing(connected(engine).ask("f" * 64)) as exchange:
        assert exchange.title == "GET /containers/ffffffffffff/json"


def test_a_stream_that_the_engine_does_not_hand_over_is_refused(tmp_path: Path, engine: FakeEngine) -> None:
    engine.add("web")
    engine.fail("POST /containers/web/attach", 409, "cannot attach to a paused container")

    with pytest.raises(EngineError, match=r"^cannot attach to a paused container$") as refused:
        connected(engine).attach("web")

    assert refused.value.http_status == 409


def test_a_path_that_is_too_long_for_a_socket_is_explained(tmp_path: Path) -> None:
    path = f"/{'x' * 108}"

    with pytest.raises(EngineUnreachableError) as unreachable:
        client.Engine(path, (1, 45), http.wait_ready).inspect("web")

    assert str(unreachable.value) == f"cannot reach the engine at '{path}': File name too long (ENAMETOOLONG)"
    assert "at most 107 bytes" in unreachable.value.hint
