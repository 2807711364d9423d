"""What this project relies on an engine to answer, as a table: a case is a few rows of request and expected answer.

tests/fakes/own_tests/test_engine.py holds the fake engine to it, integration/tests/engine/test_contract.py every real
one, so the fake stays true.
An engine needs the image IMAGE, with sh in it, and no container named NAME. Each case removes what it made.

Expected answers are shapes: a type, a compiled pattern to be found in a string, a dict whose keys must be there
(others may be), a list or tuple of exactly these elements, or else an equal value.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import struct
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.fakes.containers import RUNS, STDERR, STDOUT, Script

if TYPE_CHECKING:
    from collections.abc import Mapping

IMAGE = "busybox:musl"
NAME = "engine-contract"
TIMEOUT_SEC = 20


@dataclass(frozen=True, slots=True)
class Ask:
    """A request and its answer.

    request: method and target; {id} becomes the id from this case's create answer.
    body:    sent as JSON.
    headers: patterns, each to be found in the answer's header of that name.
    answer:  the shape of the JSON body, or bytes, or a pattern of bytes.
    keep:    only the headers are awaited, the connection stays open under this name for a Read.
    """

    request: str
    status: int
    answer: object = object
    body: Mapping[str, object] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    keep: str = ""


@dataclass(frozen=True, slots=True)
class Read:
    """What comes on a kept connection: all until its end, or of a stream without end its first lines.

    answer: a shape; of an attached stream {STDOUT: bytes, STDERR: bytes}, or bytes from a TTY.
    lines:  so many lines of JSON, as a list.
    """

    keep: str
    answer: object
    lines: int = 0


@dataclass(frozen=True, slots=True)
class Case:
    """script: makes the fake do what the command in the create request does on a real engine."""

    name: str
    rows: tuple[Ask | Read, ...]
    script: Script = RUNS


ID = re.compile(r"^[0-9a-f]{64}$")
IMAGE_ID = re.compile(r"^sha256:[0-9a-f]{64}$")
COMMITTED = "engine-contract-image"
JSON = {"Content-Type": r"^application/json"}
LATER = JSON | {"Transfer-Encoding": "chunked"}
UPGRADED = {
    "Upgrade": "tcp",
    "Connection": "Upgrade",
    "Content-Type": r"^application/vnd\.docker\.(raw|multiplexed)-",
}


def create(*command: str, **request: object) -> Ask:
    body = {"Image": IMAGE, "Cmd": list(command), "AttachStdout": True, "AttachStderr": True, **request}
    return Ask(f"POST /containers/create?name={NAME}", 201, {"Id": ID, "Warnings": list}, body, JSON)


def message(pattern: str) -> dict[str, object]:
    return {"message": re.compile(pattern, re.IGNORECASE)}


def text(pattern: bytes) -> re.Pattern[bytes]:
    """An answer that is no JSON: what has to do with a hijacked connection is refused in plain text."""
    return re.compile(pattern)


def attach(keep: str = "output") -> Ask:
    return Ask("POST /containers/{id}/attach?stream=1&stdout=1&stderr=1", 101, headers=UPGRADED, keep=keep)


def state(**expected: object) -> Ask:
    return Ask("GET /containers/{id}/json", 200, {"Id": ID, "Name": f"/{NAME}", "State": expected})


def wait(condition: str) -> Ask:
    return Ask(f"POST /containers/{{id}}/wait?condition={condition}", 200, headers=LATER, keep="exit")


START = Ask("POST /containers/{id}/start", 204)
KILL = Ask("POST /containers/{id}/kill?signal=KILL", 204)
REMOVE = Ask("DELETE /containers/{id}", 204)
SLEEP = ("sleep", "1000")
MERGED = {"a": "1", "b": "2", "c": ""}
GONE = Ask(f"GET /containers/{NAME}/json", 404, message(f"^no such container: {NAME}$"))

CASES = (
    Case(
        "a ping names the version and the system",
        (
            Ask(
                "HEAD /_ping",
                200,
                b"",
                headers={"Api-Version": r"^1\.\d+$", "Ostype": "^linux$", "Server": "Docker/"},
            ),
            Ask("GET /_ping", 200, b"OK", headers={"Api-Version": r"^1\.\d+$", "Ostype": "^linux$"}),
        ),
    ),
    Case(
        "version and info say what the plan is made of",
        (
            Ask("GET /version", 200, {"Version": str, "ApiVersion": str, "MinAPIVersion": str}, headers=JSON),
            Ask(
                "GET /info",
                200,
                {
                    "ServerVersion": str,
                    "CgroupDriver": re.compile(r"^(systemd|cgroupfs)$"),
                    "CgroupVersion": re.compile(r"^[12]$"),
                    "DefaultRuntime": str,
                    "Runtimes": dict,
                    "SecurityOptions": list,
                    "LiveRestoreEnabled": bool,
                    "DockerRootDir": str,
                },
                headers=JSON,
            ),
        ),
    ),
    Case(
        "what is not there is a 404 with a message",
        (
            Ask("GET /nonesuch", 404, message("^page not found$"), headers=JSON),
            Ask("GET /containers/nonesuch/json", 404, message("^no such container: nonesuch$"), headers=JSON),
            Ask("POST /containers/nonesuch/start", 404, message("no such container: nonesuch$")),
            Ask("POST /containers/nonesuch/wait", 404, message("no such container: nonesuch$")),
            Ask("POST /containers/nonesuch/attach?stream=1&stdout=1", 404, text(rb"No such container: nonesuch\s*$")),
            Ask("POST /containers/nonesuch/kill", 404, message("no such container: nonesuch$")),
            Ask("POST /containers/nonesuch/stop", 404, message("no such container: nonesuch$")),
            Ask("DELETE /containers/nonesuch", 404, message("no such container: nonesuch$")),
            Ask("GET /images/nonesuch/json", 404, message("^no such image: nonesuch")),
            Ask("POST /containers/create", 404, message("^no such image: nonesuch:latest$"), {"Image": "nonesuch"}),
        ),
    ),
    Case("a version from the future is refused", (Ask("GET /v9.99/info", 400, message("too new.*maximum")),)),
    Case(
        "an image is inspected by name",
        (Ask(f"GET /images/{IMAGE}/json", 200, {"Id": re.compile("^sha256:"), "RepoTags": list, "Config": dict}),),
    ),
    Case(
        "a short life: output, exit code, leftovers",
        (
            create("sh", "-c", "echo out; echo err >&2; exit 3"),
            attach(),
            wait("next-exit"),
            START,
            Read("output", {STDOUT: b"out\n", STDERR: b"err\n"}),
            Read("exit", {"StatusCode": 3}),
            state(Status="exited", Running=False, Pid=0, ExitCode=3, OOMKilled=False, StartedAt=str),
            REMOVE,
            GONE,
        ),
        Script(output=((STDOUT, b"out\n"), (STDERR, b"err\n")), exit_code=3),
    ),
    Case(
        "an automatically removed container still tells its exit code",
        (
            create("sh", "-c", "exit 4", HostConfig={"AutoRemove": True}),
            wait("removed"),
            START,
            Read("exit", {"StatusCode": 4}),
            GONE,
        ),
        Script(output=(), exit_code=4),
    ),
    Case(
        "a terminal's output comes without frames",
        (
            create("echo", "hello", Tty=True),
            attach(),
            wait("next-exit"),
            START,
            Read("output", b"hello\r\n"),
            Read("exit", {"StatusCode": 0}),
            REMOVE,
        ),
        Script(output=((STDOUT, b"hello\r\n"),), exit_code=0),
    ),
    Case(
        "a running container cannot be started or removed, and is killed",
        (
            create(*SLEEP),
            state(Status="created", Running=False, Pid=0),
            START,
            Ask("POST /containers/{id}/start", 304),
            state(Status="running", Running=True, Paused=False, Pid=int),
            Ask("DELETE /containers/{id}", 409, message("remove.*container")),
            wait("not-running"),
            attach(),
            KILL,
            Read("exit", {"StatusCode": 137}),
            Read("output", {}),
            REMOVE,
        ),
    ),
    Case(
        "what needs a running container is refused without one",
        (
            create(*SLEEP),
            Ask("POST /containers/{id}/kill", 409, message("is not running")),
            Ask("POST /containers/{id}/pause", 409, message("is not running")),
            Ask("POST /containers/{id}/resize?h=24&w=80", 409, message("is not running")),
            Ask("POST /containers/{id}/stop", 304),
            wait("not-running"),
            Read("exit", {"StatusCode": 0}),
            REMOVE,
        ),
    ),
    Case(
        "pause stops and unpause goes on",
        (
            create(*SLEEP),
            START,
            Ask("POST /containers/{id}/pause", 204),
            Ask("POST /containers/{id}/pause", 409, message("is already paused")),
            Ask("POST /containers/{id}/attach?stream=1&stdout=1", 409, text(b"is paused")),
            state(Status="paused", Running=True, Paused=True),
            Ask("POST /containers/{id}/unpause", 204),
            state(Status="running", Running=True, Paused=False),
            Ask("DELETE /containers/{id}?force=1", 204),
            GONE,
        ),
    ),
    Case(
        "stop kills what ignores the stop signal",
        (
            create(*SLEEP),
            START,
            Ask("POST /containers/{id}/stop?t=0", 204),
            state(Status="exited", ExitCode=137),
            REMOVE,
        ),
        Script(output=(), exit_code=None, ignores=frozenset({"TERM"})),  # as a PID 1 without a handler does
    ),
    Case(
        "a command that is not there is the client's mistake and leaves 127",
        (
            create("nonesuch"),
            Ask("POST /containers/{id}/start", 400, message("executable file not found in")),
            state(Status="created", Running=False, ExitCode=127, Error=re.compile("executable file not found")),
            REMOVE,
        ),
        Script(
            start_error='OCI runtime create failed: exec: "nonesuch": executable file not found in $PATH: unknown'
        ),
    ),
    Case(
        "a name is taken once",
        (
            create(*SLEEP),
            Ask(
                f"POST /containers/create?name={NAME}",
                409,
                message(f'the container name "/{NAME}" is already in use by container "[0-9a-f]{{64}}"'),
                {"Image": IMAGE},
            ),
            REMOVE,
        ),
    ),
    Case(
        "an image's labels are its containers', below those of the create request; a commit puts them into an image",
        (
            create(*SLEEP, Labels={"a": "1", "b": "1"}),
            Ask(f"POST /commit?container={NAME}&repo={COMMITTED}", 201, {"Id": IMAGE_ID}),
            Ask(f"DELETE /containers/{NAME}", 204),
            Ask(f"GET /images/{COMMITTED}/json", 200, {"Id": IMAGE_ID, "Config": {"Labels": {"a": "1", "b": "1"}}}),
            create(*SLEEP, Image=COMMITTED, Labels={"b": "2", "c": ""}),
            Ask("GET /containers/{id}/json", 200, {"Image": IMAGE_ID, "Config": {"Labels": MERGED}}),
            Ask(
                'GET /containers/json?all=1&filters={"label":["a=1"]}',
                200,
                [{"Id": ID, "ImageID": IMAGE_ID, "Labels": MERGED}],
            ),
            Ask(f"DELETE /images/{COMMITTED}?force=1", 200, list),
            Ask(f"GET /images/{COMMITTED}/json", 404, message("^no such image")),
            REMOVE,
        ),
    ),
    Case(
        "events tell a container's life in order",
        (
            Ask(
                f'GET /events?filters={{"type":["container"],"container":["{NAME}"]}}',
                200,
                headers=LATER,
                keep="events",
            ),
            create("true"),
            attach(),
            START,
            Read("output", {}),
            Read(
                "events",
                [
                    {"Type": "container", "Action": "create", "Actor": {"ID": ID, "Attributes": {"name": NAME}}},
                    {"Type": "container", "Action": "attach", "Actor": {"ID": ID}},
                    {"Type": "container", "Action": "start", "Actor": {"ID": ID}, "time": int, "timeNano": int},
                    {"Type": "container", "Action": "die", "Actor": {"Attributes": {"exitCode": "0"}}},
                ],
                lines=4,
            ),
            REMOVE,
        ),
        Script(output=()),
    ),
)


def hold(case: Case, socket_path: str) -> None:
    """Go through a case with the engine at socket_path; AssertionError names the row that is not as expected."""
    container_id = ""
    kept: dict[str, http.client.HTTPResponse] = {}
    with ExitStack() as stack:
        for row in case.rows:
            if isinstance(row, Read):
                with closing(kept.pop(row.keep)) as response:
                    found: object = read_kept(response, row)
            else:
                response = ask(stack, socket_path, row, container_id)
                verify_head(row, response)
                if row.keep:
                    kept[row.keep] = response
                    continue
                body = response.read()
                is_text = isinstance(row.answer, bytes | re.Pattern) or not body
                found = body if is_text else json.loads(body)
                container_id = (
                    str(found["Id"]) if isinstance(found, dict) and response.status == 201 else container_id
                )
            assert matches(found, row.answer), f"{row}: got {found!r}"


class UnixConnection(http.client.HTTPConnection):
    """http.client's connection, over an AF_UNIX socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT_SEC)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT_SEC)
        self.sock.connect(self._path)


