"""HTTP/1.1 over AF_UNIX: one request and its answer per connection, without ever blocking. Has never heard of Docker.

Why not http.client: it costs 6 MB in every supervising process, and it buffers, so that bytes which arrive together
with a "101 Switching Protocols" are lost to the stream behind it. What is supported is what a Go server sends:
Content-Length, chunked, or until the connection closes; RFC 9112.
"""

from __future__ import annotations

import os
import select
import struct
import time

from systemd_docker.frozen import frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    Wait = Callable[[int, int, float], None]
    """wait(fd, events, deadline): return when poll(2) events are there on fd, or it hung up; deadline is monotonic.

    Raises TimeoutError at the deadline; may raise anything else that ends the caller's patience, a signal for one.
    """
else:
    # CPython's own C module: the Python layer over it makes enums of its constants, 2 ms and 1 MB.
    import _socket as socket

MAX_HEAD_BYTES = 64 * 1024
"""Status line and headers of an answer; dockerd sends under 1 KiB."""

MAX_BODY_BYTES = 64 * 1024 * 1024
"""Of an answer that is collected whole: only a broken peer reaches it."""

RECEIVE_BYTES = 64 * 1024

CONNECT_TIMEOUT_SEC = 10
"""connect(2) waits only while the listener's backlog is full: its process is alive, but has long not accepted."""


class ProtocolError(ConnectionError):
    """The peer does not speak HTTP/1.1, or not as far as we understand it."""


@frozen
class Head:
    """Status line and headers; header names are in lower case."""

    status: int
    headers: Mapping[str, str]

    @property
    def is_upgrade(self) -> bool:
        return self.status == 101


class Parser:
    """An answer's bytes, in pieces of any size, to its head and body. No I/O.

    head:      None until all of it was fed.
    complete:  the answer has ended; never true of an upgraded connection, whose bytes behind the head are all body.
    """

    def __init__(self, *, expects_body: bool = True) -> None:
        self.head: Head | None = None
        self.complete = False
        self._expects_body = expects_body
        self._input = bytearray()
        self._body = bytearray()
        self._left: int | None = None
        self._chunked = False
        self._step: Callable[[], bool] = self._read_head

    def feed(self, data: bytes) -> None:
        """Raises ProtocolError."""
        self._input += data
        while not self.complete and self._step():
            pass

    def feed_end(self) -> None:
        """The peer closed the connection. Raises ProtocolError where the answer had not ended."""
        if self.complete:
            return
        if self.head is None or self._chunked or self._left is not None:
            raise ProtocolError("the connection was closed in the middle of an answer")
        self.complete = True

    def take_body(self) -> bytes:
        """What came of the body since the last call."""
        taken = bytes(self._body)
        self._body.clear()
        return taken

    def _read_head(self) -> bool:
        end = self._input.find(b"\r\n\r\n")
        if end < 0:
            if len(self._input) > MAX_HEAD_BYTES:
                raise ProtocolError("the answer's headers do not end")
            return False
        self.head = head = _parse_head(bytes(self._input[:end]))
        del self._input[: end + 4]
        if head.is_upgrade:
            self._step = self._read_until_close
        elif head.status in (204, 304) or not self._expects_body:
            self.complete = True
        elif head.headers.get("transfer-encoding", "").lower() == "chunked":
            self._chunked = True
            self._step = self._read_chunk_size
        elif (length := head.headers.get("content-length")) is not None:
            self._left = _number(length, base=10)
            self._step = self._read_counted
            self.complete = self._left == 0
        else:
            self._step = self._read_until_close
        return True

    def _read_until_close(self) -> bool:
        self._body += self._input
        self._input.clear()
        return False

    def _read_counted(self) -> bool:
        assert self._left is not None
        piece = self._input[: self._left]
        del self._input[: len(piece)]
        self._body += piece
        self._left -= len(piece)
        self.complete = self._left == 0
        return False

    def _read_chunk_size(self) -> bool:
        line = self._take_line()
        if line is None:
            return False
        self._left = _number(line.split(b";")[0].strip().decode("latin-1"), base=16)
        self._step = self._read_chunk if self._left else self._read_trailer
        return True

    def _read_chunk(self) -> bool:
        assert self._left is not None
        if self._left == 0:
            if len(self._input) < 2:
                return False
            if self._input[:2] != b"\r\n":
                raise ProtocolError("a chunk is longer than it said")
            del self._input[:2]
            self._step = self._read_chunk_size
            return True
        piece = self._input[: self._left]
        del self._input[: len(piece)]
        self._body += piece
        self._left -= len(piece)
        return bool(piece)

    def _read_trailer(self) -> bool:
        line = self._take_line()
        if line is None:
            return False
        self.complete = not line
        return True

    def _take_line(self) -> bytes | None:
        end = self._input.find(b"\r\n")
        if end < 0:
            if len(self._input) > MAX_HEAD_BYTES:
                raise ProtocolError("a line of the answer does not end")
            return None
        line = bytes(self._input[:end])
        del self._input[: end + 2]
        return line


