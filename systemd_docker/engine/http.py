"""HTTP/1.1 over AF_UNIX: one request and its answer per connection, without ever blocking. Knows nothing of Docker.

Why not http.client: it costs 6 MB in every supervising process, and it buffers, so that bytes which arrive together
with a "101 Switching Protocols" are lost to the stream behind it.
"""

from __future__ import annotations

import errno
import os
import select
import struct
import time

from systemd_docker.engine.http_parser import Parser

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from systemd_docker.engine.http_parser import Head

    Wait = Callable[[int, int, float], None]
    """wait(fd, events, deadline): return when poll(2) events are there on fd, or it hung up; deadline is monotonic.

    Raises TimeoutError at the deadline; may raise anything else that ends the wait, as a signal to stop does.
    """
else:
    # CPython's own C module: the Python layer over it makes enums of its constants, 2 ms and 1 MB.
    import _socket as socket

RECEIVE_BYTES = 64 * 1024

CONNECT_TIMEOUT_SEC = 10
"""connect(2) waits only while the listener's backlog is full: its process is alive, but has long not accepted."""


MAX_PATH_BYTES = 107
"""Of a socket's path; unix(7), sun_path."""


class Exchange:
    """One request on a connection of its own; owns the socket until it is detached or closed.

    Register fileno() for `events` and call advance() when ready, or let a Wait do so: receive_head(), receive().
    After an error of advance() only close() makes sense.

    title: the request as messages name it: "POST /containers/web/wait".
    """

    def __init__(self, path: str, request: bytes, title: str, *, expects_body: bool = True) -> None:
        """Connect and queue the request.

        Raises OSError: ENOENT, ECONNREFUSED, nothing listens at path; EACCES, no permission; EAGAIN, its backlog is
        full; ENAMETOOLONG.
        """
        self.title = title
        self.parser = Parser(expects_body=expects_body)
        self._unsent = memoryview(request)
        self._head = bytearray()
        if len(os.fsencode(path)) > MAX_PATH_BYTES:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            # A unix socket's connect(2) cannot be waited for with poll(2): unix(7) has EAGAIN, not EINPROGRESS.
            timeout = struct.pack("ll", CONNECT_TIMEOUT_SEC, 0)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
            self._socket.connect(path)
            self._socket.setblocking(False)
        except OSError as error:
            self._socket.close()
            raise OSError(error.errno, error.strerror, path) from None

    @classmethod
    def resumed(cls, fd: int, received: bytes, title: str) -> Exchange:
        """Continue an exchange that was taken apart with parts(); takes ownership of fd, also where it raises.

        Raises ProtocolError.
        """
        exchange = cls.__new__(cls)
        exchange.title = title
        exchange.parser = Parser()
        exchange._head = bytearray(received)
        exchange._unsent = memoryview(b"")
        exchange._socket = socket.socket(fileno=fd)
        try:
            exchange._socket.setblocking(False)
            exchange.parser.feed(received)
        except OSError:
            exchange.close()
            raise
        return exchange

    def parts(self) -> tuple[int, bytes]:
        """Return (fd, received bytes) of an exchange that has its head and no body yet; the caller owns the fd."""
        return self._socket.detach(), bytes(self._head)

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def events(self) -> int:
        """Events to wait for next: select.POLLOUT or select.POLLIN."""
        return select.POLLOUT if self._unsent else select.POLLIN

    @property
    def complete(self) -> bool:
        return self.parser.complete

    def advance(self) -> None:
        """One send or one receive, as far as it goes without blocking. Raises OSError, ProtocolError."""
        try:
            if self._unsent:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
            elif data := self._socket.recv(RECEIVE_BYTES):
                if self.parser.head is None:
                    self._head += data
                self.parser.feed(data)
            else:
                self.parser.feed_end()
        except BlockingIOError:
            # poll(2) may report readiness that is gone by now.
            return

    def receive_head(self, wait: Wait, deadline: float) -> Head:
        while self.parser.head is None:
            self.advance_when_ready(wait, deadline)
        return self.parser.head

    def receive(self, wait: Wait, deadline: float) -> tuple[Head, bytes]:
        """Return the whole answer. Raises TimeoutError at the deadline (monotonic), OSError, ProtocolError."""
        head = self.receive_head(wait, deadline)
        while not self.complete:
            self.advance_when_ready(wait, deadline)
        return head, self.parser.take_body()

    def advance_when_ready(self, wait: Wait, deadline: float) -> None:
        wait(self.fileno(), self.events, deadline)
        self.advance()

    def detach(self) -> socket.socket:
        """Return an upgraded connection's socket, which is the caller's; parser.take_body() has its first bytes."""
        detached = socket.socket(fileno=self._socket.detach())
        detached.setblocking(False)
        return detached

    def close(self) -> None:
        self._socket.close()


def format_request(
    method: str,
    target: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    version: str = "HTTP/1.1",
) -> bytes:
    """Return a request's bytes; with "Connection: close", for every connection carries one, unless headers differ.

    version: "HTTP/1.0" for an answer that is not chunked: all bytes after its head are body.
    """
    fields = {"Host": "docker", "User-Agent": "systemd-docker", "Connection": "close"}
    if body is not None:
        fields |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    elif method != "GET" and method != "HEAD":
        fields["Content-Length"] = "0"
    fields |= headers or {}
    lines = [f"{method} {target} {version}", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode("ascii") + (body or b"")


PROMPT_SEC = 5
"""How long a running engine may take for a simple answer on a busy host."""


def promptly(limit_sec: float = PROMPT_SEC) -> Wait:
    """Return a Wait for an engine that may not run: its socket is systemd's, which accepts connections in its place.

    systemd starts the engine for them, but not while it waits for this process: with Requires=docker.service, an
    engine that has crashed is started again only when the unit has stopped. limit_sec: of each single wait.
    """

    def wait(fd: int, events: int, deadline: float) -> None:
        wait_ready(fd, events, min(deadline, time.monotonic() + limit_sec))

    return wait


def no_longer_than(limit_sec: float, wait: Wait) -> Wait:
    """Return a Wait with which all single waits together take no longer than limit_sec from now."""
    limit = time.monotonic() + limit_sec

    def wait_until(fd: int, events: int, deadline: float) -> None:
        wait(fd, events, min(deadline, limit))

    return wait_until


def never_wait(fd: int, events: int, deadline: float) -> None:
    """A Wait for callers whose event loop does the waiting: blocking would be a bug there."""
    raise AssertionError(f"a blocking wait for fd {fd}, events {events}, until {deadline}")


def wait_ready(fd: int, events: int, deadline: float) -> None:
    """The simplest Wait: only the fd and the deadline end it."""
    poll = select.poll()
    poll.register(fd, events)
    left_sec = deadline - time.monotonic()
    if left_sec <= 0 or not poll.poll(left_sec * 1000):
        raise TimeoutError(f"nothing came on fd {fd}")


def quote(text: str) -> str:
    """Percent-encode text for a path segment or a query value; RFC 3986, "unreserved"."""
    unreserved = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
    return "".join(chr(byte) if byte in unreserved else f"%{byte:02X}" for byte in os.fsencode(text))
