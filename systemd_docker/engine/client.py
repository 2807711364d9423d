"""The Docker Engine API: one method per endpoint in use, at the local engine's socket.

Every request has a connection of its own, so an answer that is slow to come (wait, stop) delays no other. Methods
raise EngineError with the engine's own words where the engine refuses, and EngineUnreachableError where no whole
answer came; engine.answers reads the exchanges that callers complete themselves. How long to wait for an answer, and
whether a stop cuts that short, is for the caller to decide: see http.Wait.
"""

from __future__ import annotations

import time

from systemd_docker import jsonobj
from systemd_docker.engine import answers, http, models
from systemd_docker.errors import EngineError, EngineUnreachableError, Error
from systemd_docker.frozen import frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeVar

    from systemd_docker.engine.http_parser import Head
    from systemd_docker.engine.image_reference import Reference
    from systemd_docker.jsonobj import JsonObject, JsonValue

    T = TypeVar("T")

OLDEST_API = (1, 41)
"""Engine 20.10, the oldest that the integration tests run."""

NEWEST_API = (1, 50)
"""Engine 28.2: the version that the table of flags was made from. Newer engines speak it as well."""

_UPGRADE = {"Connection": "Upgrade", "Upgrade": "tcp"}


@frozen
class Attachment:
    """A container's output stream.

    stream: a non-blocking socket; the caller owns it.
    early:  the first bytes, which arrived together with the answer's headers.
    """

    stream: socket.socket
    early: bytes


