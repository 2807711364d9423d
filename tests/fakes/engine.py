"""A fake Docker Engine: dockerd's API over a real AF_UNIX socket, as far as this project speaks it.

    with FakeEngine(tmp_path / "docker.sock") as engine:
        engine.scripts["busybox:musl"] = Script(output=((STDOUT, b"up\\n"),), exit_code=None)
        ...                                       # the code under test, connected to engine.path
        engine.wait_for_request("POST /containers/*/start")
        engine.finish("web", 3)

Without any script a container writes "hello", exits with 0 and stays until it is removed. tests/engine_contract.py
holds this fake and a real engine to the same answers; the long answers come from files in tests/engine/.
"""

from __future__ import annotations

import fnmatch
import hashlib
import itertools
import json
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.fakes.containers import Container, Run, Script, signal_number
from tests.fakes.endpoints import dispatch
from tests.fakes.http import Connection, Delivery, HungUpError, Request, Server, StatusError, compact
from tests.fakes.images import Pull, normalized

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RECORDED = Path(__file__).parent.parent / "engine"
WAIT_TIMEOUT_SEC = 5.0


@dataclass(frozen=True, slots=True)
class Call:
    """One recorded request. path: without the API version, which is in version ("" if the client named none)."""

    method: str
    version: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Fault:
    """What goes wrong with the next `times` requests that match: an error answer, a cut, a hold, or other bytes."""

    request: str
    times: int = 1
    status: int = 0
    message: str = ""
    after_bytes: int | None = None
    holds: bool = False
    answer: bytes | None = None


@dataclass(slots=True)
class Exchange:
    """One request being answered."""

    call: Call
    connection: Connection


