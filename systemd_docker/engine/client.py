"""The Docker Engine API: one method per endpoint we use, at the local engine's socket.

Every request has a connection of its own, so an answer that is slow to come (wait, stop) holds up no other. What the
engine answers with an error is an EngineError with the engine's own words; that nobody answers at all is an
EngineUnreachableError. How to wait for an answer is the caller's business: see wire.Wait.
"""

from __future__ import annotations

import errno
import time

from systemd_docker import jsonobj
from systemd_docker.engine import http, models
from systemd_docker.errors import (
    CommandNotExecutableError,
    CommandNotFoundError,
    EngineError,
    EngineUnreachableError,
    Error,
)
from systemd_docker.frozen import frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeVar

    from systemd_docker.jsonobj import JsonObject, JsonValue

    T = TypeVar("T")

OLDEST_API = (1, 41)
"""Engine 20.10, the oldest that the integration tests run."""

NEWEST_API = (1, 50)
"""Engine 28.2: the version that the table of flags was made from. A newer engine is spoken to in this one."""

ANSWER_TIMEOUT_SEC = 120
"""For every answer that does not wait for the container; creating and starting may wait for a slow volume driver."""


_UPGRADE = {"Connection": "Upgrade", "Upgrade": "tcp"}


@frozen
class Attachment:
    """A container's output, as it comes.

    stream: a non-blocking socket; the caller owns it.
    early:  bytes that arrived together with the answer's headers: they come first.
    """

    stream: socket.socket
    early: bytes


