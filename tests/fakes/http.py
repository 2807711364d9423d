"""An HTTP/1.1 server on an AF_UNIX socket, in threads of the test process: dockerd's transport and its faults.

It answers one request after the other on a connection, keeps connections open, sends bodies by length or in chunks,
hands connections over (101), and does on demand what makes clients fail: cuts an answer into segments, stops in the
middle of it, hangs up. It has never heard of containers.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import socket
import struct
import threading
import time
import urllib.parse
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

SIOCOUTQ = 0x5411
"""<linux/sockios.h>: bytes sent and not yet read; of an AF_UNIX socket 0 once the peer has taken everything."""

DRAIN_TIMEOUT_SEC = 5.0
"""How long a segment waits for the peer to read the one before it."""

GO_CHUNKS_FROM_BYTES = 2048
"""Go's net/http sends a body of this size or more in chunks unless the handler declared a length."""


class HungUpError(Exception):
    """This connection is over: the peer, a scripted fault or the end of the test closed it."""


class StatusError(Exception):
    """Becomes an answer with this status and message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came. path: without the query, percent-decoded; headers: names in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class Delivery:
    """How answers travel.

    segments:   cuts what is sent at once into pieces that arrive one by one; `by_size(1)` is every byte by itself.
    chunked:    bodies in chunks (True), by length (False), or as Go's server decides (None).
    keep_alive: False: every answer says `Connection: close` and does.
    """

    segments: Callable[[bytes], Iterable[bytes]] | None = None
    chunked: bool | None = None
    keep_alive: bool = True


def by_size(size_bytes: int) -> Callable[[bytes], Iterator[bytes]]:
    """Segments of one size."""
    return lambda data: (data[i : i + size_bytes] for i in range(0, len(data), size_bytes))


def cut_at(*positions: int) -> Callable[[bytes], Iterator[bytes]]:
    """Segments cut at these positions of each piece that is sent at once: (3, 7) -> [:3], [3:7], [7:]."""
    return lambda data: (
        data[a:b] for a, b in itertools.pairwise([0, *sorted(p for p in positions if 0 < p < len(data)), len(data)])
    )


@dataclass(slots=True, eq=False)
class Connection:
    """The server's end of one connection.

    allowance_bytes: what may still be sent before the connection is cut, or None.
    """

    sock: socket.socket
    delivery: Delivery
    allowance_bytes: int | None = None
    gone: bool = False
    _received: bytearray = field(default_factory=bytearray)

    def hang_up(self) -> None:
        """From any thread; what was sent before still arrives."""
        self.gone = True
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def send(self, data: bytes) -> None:
        """Send data, cut as the delivery says; HungUpError once the peer or the allowance is gone."""
        whole = data if self.allowance_bytes is None else data[: self.allowance_bytes]
        try:
            for segment in [whole] if self.delivery.segments is None else self.delivery.segments(whole):
                self.sock.sendall(segment, socket.MSG_NOSIGNAL)  # SIGPIPE may end this process: Signals.close()
                if self.delivery.segments is not None:
                    self._wait_until_read()
        except OSError as error:
            raise HungUpError from error
        if self.allowance_bytes is not None:
            self.allowance_bytes -= len(whole)
            if self.allowance_bytes == 0:
                self.hang_up()
                raise HungUpError

    def _wait_until_read(self) -> None:
        """Until the peer has read all: else the kernel joins two segments in one recv(2). Nothing signals this."""
        deadline = time.monotonic() + DRAIN_TIMEOUT_SEC
        while not self.gone and time.monotonic() < deadline:
            (unread,) = struct.unpack("i", fcntl.ioctl(self.sock, SIOCOUTQ, b"\0\0\0\0"))
            if not unread:
                return
            time.sleep(0.0001)

    def recv(self, size_bytes: int = 65536) -> bytes:
        """What the peer sent; b"" at its end."""
        if self._received:
            data = bytes(self._received[:size_bytes])
            del self._received[:size_bytes]
            return data
        try:
            return self.sock.recv(size_bytes)
        except OSError as error:
            raise HungUpError from error

    def read_request(self) -> Request:
        """The next request; HungUpError where the peer sends no more."""
        request_line, *lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        method, target, _protocol = request_line.split(" ")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        path, _, query = target.partition("?")
        return Request(
            method,
            urllib.parse.unquote(path),
            dict(urllib.parse.parse_qsl(query, keep_blank_values=True)),
            headers,
            self._read_body(headers),
        )

    def _read_body(self, headers: Mapping[str, str]) -> bytes:
        if "chunked" not in headers.get("transfer-encoding", ""):
            return self._exactly(int(headers.get("content-length", "0")))
        body = b""
        while size := int(self._until(b"\r\n").partition(b";")[0], 16):
            body += self._exactly(size)
            self._exactly(2)
        self._until(b"\r\n")
        return body

    def _until(self, end: bytes) -> bytes:
        while end not in self._received:
            self._fill()
        head, _, rest = bytes(self._received).partition(end)
        self._received[:] = rest
        return head

    def _exactly(self, size_bytes: int) -> bytes:
        while len(self._received) < size_bytes:
            self._fill()
        data = bytes(self._received[:size_bytes])
        del self._received[:size_bytes]
        return data

    def _fill(self) -> None:
        try:
            data = self.sock.recv(65536)
        except OSError as error:
            raise HungUpError from error
        if not data:
            raise HungUpError
        self._received += data

    def answer(self, status: int, headers: Mapping[str, str], body: bytes = b"", *, head: bool = False) -> None:
        """One whole answer, sent at once; head: the request was HEAD, so no body follows."""
        chunked = self.delivery.chunked
        if chunked is None:
            chunked = len(body) >= GO_CHUNKS_FROM_BYTES
        if status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
            self.send(self._head(status, headers))
        elif chunked and not head:
            self.send(self._head(status, {**headers, "Transfer-Encoding": "chunked"}) + chunk(body) + LAST_CHUNK)
        else:
            length = {"Content-Length": str(len(body))}
            self.send(self._head(status, {**headers, **length}) + (b"" if head else body))
        if not self.delivery.keep_alive:
            raise HungUpError

    def begin_chunks(self, status: int, headers: Mapping[str, str]) -> None:
        """The headers of an answer whose body comes later, chunk by chunk."""
        self.send(self._head(status, {**headers, "Transfer-Encoding": "chunked"}))

    def send_chunk(self, data: bytes) -> None:
        self.send(chunk(data))

    def end_chunks(self) -> None:
        self.send(LAST_CHUNK)
        if not self.delivery.keep_alive:
            raise HungUpError

    def _head(self, status: int, headers: Mapping[str, str]) -> bytes:
        extra = {} if self.delivery.keep_alive else {"Connection": "close"}
        return encode_head(f"{status} {HTTPStatus(status).phrase}", {**headers, **extra})


LAST_CHUNK = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data) if data else b""


def compact(value: object) -> bytes:
    """JSON without blanks, as Go's encoder writes it."""
    return json.dumps(value, separators=(",", ":")).encode()