class FakeEngine:
    """See the module. Everything a test may look at or change is public; all of it is guarded by `changed`.

    requests:   every request, in order of arrival.
    containers: by id, in order of creation; removed ones are gone.
    script:     for containers of images that `scripts` does not name.
    execs:      by id, the create requests of commands in containers; each does what exec_script says.
    info, images, registry: what /info says, what is there, what can be pulled.
    volumes:    by name, what the engine says of each.
    warnings:   of every create.
    delivery:   how answers travel.
    """

    def __init__(self, path: Path, *, api_version: str = "1.45") -> None:
        self.path = str(path)
        self.api_version = api_version
        self.version, self.info, self.image, self.template = (
            json.loads((RECORDED / f"v{api_version}" / f"{name}.json").read_text())
            for name in ("version", "info", "image", "container")
        )
        self.requests: list[Call] = []
        self.containers: dict[str, Container] = {}
        self.events: list[dict[str, Any]] = []
        self.images: dict[str, Any] = {"busybox:musl": self.image}
        self.registry: dict[str, Pull] = {}
        self.volumes: dict[str, Any] = {}
        self.warnings: list[str] = []
        self.script = Script()
        self.scripts: dict[str, Script] = {}
        self.execs: dict[str, Any] = {}
        self.exec_script = Script()
        self.delivery = Delivery()
        self.changed = threading.Condition()
        self._faults: list[Fault] = []
        self._ids = itertools.count(1)
        self._server: Server | None = None

    def __enter__(self) -> FakeEngine:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    # What a test does to the engine

    def start(self) -> None:
        assert self._server is None
        self._server = Server(self.path, self._serve, self.delivery, self._wake)

    def stop(self) -> None:
        """As if dockerd had died under live-restore: no socket, no connections, containers as they were."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def hang_up(self) -> None:
        """Cut every connection."""
        assert self._server is not None
        self._server.hang_up()

    def fail(self, request: str, status: int, message: str, *, times: int = 1) -> None:
        """Answer matching requests ("POST /containers/*/start") with an error, without doing what they ask."""
        self._add(Fault(request, times, status=status, message=message))

    def cut(self, request: str, after_bytes: int, *, times: int = 1) -> None:
        """Do what matching requests ask, but hang up after that many bytes of the answer."""
        self._add(Fault(request, times, after_bytes=after_bytes))

    def hold(self, request: str) -> Callable[[], None]:
        """Let the next matching request wait until the returned function is called."""
        fault = Fault(request, holds=True)
        self._add(fault)

        def release() -> None:
            with self.changed:
                fault.holds = False
                self.changed.notify_all()

        return release

    def answer_with(self, request: str, answer: bytes, *, times: int = 1, hangs_up: bool = True) -> None:
        """Answer matching requests with these bytes, without doing what they ask; then hang up, or send no more."""
        self._add(Fault(request, times, answer=answer, holds=not hangs_up))

    def go_on(self, reference: str) -> None:
        """Let a stalled pull go on."""
        with self.changed:
            self.registry[reference].stall_at = None
            self.changed.notify_all()

    def wait_for(self, is_true: Callable[[], object], *, what: str) -> None:
        """Block until a change in the engine makes it true; TimeoutError naming what was waited for."""
        with self.changed:
            if not self.changed.wait_for(is_true, WAIT_TIMEOUT_SEC):
                raise TimeoutError(
                    f"gave up waiting for {what}; requests so far: {', '.join(map(str, self.requests))}"
                )

    def wait_for_request(self, pattern: str, *, count: int = 1) -> Call:
        """Block until the count-th request that matches has arrived, and return it."""
        self.wait_for(lambda: len(self.matching(pattern)) >= count, what=f"request {count} like {pattern}")
        return self.matching(pattern)[count - 1]

    def matching(self, pattern: str) -> list[Call]:
        """Requests like "POST /containers/*/start"."""
        return [call for call in self.requests if fnmatch.fnmatchcase(str(call), pattern)]

    def sequence(self) -> list[str]:
        """All requests, with ID where a container's id or name stood."""
        known = re.compile(r"(?<=/containers/)[^/]+(?=/|$)")
        return [str(call) if call.path.endswith(("/create", "/json")) and call.path.count("/") == 2
                else known.sub("ID", str(call)) for call in self.requests]  # fmt: skip

    def add(
        self, name: str = "", *, script: Script | None = None, request: Mapping[str, Any] | None = None
    ) -> Container:
        """A container as `POST /containers/create` makes it."""
        request = {"Image": "busybox:musl"} | dict(request or {})
        with self.changed:
            image = self.find_image(request["Image"])
            self.refuse_taken(name)
            number = next(self._ids)
            container = Container(
                hashlib.sha256(b"%d" % number).hexdigest(),
                name or f"nameless_{number}",
                request,
                script or self.scripts.get(request["Image"], self.script),
                image,
            )
            self.containers[container.id] = container
            self.emit(container, "create")
            return container

    def refuse_taken(self, name: str) -> None:
        """A 409 if a container has this name."""
        with self.changed:
            if taken := next((one for one in self.containers.values() if one.name == name), None):
                raise StatusError(
                    409,
                    f'Conflict. The container name "/{name}" is already in use by container "{taken.id}". '
                    "You have to remove (or rename) that container to be able to reuse that name.",
                )

    def find_image(self, reference: str) -> Any:
        """What `GET /images/NAME/json` answers, by name or id; a 404 where there is none."""
        with self.changed:
            for name, image in self.images.items():
                if normalized(reference) == name or image["Id"].removeprefix("sha256:").startswith(
                    reference.removeprefix("sha256:")
                ):
                    return image
            raise StatusError(404, f"No such image: {normalized(reference)}")

    def add_image(self, reference: str, labels: Mapping[str, str]) -> Any:
        """An image with these labels, as `docker build` makes one."""
        with self.changed:
            digest = hashlib.sha256(f"image {next(self._ids)}".encode()).hexdigest()
            config = self.image["Config"] | {"Labels": dict(labels)}
            made = self.image | {"Id": f"sha256:{digest}", "RepoTags": [normalized(reference)], "Config": config}
            self.images[normalized(reference)] = made
            return made

    def commit(self, container: str, reference: str) -> Any:
        """`docker commit`: an image with the container's labels."""
        with self.changed:
            return self.add_image(reference, self.find(container).labels)

    def remove_image(self, reference: str) -> list[dict[str, str]]:
        """`docker rmi --force`."""
        with self.changed:
            image = self.find_image(reference)
            self.images = {name: one for name, one in self.images.items() if one is not image}
            return [{"Untagged": normalized(reference)}, {"Deleted": image["Id"]}]

    def find(self, name: str) -> Container:
        """By id, beginning of an id, or name; a 404 where there is none."""
        with self.changed:
            for container in self.containers.values():
                if container.id.startswith(name) or container.name == name.removeprefix("/"):
                    return container
            raise StatusError(404, f"No such container: {name}")

    def begin(self, container: Container) -> None:
        """Start it: its script's output, and its end if the script has one."""
        with self.changed:
            run = Run(list(container.script.output))
            container.runs.append(run)
            container.status, container.exit_code, container.oom_killed = "running", 0, False
            self.emit(container, "start")
            if container.script.exit_code is not None:
                self.finish(container.id, container.script.exit_code)

    def write(self, name: str, data: bytes, stream: int = 1) -> None:
        """The payload writes."""
        with self.changed:
            self.find(name).runs[-1].output.append((stream, data))
            self.changed.notify_all()

    def finish(self, name: str, exit_code: int, *, oom_killed: bool = False) -> None:
        """The container ends; with AutoRemove it is removed as well."""
        with self.changed:
            container = self.find(name)
            container.runs[-1].exit_code = container.exit_code = exit_code
            container.status, container.oom_killed = "exited", oom_killed
            if oom_killed:
                self.emit(container, "oom")
            self.emit(container, "die", exitCode=str(exit_code))
            if container.is_auto_removed:
                self.remove(container)

    def remove(self, container: Container) -> None:
        with self.changed:
            del self.containers[container.id]
            container.removed = True
            self.emit(container, "destroy")

    def signal(self, container: Container, name: str) -> None:
        """Send the payload a signal through the engine."""
        with self.changed:
            container.signals.append(name)
            self.emit(container, "kill", signal=str(signal_number(name)))
            if container.dies_of(name):
                self.finish(container.id, 128 + signal_number(name))

    def set_health(self, name: str, health: str) -> None:
        """A healthcheck changes its mind: healthy, unhealthy, starting."""
        with self.changed:
            container = self.find(name)
            container.health = health
            self.emit(container, f"health_status: {health}")

    def emit(self, container: Container, action: str, **attributes: str) -> None:
        """One line of `GET /events`."""
        image = container.request["Image"]
        actor = {
            "ID": container.id,
            "Attributes": {**container.labels, "image": image, "name": container.name, **attributes},
        }
        older = {"status": action, "id": container.id, "from": image} if self.speaks_below(1, 52) else {}
        self.events.append(
            {**older, "Type": "container", "Action": action, "Actor": actor, "scope": "local",
             "time": 1767225600, "timeNano": 1767225600 * 10**9 + len(self.events)}
        )  # fmt: skip
        self.changed.notify_all()

    # How it answers

    def speaks_below(self, *version: int) -> bool:
        """Whether this engine's API is older, whatever version a request names."""
        return _numbers(self.api_version) < version

    @property
    def headers(self) -> dict[str, str]:
        """What every answer of dockerd carries."""
        return {
            "Api-Version": self.api_version,
            "Docker-Experimental": "false",
            "Ostype": "linux",
            "Server": f"Docker/{self.version['Version']} (linux)",
            "Date": "Thu, 01 Jan 2026 00:00:00 GMT",
        }

    def answer(self, exchange: Exchange, status: int, body: Any = b"", **headers: str) -> None:
        """A whole answer; body: JSON, or bytes as they are."""
        data = body if isinstance(body, bytes) else compact(body) + b"\n"
        is_head = exchange.call.method == "HEAD"
        exchange.connection.answer(status, self.headers | headers, data, head=is_head)

    def wait(self, exchange: Exchange, is_true: Callable[[], object]) -> None:
        """Block a connection's thread until a change makes it true; HungUpError if the connection ends before."""
        with self.changed:
            self.changed.wait_for(lambda: is_true() or exchange.connection.gone)
            if exchange.connection.gone:
                raise HungUpError

    def start_thread(self, run: Callable[[], None]) -> None:
        assert self._server is not None
        self._server.start_thread(run)

    def _add(self, fault: Fault) -> None:
        with self.changed:
            self._faults.append(fault)

    def _wake(self) -> None:
        with self.changed:
            self.changed.notify_all()

    def _serve(self, request: Request, connection: Connection) -> None:
        match = re.fullmatch(r"(?:/v(\d+\.\d+))?(/.*)", request.path)
        assert match is not None, request.path
        call = Call(request.method, match[1] or "", match[2], request.query, request.headers, request.body)
        exchange = Exchange(call, connection)
        with self.changed:
            self.requests.append(call)
            self.changed.notify_all()
            faults = [one for one in self._faults if one.times and fnmatch.fnmatchcase(str(call), one.request)][:1]
            for fault in faults:
                fault.times -= 1
        connection.allowance_bytes = next((fault.after_bytes for fault in faults), None)
        try:
            for fault in faults:
                if fault.answer is not None:
                    connection.send(fault.answer)
                self.wait(exchange, lambda fault=fault: not fault.holds)  # type: ignore[misc]
                if fault.status:
                    raise StatusError(fault.status, fault.message)
                if fault.answer is not None:
                    raise HungUpError
            self._check_version(call.version)
            dispatch(self, exchange)
        except StatusError as error:
            if call.path.endswith("/attach"):
                raw_stream = {"Content-Type": "application/vnd.docker.raw-stream"}
                self.answer(exchange, error.status, f"{error}\r\n".encode(), **raw_stream)
            else:
                self.answer(exchange, error.status, {"message": str(error)}, **{"Content-Type": "application/json"})

    def _check_version(self, version: str) -> None:
        if not version:
            return
        minimum = self.version["MinAPIVersion"]
        if _numbers(version) < _numbers(minimum):
            raise StatusError(
                400,
                f"client version {version} is too old. Minimum supported API version is {minimum}, "
                "please upgrade your client to a newer version",
            )
        if _numbers(version) > _numbers(self.api_version):
            raise StatusError(
                400, f"client version {version} is too new. Maximum supported API version is {self.api_version}"
            )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