class Engine:
    """The engine behind one socket, in the API version that both sides speak."""

    def __init__(self, socket_path: str, api: tuple[int, int], wait: http.Wait) -> None:
        """wait: for all answers that a method waits for itself; http.never_wait where an event loop does it."""
        self.socket_path = socket_path
        self.api = api
        self._wait = wait

    @property
    def patience(self) -> http.Wait:
        """The caller's Wait for answers, for its other waits on the way to the same end."""
        return self._wait

    def create(self, body: JsonObject, *, name: str = "", platform: str = "") -> models.Created:
        """Raises EngineError: 404, there is no such image; 409, the name is taken; 400, the engine refuses body."""
        query = {"name": name, "platform": platform}
        return self._read(models.created, "POST", "/containers/create", query, jsonobj.dump(body))

    def attach(self, container: str, *, logs: bool = False, stdin: bool = False) -> Attachment:
        """Subscribe to the output; from the container's first byte on if it was not started yet, or with logs.

        stdin: make what the caller writes to the stream the container's standard input.
        """
        query = {
            "stream": "1",
            "stdout": "1",
            "stderr": "1",
            "logs": "1" if logs else "",
            "stdin": "1" if stdin else "",
        }
        return self._upgrade(_container(container, "attach"), query)

    def wait(self, container: str, *, condition: str = "next-exit") -> http.Exchange:
        """Subscribe to the container's exit; the exchange, which the caller owns, completes when it has exited.

        The engine sends the headers as soon as the subscription stands, so an exit that follows cannot be missed.
        Read the completed exchange with answers.exit_of().
        """
        exchange = self._open("POST", _container(container, "wait"), {"condition": condition})
        try:
            head = answers.receive_head(exchange, self._wait)
            if head.status != 200:
                raise self._refusal(exchange, head)
        except BaseException:
            exchange.close()
            raise
        return exchange

    def start(self, container: str, meanwhile: Callable[[], None] = lambda: None) -> None:
        """meanwhile: called when the engine has been asked, and works on it for a third of a second."""
        exchange = self._open("POST", _container(container, "start"), {})
        try:
            # The request fits into the socket's buffer: the engine works on it from now on.
            answers.advance(exchange)
            meanwhile()
            answers.receive(exchange, self._wait)
        finally:
            exchange.close()

    def inspect(self, container: str) -> models.ContainerFacts:
        """container: an id or a name. Raises EngineError: 404, there is none."""
        return self._read(models.container_facts, "GET", _container(container, "json"))

    def mounts(self, container: str) -> tuple[models.MountFacts, ...]:
        """Return the mounts of a container, which need not run. Raises EngineError: 404, there is none."""
        return self._read(models.mount_facts, "GET", _container(container, "json"))

    def volume(self, name: str) -> models.VolumeFacts:
        """Raises EngineError: 404, there is none."""
        return self._read(models.volume_facts, "GET", f"/volumes/{http.quote(name)}")

    def ask(self, container: str) -> http.Exchange:
        """inspect() for a caller that does not wait: the exchange, for answers.facts_of(), is the caller's."""
        return self._open("GET", _container(container, "json"), {})

    def ask_exit(self, container: str) -> http.Exchange:
        """wait() for a container that has been started already, without waiting for the subscription to stand: it
        completes at once where the container has ended. The exchange is the caller's."""
        return self._open("POST", _container(container, "wait"), {"condition": "not-running"})

    def ask_log(self, container: str, *, since_sec: float) -> http.Exchange:
        """Return what the container wrote since then (0.0: ever), and writes until it ends, from the engine's log.

        The exchange is the caller's; when it has its head, status 200, detach() it for a stream as attach()'s.
        """
        since = f"{since_sec:.9f}" if since_sec else ""
        query = {"follow": "1", "stdout": "1", "stderr": "1", "since": since}
        path = _container(container, "logs")
        request = http.format_request("GET", self._target(path, query), version="HTTP/1.0")
        return answers.open_exchange(self.socket_path, request, _title("GET", path))

    def ask_output(self, container: str) -> http.Exchange:
        """attach() for a caller that does not wait; the exchange is the caller's, and upgrades."""
        query = {"stream": "1", "stdout": "1", "stderr": "1"}
        return self._open("POST", _container(container, "attach"), query, headers=_UPGRADE)

    def stop(self, container: str, *, timeout_sec: int | None) -> http.Exchange:
        """Ask for the container's stop signal, and SIGKILL timeout_sec later. Completes when it has stopped.

        timeout_sec: None for the container's own.
        The caller owns the exchange, and learns of the exit from wait(); answers.failure_of() has its failure.
        """
        return self._open(
            "POST", _container(container, "stop"), {"t": "" if timeout_sec is None else str(timeout_sec)}
        )

    def restart(self, container: str, *, timeout_sec: int) -> http.Exchange:
        """Like stop(), and start it again; completes when it has started."""
        return self._open("POST", _container(container, "restart"), {"t": str(timeout_sec)})

    def kill(self, container: str, signal_name: str) -> http.Exchange:
        """Ask for one signal, e.g. "SIGHUP". The caller owns the exchange; answers.failure_of() has its failure."""
        return self._open("POST", _container(container, "kill"), {"signal": signal_name})

    def events(
        self, container: str, actions: Sequence[str] = (), *, since_nsec: int = 0, until_nsec: int = 0
    ) -> http.Exchange:
        """Subscribe to a container's events; actions: ("die", "health_status"), or () for all.

        The exchange is the caller's and has sent nothing yet: advance() it, and feed what came of its body to an
        events.EventReader. It completes only when the engine goes away or refuses, see answers.failure_of().

        since_nsec: what happened from then on comes as well, since the epoch and by the engine's clock; 0 for what
        is yet to come, where an event that happens while the engine is still answering may be missed: it sends the
        headers before it subscribes. until_nsec: 0 for no end; else the answer completes with what has happened.
        """
        wanted = {"type": ("container",), "container": (container,)} | ({"event": actions} if actions else {})
        query = {"since": _timestamp(since_nsec), "until": _timestamp(until_nsec), "filters": _filters(wanted)}
        return self._open("GET", "/events", query)

    def labelled(self, name: str, value: str) -> tuple[models.Listed, ...]:
        """Return all containers with this label, running or not; the newest comes first."""
        filters = jsonobj.dump({"label": [f"{name}={value}"]}).decode()
        return self._read(models.listed, "GET", "/containers/json", {"all": "1", "filters": filters})

    def image_labels(self, image: str) -> Mapping[str, JsonValue]:
        """Return the labels that every container of this image gets. Raises EngineError: 404, there is none."""
        return self._read(models.image_labels, "GET", f"/images/{http.quote(image)}/json")

    def pull(self, reference: Reference, *, platform: str = "", credentials: str = "") -> http.Exchange:
        """Pull an image; the caller's exchange, whose body is a line of JSON for each step of progress.

        credentials: for the registry, as X-Registry-Auth has them.
        """
        query = {"fromImage": reference.repository, "tag": reference.tag, "platform": platform}
        headers = {"X-Registry-Auth": credentials} if credentials else {}
        return self._open("POST", "/images/create", query, headers=headers)

    def create_exec(self, container: str, body: JsonObject) -> str:
        """Return the id of a command that is to run in a running container; `POST /containers/ID/exec`."""
        return self._read(models.exec_id, "POST", _container(container, "exec"), {}, jsonobj.dump(body))

    def start_exec(self, exec_id: str) -> Attachment:
        """Run it, and return its output, in frames."""
        return self._upgrade(f"/exec/{http.quote(exec_id)}/start", {}, b'{"Detach":false,"Tty":false}')

    def exec_exit_code(self, exec_id: str) -> int:
        """Return the exit code of a command whose output has ended; -1 where it still runs."""
        return self._read(models.exec_exit_code, "GET", f"/exec/{http.quote(exec_id)}/json")

    def remove(self, container: str, *, volumes: bool = True) -> None:
        """Remove the container, by force if it runs. A container that is gone already, or going (409), is success.

        volumes: its anonymous volumes as well, as `docker run --rm` does.
        """
        query = {"v": "1" if volumes else "", "force": "1"}
        try:
            self._answer("DELETE", f"/containers/{http.quote(container)}", query)
        except EngineError as error:
            if error.http_status not in (404, 409):
                raise

    def put_archive(self, container: str, directory: str, archive: bytes) -> None:
        """Unpack a tar archive in the container's directory, whether it runs or not; `PUT /containers/ID/archive`."""
        path = _container(container, "archive")
        self._answer("PUT", path, {"path": directory}, archive, {"Content-Type": "application/x-tar"})

    def finish(self, exchange: http.Exchange, timeout_sec: float = answers.ANSWER_TIMEOUT_SEC) -> EngineError | None:
        """Wait for the answer of stop(), kill() or restart(), and close the exchange; return failure_of() it."""
        try:
            return answers.complete(exchange, self._wait, time.monotonic() + timeout_sec)
        finally:
            exchange.close()

    def _answer(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Ask for something that has no answer but success."""
        exchange = self._open(method, path, query or {}, body, headers)
        try:
            answers.receive(exchange, self._wait)
        finally:
            exchange.close()

    def _read(
        self,
        reader: Callable[[bytes], T],
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> T:
        """Return what reader makes of the answer."""
        exchange = self._open(method, path, query or {}, body)
        try:
            return answers.read(exchange, reader, answers.receive(exchange, self._wait)[1])
        finally:
            exchange.close()

    def _refusal(self, exchange: http.Exchange, head: Head) -> EngineError:
        """Return an answer whose status is not the wanted one as an error, when all of it has come."""
        if head.status >= 400:
            failure = answers.complete(exchange, self._wait, time.monotonic() + answers.ANSWER_TIMEOUT_SEC)
            assert failure is not None
            return failure
        return answers.unexpected(exchange, f"status {head.status}")

    def _upgrade(self, path: str, query: Mapping[str, str], body: bytes | None = None) -> Attachment:
        """Send a request whose connection carries a stream from then on."""
        exchange = self._open("POST", path, query, body, headers=_UPGRADE)
        try:
            head = answers.receive_head(exchange, self._wait)
            if not head.is_upgrade:
                raise self._refusal(exchange, head)
            early = exchange.parser.take_body()
            return Attachment(exchange.detach(), early)
        finally:
            exchange.close()

    def _open(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> http.Exchange:
        request = http.format_request(method, self._target(path, query), body, headers)
        return answers.open_exchange(self.socket_path, request, _title(method, path))

    def _target(self, path: str, query: Mapping[str, str]) -> str:
        return f"/v{self.api[0]}.{self.api[1]}{path}{_query(query)}"


def connect(socket_path: str, *, api: str = "", wait: http.Wait) -> Engine:
    """Return the engine at socket_path, spoken to in the newest version that both sides know; `HEAD /_ping`.

    api: "1.45", of $DOCKER_API_VERSION: used as it is, without asking the engine.
    """
    if api:
        return Engine(socket_path, _version(api), wait)
    request = http.format_request("HEAD", "/_ping")
    exchange = answers.open_exchange(socket_path, request, _title("HEAD", "/_ping"), expects_body=False)
    try:
        head, _ = answers.receive(exchange, wait)
    finally:
        exchange.close()
    return Engine(socket_path, _common_version(head, socket_path), wait)


def ask_info(socket_path: str) -> http.Exchange:
    """connect() and `GET /info` in one: the exchange, for meet(), is the caller's.

    Without a version in its path: the answer's header names the engine's.
    """
    exchange = answers.open_exchange(socket_path, http.format_request("GET", "/info"), _title("GET", "/info"))
    try:
        # The request fits into the socket's buffer: the engine works on it from now on.
        answers.advance(exchange)
    except EngineUnreachableError:
        exchange.close()
        raise
    return exchange


def meet(
    asked: http.Exchange, socket_path: str, *, api: str = "", wait: http.Wait
) -> tuple[Engine, models.EngineInfo]:
    """Read the answer of ask_info(). api: see connect()."""
    head, text = answers.receive(asked, wait)
    version = _version(api) if api else _common_version(head, socket_path)
    return Engine(socket_path, version, wait), answers.read(asked, models.engine_info, text)


def _container(container: str, verb: str) -> str:
    return f"/containers/{http.quote(container)}/{verb}"


def _title(method: str, path: str) -> str:
    """ "POST /containers/web/wait": a request as messages name it, with an id of 64 digits as short as usual."""
    words = [word[:12] if len(word) == 64 else word for word in path.split("/")]
    return f"{method} {'/'.join(words)}"


def _filters(wanted: Mapping[str, Sequence[str]]) -> str:
    """Return filters as JSON; their values are ids, names of containers and actions, which need no escapes.

    A supervising process asks for events, and does not pay for an encoder.
    """
    lists = ('"{}":["{}"]'.format(key, '","'.join(values)) for key, values in wanted.items())
    return "{" + ",".join(lists) + "}"


def _query(query: Mapping[str, str]) -> str:
    """ "?a=1&b=x%20y"; what is empty is left out."""
    words = [f"{name}={http.quote(value)}" for name, value in query.items() if value]
    return "?" + "&".join(words) if words else ""


def _timestamp(nsec: int) -> str:
    """ "seconds.nanoseconds"; "" for 0."""
    return f"{nsec // 10**9}.{nsec % 10**9:09}" if nsec else ""


def _common_version(head: Head, socket_path: str) -> tuple[int, int]:
    spoken = _version(head.headers.get("api-version", "0.0"))
    if spoken < OLDEST_API:
        raise Error(
            f"the engine at '{socket_path}' speaks API version {spoken[0]}.{spoken[1]}, and at least "
            f"{OLDEST_API[0]}.{OLDEST_API[1]} is needed",
            hint="Upgrade the engine to 20.10 or newer.",
        )
    return min(spoken, NEWEST_API)


def _version(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    if not (major.isdecimal() and minor.isdecimal()):
        raise Error(f"'{text}' is not an API version", hint="DOCKER_API_VERSION is written like 1.45.")
    return int(major), int(minor)
