"""The fake engine keeps the contract that real engines keep, and fails in all the ways tests ask it to."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests import engine_contract
from tests.engine_contract import CASES, Ask, Case, Read, UnixConnection, matches
from tests.fakes.containers import NO_SUCH_PID, RUNS, STDERR, Script, encode_frame
from tests.fakes.http import by_size, cut_at
from tests.fakes.images import Pull, normalized
from tests.leftovers import children, open_fds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.fakes.engine import FakeEngine


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_contract_is_kept(case: Case, any_engine: FakeEngine) -> None:
    any_engine.script = case.script

    engine_contract.hold(case, any_engine.path)

    assert not any_engine.containers, "a case removes what it made"


@pytest.mark.parametrize("segments", [by_size(5), cut_at(3, 20, 21, 400)], ids=["5", "cuts"])
def test_the_contract_is_kept_in_any_segments(
    segments: Callable[[bytes], Iterable[bytes]], engine: FakeEngine
) -> None:
    engine.delivery.segments = segments
    for case in CASES:
        engine.script = case.script
        engine_contract.hold(case, engine.path)


@pytest.mark.parametrize("chunked", [True, False])
def test_the_contract_is_kept_whatever_frames_the_body(*, chunked: bool, engine: FakeEngine) -> None:
    engine.delivery.chunked = chunked
    engine.delivery.keep_alive = not chunked
    for case in CASES:
        engine.script = case.script
        engine_contract.hold(case, engine.path)


@pytest.mark.parametrize(
    "row",
    [
        Ask("GET /info", 404),
        Ask("GET /info", 200, {"CgroupDriver": "none"}),
        Ask("GET /info", 200, {"Nonesuch": str}),
        Ask("GET /info", 200, headers={"Content-Type": "text"}),
        Ask("GET /_ping", 200, b"KO"),
        Ask("GET /nonesuch", 404, {"message": engine_contract.ID}),
    ],
    ids=str,
)
def test_the_contract_finds_what_is_not_as_expected(row: Ask, engine: FakeEngine) -> None:
    with pytest.raises(AssertionError, match=row.request):
        engine_contract.hold(Case("wrong", (row,)), engine.path)


@pytest.mark.parametrize(
    ("found", "shape"),
    [([1, 2], [1]), ({"a": 1}, {}), ("a", int), (None, engine_contract.ID), ({"a": {"b": 1}}, {"a": {"b": 2}})],
)
def test_shapes_that_do_not_match(found: object, shape: object) -> None:
    assert not matches(found, shape)


def test_go_chooses_chunks_for_long_bodies(engine: FakeEngine) -> None:
    engine.info["Warnings"] = ["long" * 1000]
    with closing(UnixConnection(engine.path)) as connection:
        connection.request("GET", "/version")
        short = connection.getresponse()
        short.read()
        connection.request("GET", "/info")  # the same connection: it was kept alive
        long = connection.getresponse()
        long.read()

    assert short.headers["Content-Length"] is not None
    assert long.headers["Transfer-Encoding"] == "chunked"
    assert len(engine.requests) == 2


@pytest.fixture
def raw(engine: FakeEngine) -> Iterator[socket.socket]:
    """A plain socket connected to the engine."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(5)
        sock.connect(engine.path)
        yield sock


def say(sock: socket.socket, request: str, *headers: str) -> None:
    sock.sendall("\r\n".join([f"{request} HTTP/1.1", "Host: docker", *headers, "", ""]).encode())


def read_until(sock: socket.socket, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        received = sock.recv(65536)
        assert received, f"the connection ended after {data!r}"
        data += received
    return data


def read_to_the_end(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(65536), b""))


def test_segments_arrive_one_by_one(engine: FakeEngine, raw: socket.socket) -> None:
    engine.delivery.segments = cut_at(5, 9)

    say(raw, "HEAD /_ping")

    assert raw.recv(65536) == b"HTTP/"
    assert raw.recv(65536) == b"1.1 "
    assert raw.recv(65536).startswith(b"200 OK\r\n")


def test_first_frames_can_come_with_the_headers(engine: FakeEngine, raw: socket.socket) -> None:
    early = encode_frame(STDERR, b"early\n")
    engine.begin(engine.add("web", script=Script(output=(), exit_code=None, greeting=early)))

    say(raw, "POST /containers/web/attach?stream=1&stderr=1", "Upgrade: tcp", "Connection: Upgrade")

    head, _, rest = raw.recv(65536).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 UPGRADED\r\n")
    assert rest == early