def _number(text: str, *, base: int) -> int:
    digits = "0123456789abcdef"[:base]
    if not text or any(character not in digits for character in text.lower()):
        raise ProtocolError(f"'{text[:40]}' is not a length")
    return int(text, base)


def _parse_head(data: bytes) -> Head:
    status_line, *lines = data.decode("latin-1").split("\r\n")
    version, _, rest = status_line.partition(" ")
    code = rest[:3]
    if not version.startswith("HTTP/1.") or not (code.isascii() and code.isdecimal() and len(code) == 3):
        raise ProtocolError(f"not an HTTP answer: '{status_line[:40]}'")
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise ProtocolError(f"not a header: '{line[:40]}'")
        headers[name.strip().lower()] = value.strip()
    return Head(int(code), headers)


class Exchange:
    """One request on a connection of its own; owns the socket until it is detached or closed.

    Register fileno() for `events` and call advance() when ready, or let a Wait do so: receive_head(), receive().
    """

    def __init__(self, path: str, request: bytes, *, expects_body: bool = True) -> None:
        """Connect and queue the request.

        Raises OSError: ENOENT, ECONNREFUSED, nobody listens at path; EACCES, we may not; EAGAIN, its backlog is full.
        """
        self.parser = Parser(expects_body=expects_body)
        self._unsent = memoryview(request)
        self._head = bytearray()
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
    def resumed(cls, fd: int, received: bytes) -> Exchange:
        """An exchange that was taken apart with parts(); takes ownership of fd."""
        exchange = cls.__new__(cls)
        exchange.parser = Parser()
        exchange.parser.feed(received)
        exchange._head = bytearray(received)
        exchange._unsent = memoryview(b"")
        exchange._socket = socket.socket(fileno=fd)
        exchange._socket.setblocking(False)
        return exchange

    def parts(self) -> tuple[int, bytes]:
        """(fd, what was received) of an exchange that has its head and nothing behind it; the caller owns the fd."""
        return self._socket.detach(), bytes(self._head)

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def events(self) -> int:
        """What to wait for next: select.POLLOUT or select.POLLIN."""
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
            # poll(2) may report readiness that is gone by the time we use it.
            return

    def receive_head(self, wait: Wait, deadline: float) -> Head:
        while self.parser.head is None:
            wait(self.fileno(), self.events, deadline)
            self.advance()
        return self.parser.head

    def receive(self, wait: Wait, deadline: float) -> tuple[Head, bytes]:
        """The whole answer. Raises TimeoutError at the deadline (monotonic), ProtocolError past MAX_BODY_BYTES."""
        head = self.receive_head(wait, deadline)
        body = bytearray(self.parser.take_body())
        while not self.complete:
            wait(self.fileno(), self.events, deadline)
            self.advance()
            body += self.parser.take_body()
            if len(body) > MAX_BODY_BYTES:
                raise ProtocolError("the answer does not end")
        return head, bytes(body)

    def detach(self) -> socket.socket:
        """The socket of an upgraded connection; the caller owns it. parser.take_body() has what came already."""
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
    """A request's bytes; every connection carries one, so each says that it will be closed unless it is upgraded.

    version: "HTTP/1.0" for an answer that is not chunked: all bytes behind its head are its body's.
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
"""How long an engine that runs may take for a simple answer on a host that is busy."""


def promptly(limit_sec: float = PROMPT_SEC) -> Wait:
    """A Wait for an engine that may not run: its socket is systemd's, which accepts connections in its place.

    systemd starts the engine for them, but not while it waits for us: with Requires=docker.service, an engine that
    has crashed is started again only when the unit has stopped. limit_sec: for each thing that is waited for.
    """

    def wait(fd: int, events: int, deadline: float) -> None:
        wait_ready(fd, events, min(deadline, time.monotonic() + limit_sec))

    return wait


def no_longer_than(limit_sec: float, wait: Wait | None = None) -> Wait:
    """A Wait with which all that is waited for together takes no longer than limit_sec from now. wait: wait_ready."""
    limit = time.monotonic() + limit_sec

    def wait_until(fd: int, events: int, deadline: float) -> None:
        (wait or wait_ready)(fd, events, min(deadline, limit))

    return wait_until


def wait_ready(fd: int, events: int, deadline: float) -> None:
    """The plainest Wait: nothing but the fd and the deadline."""
    poll = select.poll()
    poll.register(fd, events)
    left_sec = deadline - time.monotonic()
    if left_sec <= 0 or not poll.poll(left_sec * 1000):
        raise TimeoutError(f"nothing came on fd {fd}")


def quote(text: str) -> str:
    """Percent-encode text for a path segment or a query value; RFC 3986, "unreserved"."""
    unreserved = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
    return "".join(chr(byte) if byte in unreserved else f"%{byte:02X}" for byte in os.fsencode(text))