class Engine:
    """The engine behind one socket, in the API version that both sides speak."""

    def __init__(self, socket_path: str, api: tuple[int, int], wait: http.Wait = http.wait_ready) -> None:
        self.socket_path = socket_path
        self.api = api
        self._wait = wait

    @property
    def patience(self) -> http.Wait:
        """How the caller waits for answers; for other waits on the way to the same end."""
        return self._wait

    def finish(self, exchange: http.Exchange) -> EngineError | None:
        """Wait for the whole of an answer, and close the exchange; see complete()."""
        try:
            return complete(exchange, self._wait, time.monotonic() + ANSWER_TIMEOUT_SEC)
        finally:
            exchange.close()

    def create(self, body: JsonObject, *, name: str = "", platform: str = "") -> models.Created:
        """Raises EngineError: 404, there is no such image; 409, the name is taken; 400, the engine refuses body."""
        query = {"name": name, "platform": platform}
        return models.created(self._answer("POST", "/containers/create", query, jsonobj.dump(dict(body)).encode()))

    def attach(self, container: str, *, logs: bool = False, stdin: bool = False) -> Attachment:
        """Subscribe to the output; from the container's first byte on if it was not started yet, or with logs.

        stdin: what is written to the stream is the container's standard input.
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
        Read the completed exchange with exit_of().
        """
        exchange = self._open("POST", _container(container, "wait"), {"condition": condition})
        try:
            head = self._head(exchange)
            if head.status != 200:
                raise _error(head, self._rest(exchange))
        except BaseException:
            exchange.close()
            raise
        return exchange

    def start(self, container: str, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Raises CommandNotFoundError, CommandNotExecutableError, or EngineError for every other reason.

        meanwhile: called when the engine has been asked, which takes a third of a second to do it.
        """
        exchange = self._open("POST", _container(container, "start"), {})
        try:
            # The request fits into the socket's buffer: the engine works on it from now on.
            _answered(exchange.advance)
            meanwhile()
            self._receive(exchange)
        except EngineError as error:
            raise start_error(error) from None
        finally:
            exchange.close()

    def inspect(self, container: str) -> models.ContainerFacts:
        """container: an id or a name. Raises EngineError: 404, there is none."""
        return models.container_facts(self._answer("GET", _container(container, "json")))

    def ask(self, container: str) -> http.Exchange:
        """inspect() for who does not wait: the caller's exchange, for facts_of() once it is complete."""
        return self._open("GET", _container(container, "json"), {})

    def ask_exit(self, container: str) -> http.Exchange:
        """wait() for a container that has been started already, without waiting for the subscription to stand: it
        completes at once where the container has ended. The exchange is the caller's."""
        return self._open("POST", _container(container, "wait"), {"condition": "not-running"})

    def ask_log(self, container: str, *, since_sec: float) -> http.Exchange:
        """What the container has written since then (0.0: all), and writes until it ends, as far as the engine logs.

        The exchange is the caller's; when it has its head, status 200, detach() it for a stream as attach()'s.
        """
        since = f"{since_sec:.9f}" if since_sec else ""
        query = {"follow": "1", "stdout": "1", "stderr": "1", "since": since}
        target = self._target(_container(container, "logs"), query)
        return open_exchange(self.socket_path, http.format_request("GET", target, version="HTTP/1.0"))

    def ask_output(self, container: str) -> http.Exchange:
        """attach(), for a caller that goes on meanwhile; the exchange is the caller's, and upgrades."""
        query = {"stream": "1", "stdout": "1", "stderr": "1"}
        return self._open("POST", _container(container, "attach"), query, headers=_UPGRADE)

    def stop(self, container: str, *, timeout_sec: int | None) -> http.Exchange:
        """Ask for the container's stop signal, and SIGKILL timeout_sec later. Completes when it has stopped.

        timeout_sec: None for the container's own.
        The caller owns the exchange, and learns of the exit from wait(); a failure is in failure_of().
        """
        return self._open(
            "POST", _container(container, "stop"), {"t": "" if timeout_sec is None else str(timeout_sec)}
        )

    def restart(self, container: str, *, timeout_sec: int) -> http.Exchange:
        """Like stop(), and start it again; completes when it has started."""
        return self._open("POST", _container(container, "restart"), {"t": str(timeout_sec)})

    def kill(self, container: str, signal_name: str) -> http.Exchange:
        """Ask for one signal, e.g. "SIGHUP". The caller owns the exchange; a failure is in failure_of()."""
        return self._open("POST", _container(container, "kill"), {"signal": signal_name})

    def events(
        self, container: str, actions: Sequence[str] = (), *, since_nsec: int = 0, until_nsec: int = 0
    ) -> http.Exchange:
        """Subscribe to what becomes of a container; actions: ("die", "health_status"), or () for everything.

        The exchange is the caller's and has sent nothing yet: advance() it, and feed what came of its body to an
        events.EventReader. It completes only when the engine goes away or refuses, see failure_of().

        since_nsec: what happened from then on comes as well, since the epoch and by the engine's clock; 0 for what
        is yet to come, where an event that happens while the engine is still answering may be missed: it sends the
        headers before it subscribes. until_nsec: 0 for no end; else the answer completes with what has happened.
        """
        wanted: dict[str, JsonValue] = {"type": ["container"], "container": [container]}
        if actions:
            wanted["event"] = list(actions)
        query = {"since": _timestamp(since_nsec), "until": _timestamp(until_nsec), "filters": jsonobj.dump(wanted)}
        return self._open("GET", "/events", query)

    def labelled(self, name: str, value: str) -> tuple[models.Listed, ...]:
        """All containers with this label, whether they run or not; the newest comes first."""
        filters = jsonobj.dump({"label": [f"{name}={value}"]})
        text = self._answer("GET", "/containers/json", {"all": "1", "filters": filters})
        return models.listed(text)

    def image_labels(self, image: str) -> Mapping[str, JsonValue]:
        """The labels that every container of this image gets. Raises EngineError: 404, there is no such image."""
        return models.image_labels(self._answer("GET", f"/images/{http.quote(image)}/json"))

    def create_exec(self, container: str, body: JsonObject) -> str:
        """The id of a command that is to run in a container that runs; `POST /containers/ID/exec`."""
        text = self._answer("POST", _container(container, "exec"), {}, jsonobj.dump(dict(body)).encode())
        return models.expect(models.parse(text), "Id")

    def start_exec(self, exec_id: str) -> Attachment:
        """Run it; its output, in frames."""
        return self._upgrade(f"/exec/{http.quote(exec_id)}/start", {}, b'{"Detach":false,"Tty":false}')

    def exec_exit_code(self, exec_id: str) -> int:
        """Of a command whose output has ended; -1 where it still runs."""
        obj = models.parse(self._answer("GET", f"/exec/{http.quote(exec_id)}/json"))
        return -1 if jsonobj.get_or(obj, "Running", False) else jsonobj.get_or(obj, "ExitCode", 0)

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

    def _answer(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        exchange = self._open(method, path, query or {}, body, headers)
        try:
            return self._receive(exchange)
        finally:
            exchange.close()

    def _receive(self, exchange: http.Exchange) -> bytes:
        return _received(exchange, self._wait)[1]

    def _upgrade(self, path: str, query: Mapping[str, str], body: bytes | None = None) -> Attachment:
        """A request whose connection carries a stream from then on."""
        exchange = self._open("POST", path, query, body, headers=_UPGRADE)
        try:
            head = self._head(exchange)
            if not head.is_upgrade:
                raise _error(head, self._rest(exchange))
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
        return open_exchange(self.socket_path, http.format_request(method, self._target(path, query), body, headers))

    def _target(self, path: str, query: Mapping[str, str]) -> str:
        return f"/v{self.api[0]}.{self.api[1]}{path}{_query(query)}"

    def _head(self, exchange: http.Exchange) -> http.Head:
        return _answered(lambda: exchange.receive_head(self._wait, time.monotonic() + ANSWER_TIMEOUT_SEC))

    def _rest(self, exchange: http.Exchange) -> bytes:
        return _answered(lambda: exchange.receive(self._wait, time.monotonic() + ANSWER_TIMEOUT_SEC))[1]


def connect(socket_path: str, *, api: str = "", wait: http.Wait = http.wait_ready) -> Engine:
    """The engine at socket_path, spoken to in the newest version that both sides know; `HEAD /_ping`.

    api: "1.45", $DOCKER_API_VERSION's: spoken as it is, without asking the engine.
    """
    if api:
        return Engine(socket_path, _version(api), wait)
    exchange = open_exchange(socket_path, http.format_request("HEAD", "/_ping"), expects_body=False)
    try:
        head = _answered(lambda: exchange.receive_head(wait, time.monotonic() + ANSWER_TIMEOUT_SEC))
    finally:
        exchange.close()
    if head.status >= 400:
        raise EngineError(f"the engine at '{socket_path}' answered {head.status}", http_status=head.status)
    return Engine(socket_path, _common_version(head, socket_path), wait)


def ask_info(socket_path: str) -> http.Exchange:
    """connect() and what the engine says of itself, in one: the exchange, for meet(), is the caller's; `GET /info`.

    Without a version in its path: the answer's header names the engine's.
    """
    exchange = open_exchange(socket_path, http.format_request("GET", "/info"))
    try:
        # The request fits into the socket's buffer: the engine works on it from now on.
        _answered(exchange.advance)
    except EngineUnreachableError:
        exchange.close()
        raise
    return exchange


def meet(
    asked: http.Exchange, socket_path: str, *, api: str = "", wait: http.Wait = http.wait_ready
) -> tuple[Engine, models.EngineInfo]:
    """The answer of ask_info(). api: see connect()."""
    head, text = _received(asked, wait)
    version = _version(api) if api else _common_version(head, socket_path)
    return Engine(socket_path, version, wait), models.engine_info(text)


def open_exchange(socket_path: str, request: bytes, *, expects_body: bool = True) -> http.Exchange:
    """Connect and queue a request. Raises EngineUnreachableError with what an administrator can do about it."""
    try:
        return http.Exchange(socket_path, request, expects_body=expects_body)
    except OSError as error:
        reason = f"{error.strerror} ({errno.errorcode.get(error.errno or 0, '?')})"
        raise EngineUnreachableError(
            f"cannot reach the engine at '{socket_path}': {reason}", hint=_CONNECT_HINTS.get(error.errno or 0, "")
        ) from error


def start_error(error: EngineError) -> Error:
    """What a failed start was: docker-run(1)'s 127, 126 or 125.

    The API has one status, 400 or 500, for all of them, and only runc's message tells them apart; the docker CLI
    looks for the same words.
    """
    text = str(error)
    if any(words in text for words in ("executable file not found", "no such file or directory")):
        return CommandNotFoundError(text, hint="The command is looked for in the image, along its PATH.")
    if any(words in text for words in ("permission denied", "is a directory")):
        return CommandNotExecutableError(text, hint="The command is in the image, but may not be executed.")
    return error


def exit_of(exchange: http.Exchange) -> int:
    """The exit code in a completed wait: the payload's, or 128 + signal number; `POST /containers/ID/wait`.

    Raises EngineError where the engine could not wait.
    """
    assert exchange.complete
    obj = models.parse(exchange.parser.take_body())
    if message := jsonobj.get_or(obj, "Error.Message", ""):
        raise EngineError(message, http_status=200)
    try:
        return jsonobj.get(obj, "StatusCode", int)
    except jsonobj.JsonError as error:
        raise EngineError(f"the engine's answer is not understood: {error}", http_status=200) from None


def facts_of(exchange: http.Exchange) -> models.ContainerFacts:
    """What a completed ask() found. Raises EngineError."""
    if failure := failure_of(exchange):
        raise failure
    return models.container_facts(exchange.parser.take_body())


def failure_of(exchange: http.Exchange) -> EngineError | None:
    """What the engine had against a completed request; None if it did what it was asked."""
    head = exchange.parser.head
    assert head is not None
    return _error(head, exchange.parser.take_body()) if head.status >= 400 else None


def complete(exchange: http.Exchange, wait: http.Wait, deadline: float) -> EngineError | None:
    """Wait for the whole of an answer that nothing else follows; failure_of() it.

    Raises EngineUnreachableError: the engine has gone away, or not answered by the deadline (monotonic).
    """

    def receive() -> None:
        while not exchange.complete:
            wait(exchange.fileno(), exchange.events, deadline)
            exchange.advance()

    _answered(receive)
    return failure_of(exchange)


_CONNECT_HINTS = {
    errno.ENOENT: "Is the engine running? See 'systemctl status docker.service', and DOCKER_HOST.",
    errno.ECONNREFUSED: "Is the engine running? See 'systemctl status docker.service', and DOCKER_HOST.",
    errno.EACCES: "Run the unit as root, or give its user the socket's group: SupplementaryGroups=docker.",
    errno.EAGAIN: "The engine has not accepted a connection for a while: see 'systemctl status docker.service'.",
}


def _received(exchange: http.Exchange, wait: http.Wait) -> tuple[http.Head, bytes]:
    """A whole answer. Raises EngineError where it is an error."""
    head, text = _answered(lambda: exchange.receive(wait, time.monotonic() + ANSWER_TIMEOUT_SEC))
    if head.status >= 400:
        raise _error(head, text)
    return head, text


def _answered(receive: Callable[[], T]) -> T:
    try:
        return receive()
    except TimeoutError as error:
        raise EngineUnreachableError(
            f"the engine has not answered in time: {error}", hint="See 'systemctl status docker.service'."
        ) from error
    except OSError as error:
        raise EngineUnreachableError(f"the engine went away while it was asked: {error}") from error


def _container(container: str, verb: str) -> str:
    return f"/containers/{http.quote(container)}/{verb}"


def _query(query: Mapping[str, str]) -> str:
    """ "?a=1&b=x%20y"; what is empty is left out."""
    words = [f"{name}={http.quote(value)}" for name, value in query.items() if value]
    return "?" + "&".join(words) if words else ""


def _timestamp(nsec: int) -> str:
    """ "seconds.nanoseconds"; "" for 0."""
    return f"{nsec // 10**9}.{nsec % 10**9:09}" if nsec else ""


def _common_version(head: http.Head, socket_path: str) -> tuple[int, int]:
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


def _error(head: http.Head, text: bytes) -> EngineError:
    return EngineError(_message(text) or f"the engine answered {head.status}", http_status=head.status)


def _message(text: bytes) -> str:
    """The engine's words, {"message": "..."}, as one line; "" where there are none."""
    try:
        message = jsonobj.get_or(jsonobj.parse_object(text), "message", "")
    except jsonobj.JsonError:
        message = text.decode(errors="replace")
    return " ".join(message.split())