def test_requests_in_chunks_are_understood(engine: FakeEngine, raw: socket.socket) -> None:
    body = json.dumps({"Image": "busybox:musl", "Labels": {"a": "b"}}).encode()
    say(raw, "POST /v1.41/containers/create?name=a%2eb", "Transfer-Encoding: chunked")
    for part in (body[:3], body[3:]):
        raw.sendall(b"%x\r\n%s\r\n" % (len(part), part))
    raw.sendall(b"0\r\n\r\n")

    assert raw.recv(65536).startswith(b"HTTP/1.1 201 Created\r\n")

    call = engine.requests[0]
    assert (str(call), call.version, call.query, call.json()["Labels"]) == (
        "POST /containers/create",
        "1.41",
        {"name": "a.b"},
        {"a": "b"},
    )
    assert engine.find("a.b").labels == {"a": "b"}


@pytest.mark.parametrize("after_bytes", [0, 1, 17, 200])
def test_an_answer_can_be_cut_anywhere(after_bytes: int, engine: FakeEngine, raw: socket.socket) -> None:
    engine.cut("GET /info", after_bytes)

    say(raw, "GET /info")

    assert len(read_to_the_end(raw)) == after_bytes


def test_a_failure_is_answered_once_and_changes_nothing(engine: FakeEngine) -> None:
    engine.add("web", script=RUNS)
    engine.fail("POST /containers/*/start", 500, "no space left on device")
    broken = Ask("POST /containers/web/start", 500, {"message": "no space left on device"})
    works = Ask("POST /containers/web/start", 204)

    engine_contract.hold(Case("twice", (broken, works)), engine.path)

    assert engine.find("web").is_running


def test_an_answer_can_be_held_back(engine: FakeEngine, raw: socket.socket) -> None:
    release = engine.hold("POST /containers/*/start")
    engine.add("web", script=RUNS)

    say(raw, "POST /containers/web/start")
    engine.wait_for_request("POST /containers/*/start")
    assert not engine.find("web").is_running
    release()

    assert raw.recv(65536).startswith(b"HTTP/1.1 204 No Content\r\n")


def test_an_engine_that_dies_and_comes_back_has_its_containers(engine: FakeEngine, raw: socket.socket) -> None:
    engine.begin(engine.add("web", script=RUNS))
    say(raw, "POST /containers/web/wait")
    assert raw.recv(65536).endswith(b"\r\n\r\n")

    engine.stop()

    assert read_to_the_end(raw) == b"", "no body: the connection just ends"
    with pytest.raises(FileNotFoundError), socket.socket(socket.AF_UNIX) as sock:
        sock.connect(engine.path)

    engine.start()
    running = Ask("GET /containers/web/json", 200, {"State": {"Running": True, "Pid": NO_SUCH_PID}})
    engine_contract.hold(Case("again", (running,)), engine.path)


def test_the_leader_is_who_the_test_says(engine: FakeEngine) -> None:
    engine.begin(engine.add("web", script=Script(exit_code=None, pid=os.getpid())))
    inspect = Ask("GET /containers/web/json", 200, {"State": {"Pid": os.getpid()}})

    engine_contract.hold(Case("inspect", (inspect,)), engine.path)


def test_output_and_end_come_when_the_test_says(engine: FakeEngine, raw: socket.socket) -> None:
    engine.begin(engine.add("web", script=RUNS))
    say(raw, "POST /containers/web/attach?stream=1&stdout=1", "Upgrade: tcp", "Connection: Upgrade")
    assert raw.recv(65536).endswith(b"\r\n\r\n")

    engine.write("web", b"one\n")
    assert raw.recv(65536) == encode_frame(1, b"one\n")
    engine.write("web", b"not asked for\n", STDERR)
    engine.write("web", b"two\n")
    assert raw.recv(65536) == encode_frame(1, b"two\n")
    engine.finish("web", 137, oom_killed=True)

    assert raw.recv(65536) == b""
    assert engine.find("web").exit_code == 137
    assert [event["Action"] for event in engine.events] == ["create", "start", "attach", "oom", "die"]