def encode_head(status: str, headers: Mapping[str, str]) -> bytes:
    """ "200 OK" and headers -> the bytes up to and with the empty line."""
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1")


class Server:
    """Listens at path, one thread per connection; close() ends every thread and connection it began.

    serve: called in a connection's thread for each request; returns to go on with that connection, raises HungUpError
           to end it.
    wake:  called after connections were cut, for a `serve` that waits for something else than its connection.
    """

    def __init__(
        self,
        path: str,
        serve: Callable[[Request, Connection], None],
        delivery: Delivery,
        wake: Callable[[], None],
    ) -> None:
        self._serve = serve
        self._wake = wake
        self._delivery = delivery
        self._path = path
        self._lock = threading.Lock()
        self._connections: set[Connection] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(path)
        self._listener.listen(64)
        self._start(self._accept)

    def hang_up(self) -> None:
        """Cut every connection; the listening socket stays."""
        with self._lock:
            for connection in self._connections:
                connection.hang_up()
        self._wake()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        self.hang_up()
        for thread in self._threads:
            thread.join()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)

    def start_thread(self, run: Callable[[], None]) -> threading.Thread:
        """A further thread, which ends when its connection does; close() joins it."""
        with self._lock:
            return self._start(run)

    def _start(self, run: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=run, name=f"fake engine {self._path}")
        self._threads.append(thread)
        thread.start()
        return thread

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            connection = Connection(sock, self._delivery)
            with self._lock:
                self._connections.add(connection)
                self._start(lambda connection=connection: self._converse(connection))  # type: ignore[misc]

    def _converse(self, connection: Connection) -> None:
        try:
            while True:
                self._serve(connection.read_request(), connection)
        except HungUpError:
            pass
        finally:
            with self._lock:
                self._connections.discard(connection)
                connection.hang_up()
                connection.sock.close()
