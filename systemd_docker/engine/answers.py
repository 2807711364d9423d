"""The engine's answers: exchanges to values, and all the ways in which one can fail to errors that name its request.

EngineError: the engine refused, in its own words, or answered with something that its API does not promise.
EngineUnreachableError: there is no engine, or no whole answer from it.
"""

from __future__ import annotations

import errno
import time

from systemd_docker import jsonobj
from systemd_docker.engine import http, models
from systemd_docker.engine.http_parser import ProtocolError
from systemd_docker.errors import EngineError, EngineUnreachableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    from systemd_docker.engine.http_parser import Head

    T = TypeVar("T")

ANSWER_TIMEOUT_SEC = 120
"""For every answer that does not wait for the container; creating and starting may wait for a slow volume driver."""

MAX_MESSAGE_CHARS = 2000
"""Of an engine's error in a message; they are rarely over 300."""


def open_exchange(socket_path: str, request: bytes, title: str, *, expects_body: bool = True) -> http.Exchange:
    """Connect and queue a request. Raises EngineUnreachableError with what an administrator can do about it."""
    try:
        return http.Exchange(socket_path, request, title, expects_body=expects_body)
    except OSError as error:
        raise EngineUnreachableError(
            f"cannot reach the engine at '{socket_path}': {_reason(error)}",
            hint=_CONNECT_HINTS.get(error.errno or 0, ""),
        ) from error


_CONNECT_HINTS = {
    errno.ENOENT: "Is the engine running? See 'systemctl status docker.service', and DOCKER_HOST.",
    errno.ECONNREFUSED: "Is the engine running? See 'systemctl status docker.service', and DOCKER_HOST.",
    errno.EACCES: "Run the unit as root, or give its user the socket's group: SupplementaryGroups=docker.",
    errno.EAGAIN: "The engine has not accepted a connection for a while: see 'systemctl status docker.service'.",
    errno.ENAMETOOLONG: f"A socket's path has at most {http.MAX_PATH_BYTES} bytes: see DOCKER_HOST.",
}


def advance(exchange: http.Exchange) -> None:
    """Exchange.advance(). Raises EngineUnreachableError."""
    _whole(exchange, exchange.advance)


def receive_head(exchange: http.Exchange, wait: http.Wait) -> Head:
    """Wait for status line and headers. Raises EngineUnreachableError."""
    deadline = time.monotonic() + ANSWER_TIMEOUT_SEC
    return _whole(exchange, lambda: exchange.receive_head(wait, deadline))


def receive(exchange: http.Exchange, wait: http.Wait) -> tuple[Head, bytes]:
    """Wait for a whole answer. Raises EngineError where it is an error, EngineUnreachableError."""
    deadline = time.monotonic() + ANSWER_TIMEOUT_SEC
    head, text = _whole(exchange, lambda: exchange.receive(wait, deadline))
    if head.status >= 400:
        raise refusal(exchange, text)
    return head, text


def complete(exchange: http.Exchange, wait: http.Wait, deadline: float) -> EngineError | None:
    """Wait until deadline (monotonic) for the whole of an answer; return failure_of() it.

    Raises EngineUnreachableError.
    """

    def receive_rest() -> None:
        while not exchange.complete:
            wait(exchange.fileno(), exchange.events, deadline)
            exchange.advance()

    _whole(exchange, receive_rest)
    return failure_of(exchange)


def pieces(exchange: http.Exchange, wait: http.Wait, silence_sec: float) -> Iterator[bytes]:
    """Yield the body as it comes, until it ends. Raises EngineError where the answer is an error.

    silence_sec: between two pieces. Raises EngineUnreachableError.
    """
    head = receive_head(exchange, wait)
    if head.status >= 400:
        receive(exchange, wait)

    def receive_more() -> None:
        exchange.advance_when_ready(wait, time.monotonic() + silence_sec)

    while True:
        if piece := exchange.parser.take_body():
            yield piece
        if exchange.complete:
            return
        _whole(exchange, receive_more)


def failure_of(exchange: http.Exchange) -> EngineError | None:
    """Return the engine's refusal of a completed request; None if it did what it was asked."""
    head = exchange.parser.head
    assert head is not None
    return refusal(exchange, exchange.parser.take_body()) if head.status >= 400 else None


def refusal(exchange: http.Exchange, text: bytes) -> EngineError:
    """Return an answer with an error's status as an error: {"message": "..."} or plain text, as one line."""
    assert exchange.parser.head is not None
    status = exchange.parser.head.status
    try:
        message = jsonobj.get_or(jsonobj.parse_object(text), "message", "")
    except jsonobj.JsonError:
        message = text[: 4 * MAX_MESSAGE_CHARS].decode(errors="replace")
    message = " ".join(message.split())[:MAX_MESSAGE_CHARS]
    return EngineError(message or f"the engine answered {exchange.title} with status {status}", http_status=status)


def read(exchange: http.Exchange, reader: Callable[[bytes], T], text: bytes) -> T:
    """Return reader(text), where text is the body of an answer that is no error. Raises EngineError."""
    try:
        return reader(text)
    except jsonobj.JsonError as error:
        raise unexpected(exchange, str(error)) from None


def unexpected(exchange: http.Exchange, why: str) -> EngineError:
    """Return the error for an answer without an error's status, but not as the API promises it."""
    head = exchange.parser.head
    return EngineError(
        f"unexpected answer from the engine to {exchange.title}: {why}", http_status=head.status if head else 0
    )


def exit_of(exchange: http.Exchange) -> int:
    """Return the exit code in a completed wait: the payload's, or 128 + signal number.

    Raises EngineError where the engine could not wait.
    """
    assert exchange.complete
    if failure := failure_of(exchange):
        raise failure
    code, message = read(exchange, models.exit_code, exchange.parser.take_body())
    if message:
        raise EngineError(message, http_status=200)
    return code


def facts_of(exchange: http.Exchange) -> models.ContainerFacts:
    """Return the answer of a completed Engine.ask(). Raises EngineError."""
    if failure := failure_of(exchange):
        raise failure
    return read(exchange, models.container_facts, exchange.parser.take_body())


def _whole(exchange: http.Exchange, receive: Callable[[], T]) -> T:
    began = time.monotonic()
    try:
        return receive()
    except TimeoutError as error:
        took_sec = round(time.monotonic() - began)
        raise EngineUnreachableError(
            f"timed out after {took_sec} s waiting for the engine ({exchange.title})",
            hint="See 'systemctl status docker.service'.",
        ) from error
    except ProtocolError as error:
        raise EngineUnreachableError(f"unexpected answer from the engine to {exchange.title}: {error}") from error
    except OSError as error:
        raise EngineUnreachableError(f"lost the engine ({exchange.title}): {_reason(error)}") from error


def _reason(error: OSError) -> str:
    return f"{error.strerror} ({errno.errorcode.get(error.errno or 0, '?')})"
