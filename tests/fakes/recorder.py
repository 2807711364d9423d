"""An engine that says yes to everything and remembers what it was asked: the other end of any `docker run`.

It speaks HTTP/1.1 on a real unix socket, with the upgrade of `POST /containers/ID/attach`, the early headers of
`POST /containers/ID/wait` and the chunked progress of `POST /images/create`, so the docker CLI, `systemd-docker run`
and the docker package all work against it.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socketserver
import struct
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from systemd_docker.jsonobj import JsonValue

CONTAINER_ID = "f" * 64

STOPPING_SIGNALS = frozenset({"TERM", "INT", "QUIT", "HUP", "KILL", "ABRT"})
"""What ends a payload that stays (Script.stays); any other signal is only remembered."""


@dataclass(frozen=True)
class Script:
    """How the engine and its one container behave.

    exit_code:       what the payload returns once it has written its output.
    stays:           the payload ends only when it is killed, with 128+n.
    create_refusal:  (status, message) that every create is answered with, e.g. (409, "Conflict. …").
    start_refusal:   the same for start.
    missing:         images that create answers 404 for until they are pulled.
    warnings:        what a successful create warns of.
    """

    api: str = "1.50"
    os_type: str = "linux"
    exit_code: int = 0
    stdout: bytes = b""
    stderr: bytes = b""
    stays: bool = False
    create_refusal: tuple[int, str] | None = None
    start_refusal: tuple[int, str] | None = None
    missing: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """One request as it arrived; path without the version, e.g. "/containers/create"; body parsed if it is JSON."""

    method: str
    version: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: JsonValue | bytes


@dataclass
class Recorder:
    """The engine's memory: every request but /_ping, in order of arrival."""

    script: Script
    requests: list[Request] = field(default_factory=list)
    pulled: set[str] = field(default_factory=set)
    started: threading.Event = field(default_factory=threading.Event)
    exited: threading.Event = field(default_factory=threading.Event)
    exit_code: int = 0
    tty: bool = False

    def created(self) -> Request | None:
        """The last create request."""
        creates = [request for request in self.requests if request.path == "/containers/create"]
        return creates[-1] if creates else None

    def forget(self) -> None:
        """As if the engine had just started, for the next client on the same socket."""
        self.requests.clear()
        self.pulled.clear()
        self.started.clear()
        self.exited.clear()

    def end(self, exit_code: int) -> None:
        self.exit_code = exit_code
        self.exited.set()


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = False
    block_on_close = True
    request_queue_size = 64

    def __init__(self, path: str, recorder: Recorder) -> None:
        self.recorder = recorder
        super().__init__(path, _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news; anything else is a bug that its test shows."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 20  # a client that hangs must not hang the test that closes us
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        pass

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    def _serve(self) -> None:
        request = self._read()
        recorder = self.server.recorder
        if request.path != "/_ping":
            recorder.requests.append(request)
        match request.method, request.path.split("/")[1:]:
            case "HEAD" | "GET", ["_ping"]:
                self._answer(200, b"OK")
            case "GET", ["version"]:
                self._json(200, {"Version": "fake", "ApiVersion": recorder.script.api, "MinAPIVersion": "1.24"})
            case "GET", ["info"]:
                self._json(200, _info(recorder.script))
            case "POST", ["containers", "create"]:
                self._create(request)
            case "POST", ["images", "create"]:
                recorder.pulled.add(f"{request.query.get('fromImage', '')}:{request.query.get('tag', '')}")
                self._json(200, {"status": "Status: Downloaded newer image"})
            case "POST", ["containers", _, "attach"]:
                self._attach(request)
            case "POST", ["containers", _, "wait"]:
                self._wait()
            case "POST", ["containers", _, "start"]:
                self._start()
            case "POST", ["containers", _, "kill"]:
                self._kill(request.query.get("signal", "KILL"))
            case "GET", ["containers", _, "json"]:
                self._json(200, self._inspect())
            case _:
                self._answer(204)

    def _read(self) -> Request:
        url = urlsplit(self.path)
        version, path = "", url.path
        if path.startswith("/v1."):
            version, path = path[2:].split("/", 1)
            path = f"/{path}"
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            body: JsonValue | bytes = json.loads(raw)
        except ValueError:
            body = raw
        query = {key: values[-1] for key, values in parse_qs(url.query, keep_blank_values=True).items()}
        return Request(self.command, version, path, query, {k.lower(): v for k, v in self.headers.items()}, body)

    def _answer(self, status: int, body: bytes = b"", content_type: str = "text/plain") -> None:
        script = self.server.recorder.script
        self.send_response(status)
        self.send_header("Api-Version", script.api)
        self.send_header("Ostype", script.os_type)
        self.send_header("Content-Type", content_type)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _json(self, status: int, value: JsonValue) -> None:
        self._answer(status, json.dumps(value).encode(), "application/json")

    def _refuse(self, refusal: tuple[int, str]) -> None:
        self._json(refusal[0], {"message": refusal[1]})

    def _create(self, request: Request) -> None:
        recorder = self.server.recorder
        body = request.body if isinstance(request.body, dict) else {}
        image = str(body.get("Image", ""))
        recorder.tty = body.get("Tty") is True
        if recorder.script.create_refusal:
            self._refuse(recorder.script.create_refusal)
        elif image in recorder.script.missing and not recorder.pulled:
            self._refuse((404, f"No such image: {image}"))
        else:
            self._json(201, {"Id": CONTAINER_ID, "Warnings": list(recorder.script.warnings)})

    def _start(self) -> None:
        recorder = self.server.recorder
        if recorder.script.start_refusal:
            self._refuse(recorder.script.start_refusal)
            recorder.end(127)
        else:
            self._answer(204)
        recorder.started.set()

    def _attach(self, request: Request) -> None:
        recorder = self.server.recorder
        kind = "raw" if recorder.tty else "multiplexed"
        self.send_response(101, "UPGRADED")
        self.send_header("Content-Type", f"application/vnd.docker.{kind}-stream")
        self.send_header("Connection", "Upgrade")
        self.send_header("Upgrade", "tcp")
        self.end_headers()
        self.close_connection = True
        if not recorder.started.wait(self.timeout):
            return
        for fd, stream in ((1, "stdout"), (2, "stderr")):
            data = bytes(getattr(recorder.script, stream))
            if data and request.query.get(stream) == "1":
                self.wfile.write(data if recorder.tty else struct.pack(">BxxxL", fd, len(data)) + data)
        if not recorder.script.stays:
            recorder.end(recorder.exit_code or recorder.script.exit_code)
        recorder.exited.wait(self.timeout)

    def _wait(self) -> None:
        # The headers leave as soon as the waiter is known, the result when the container ends: clients start the
        # container once they have seen the former.
        recorder = self.server.recorder
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        recorder.exited.wait(self.timeout)
        result = json.dumps({"StatusCode": recorder.exit_code}).encode()
        self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(result), result))

    def _kill(self, name: str) -> None:
        self._answer(204)
        name = name.upper().removeprefix("SIG")
        if self.server.recorder.script.stays and name in STOPPING_SIGNALS:
            self.server.recorder.end(128 + signal.Signals[f"SIG{name}"])

    def _inspect(self) -> JsonValue:
        recorder = self.server.recorder
        running = recorder.started.is_set() and not recorder.exited.is_set()
        status = "running" if running else "exited" if recorder.exited.is_set() else "created"
        state: JsonValue = {"Status": status, "Running": running, "Pid": 0, "ExitCode": recorder.exit_code}
        return {"Id": CONTAINER_ID, "Name": "/recorded", "State": state, "Config": {}, "HostConfig": {}}


def _info(script: Script) -> JsonValue:
    return {"OSType": script.os_type, "Architecture": "x86_64", "CgroupDriver": "cgroupfs", "CgroupVersion": "2"}


@contextlib.contextmanager
def recording(path: Path, script: Script | None = None) -> Iterator[Recorder]:
    """Serve on a unix socket at path until the block ends; no thread and no socket stays behind."""
    recorder = Recorder(script or Script())
    with _Server(str(path), recorder) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield recorder
        finally:
            recorder.started.set()
            recorder.exited.set()
            server.shutdown()
            thread.join()
            path.unlink()