def test_a_restart_ends_the_attached_stream_and_begins_another_run(engine: FakeEngine, raw: socket.socket) -> None:
    engine.begin(engine.add("web", script=RUNS))
    say(raw, "POST /containers/web/attach?stream=1&stdout=1", "Upgrade: tcp", "Connection: Upgrade")
    raw.recv(65536)

    engine_contract.hold(Case("restart", (Ask("POST /containers/web/restart", 204),)), engine.path)

    assert raw.recv(65536) == b""
    web = engine.find("web")
    assert (web.is_running, web.signals, [run.exit_code for run in web.runs]) == (True, ["TERM"], [143, None])
    assert engine.matching("POST /containers/*/restart") == engine.requests[-1:]
    assert engine.sequence() == ["POST /containers/ID/attach", "POST /containers/ID/restart"]


def test_input_arrives_with_its_end(engine: FakeEngine, raw: socket.socket) -> None:
    web = engine.add("web", script=RUNS, request={"OpenStdin": True})
    engine.begin(web)
    say(raw, "POST /containers/web/attach?stream=1&stdin=1&stdout=1", "Upgrade: tcp", "Connection: Upgrade")
    raw.recv(65536)

    raw.sendall(b"typed\n")
    raw.shutdown(socket.SHUT_WR)

    engine.wait_for(lambda: web.stdin_closed, what="the end of stdin")
    assert web.stdin == b"typed\n"


def test_health_is_in_events_and_inspect(engine: FakeEngine) -> None:
    engine.begin(engine.add("web", script=RUNS))
    rows = (
        Ask("GET /events?since=1767225600.000000002&filters={%22event%22:[%22health_status%22]}", 200, keep="events"),
        Read("events", [{"Action": "health_status: healthy"}], lines=1),
        Ask("GET /containers/web/json", 200, {"State": {"Health": {"Status": "healthy"}}}),
    )
    engine.set_health("web", "healthy")

    engine_contract.hold(Case("health", rows), engine.path)


def test_the_exit_answer_has_the_shape_of_its_time(any_engine: FakeEngine) -> None:
    any_engine.add("web")

    with closing(UnixConnection(any_engine.path)) as connection:
        connection.request("POST", "/containers/web/wait")
        answer = json.loads(connection.getresponse().read())

    old = {"Error": None, "StatusCode": 0}
    assert answer == (old if any_engine.api_version == "1.41" else {"StatusCode": 0})


def test_containers_are_listed_by_label(engine: FakeEngine) -> None:
    engine.add("web", request={"Labels": {"unit": "web.service"}})
    engine.add("other")
    rows = (
        Ask("GET /containers/json?all=1", 200, [{"Names": ["/web"]}, {"Names": ["/other"]}]),
        Ask("GET /containers/json?all=1&filters={%22label%22:[%22unit=web.service%22]}", 200, [{"State": "created"}]),
        Ask("GET /containers/json", 200, []),
    )

    engine_contract.hold(Case("list", rows), engine.path)


def test_a_pull_sends_its_progress_and_brings_the_image(engine: FakeEngine, raw: socket.socket) -> None:
    engine.registry["nginx:latest"] = Pull(({"status": "one"}, {"status": "two"}), stall_at=1)

    say(raw, "POST /images/create?fromImage=docker.io/library/nginx&tag=latest")
    read_until(raw, b'12\r\n{"status":"one"}\r\n\r\n')
    assert "nginx:latest" not in engine.images
    engine.go_on("nginx:latest")

    assert raw.recv(65536).startswith(b'12\r\n{"status":"two"}\r\n\r\n')
    engine.wait_for(lambda: "nginx:latest" in engine.images, what="the image")


def test_a_pull_of_what_no_registry_has_is_denied(engine: FakeEngine) -> None:
    denied = Ask(
        "POST /images/create?fromImage=nonesuch&tag=1", 404, engine_contract.message("access denied for none")
    )

    engine_contract.hold(Case("pull", (denied,)), engine.path)


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("nginx", "nginx:latest"),
        ("docker.io/library/nginx:1", "nginx:1"),
        ("127.0.0.1:5000/a", "127.0.0.1:5000/a:latest"),
        ("a@sha256:00", "a@sha256:00"),
    ],
)
def test_references_are_compared_in_their_short_form(reference: str, name: str) -> None:
    assert normalized(reference) == name


def test_the_guard_sees_children_and_descriptors() -> None:
    before = open_fds()
    read_end, write_end = os.pipe()
    child = subprocess.Popen(["true"])
    try:
        assert child.pid in children()
        assert open_fds().keys() - before.keys() == {read_end, write_end}
    finally:
        child.wait()
        os.close(read_end)
        os.close(write_end)
    assert child.pid not in children()