def ask(stack: ExitStack, socket_path: str, row: Ask, container_id: str) -> http.client.HTTPResponse:
    connection = stack.enter_context(closing(UnixConnection(socket_path)))
    method, target = row.request.replace("{id}", container_id).split(" ", 1)
    body = None if row.body is None else json.dumps(row.body).encode()
    headers = {} if body is None else {"Content-Type": "application/json"}
    if "/attach" in target:
        headers |= {"Connection": "Upgrade", "Upgrade": "tcp"}
    connection.request(method, target.replace('"', "%22"), body, headers)
    return stack.enter_context(closing(connection.getresponse()))


def verify_head(row: Ask, response: http.client.HTTPResponse) -> None:
    assert response.status == row.status, f"{row}: got {response.status} {response.read()!r}"
    for name, pattern in row.headers.items():
        value = response.headers.get(name, "")
        assert re.search(pattern, value), f"{row}: got {name}: {value}"


def read_kept(response: http.client.HTTPResponse, row: Read) -> object:
    if response.status == 101:
        stream: bytes = response.fp.read()
        return stream if isinstance(row.answer, bytes) else joined(stream)
    if row.lines:
        return [json.loads(response.readline()) for _ in range(row.lines)]
    return json.loads(response.read())


def joined(stream: bytes) -> dict[int, bytes]:
    """Frames -> what each stream carried; how an engine cuts output into frames is its own affair."""
    output: dict[int, bytes] = {}
    while stream:
        kind, size = struct.unpack(">BxxxL", stream[:8])
        output[kind] = output.get(kind, b"") + stream[8 : 8 + size]
        stream = stream[8 + size :]
    return output


def matches(found: Any, shape: object) -> bool:
    if isinstance(shape, type):
        return isinstance(found, shape)
    if isinstance(shape, re.Pattern):
        return isinstance(found, type(shape.pattern)) and shape.search(found) is not None
    if isinstance(shape, dict) and shape:
        return isinstance(found, dict) and all(key in found and matches(found[key], shape[key]) for key in shape)
    if isinstance(shape, (list, tuple)):
        return len(found) == len(shape) and all(map(matches, found, shape))
    return bool(found == shape)
