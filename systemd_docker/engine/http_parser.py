"""An HTTP/1.1 answer's bytes, in pieces of any size, to its head and body. No I/O; knows nothing of Docker.

Supports what a Go server sends: Content-Length, chunked, or a body that ends with the connection; RFC 9112. No peer
can make it keep more than MAX_HEAD_BYTES and MAX_BODY_BYTES.
"""

from __future__ import annotations

import errno

from systemd_docker.frozen import frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_HEAD_BYTES = 64 * 1024
"""Of status line and headers, of one chunk's size line, and of the trailers; dockerd sends under 1 KiB."""

MAX_BODY_BYTES = 16 * 1024 * 1024
"""Of a body that has not been taken yet: a list of 10 000 containers fits. Readers of a stream take every piece."""

_MAX_DIGITS = {10: 18, 16: 15}
"""Of a length, by base: everything below 2**63."""


class ProtocolError(ConnectionError):
    """The peer does not speak HTTP/1.1, or uses a part of it that this parser does not support."""


@frozen
class Head:
    """Status line and headers; header names are in lower case."""

    status: int
    headers: Mapping[str, str]

    @property
    def is_upgrade(self) -> bool:
        return self.status == 101


class Parser:
    """One answer.

    head:      None until all of it was fed.
    complete:  the answer has ended; never true of an upgraded connection, whose bytes after the head are all body.
    """

    def __init__(self, *, expects_body: bool = True) -> None:
        self.head: Head | None = None
        self.complete = False
        self._expects_body = expects_body
        self._input = bytearray()
        self._body = bytearray()
        self._left: int | None = None
        self._chunked = False
        self._trailer_bytes = 0
        self._step: Callable[[], bool] = self._read_head

    def feed(self, data: bytes) -> None:
        """Raises ProtocolError, and does so again for everything that follows."""
        self._input += data
        try:
            while not self.complete and self._step():
                pass
        except ProtocolError:
            self._body.clear()
            self._input.clear()
            self._step = self._refuse
            raise
        if self.complete:
            # Nothing may follow: a connection carries one exchange.
            self._input.clear()

    def feed_end(self) -> None:
        """The peer closed the connection. Raises ConnectionResetError where the answer had not ended."""
        if self.complete:
            return
        if self._step != self._read_until_close:
            raise ConnectionResetError(errno.ECONNRESET, "the connection was closed in the middle of the answer")
        self.complete = True

    def take_body(self) -> bytes:
        """Return the part of the body that came since the last call."""
        taken = bytes(self._body)
        self._body.clear()
        return taken

    def _read_head(self) -> bool:
        end = self._input.find(b"\r\n\r\n")
        if max(end, len(self._input) if end < 0 else 0) > MAX_HEAD_BYTES:
            raise ProtocolError(f"the headers are longer than {MAX_HEAD_BYTES // 1024} KiB")
        if end < 0:
            return False
        head = _parse_head(bytes(self._input[:end]))
        del self._input[: end + 4]
        if head.status < 200 and not head.is_upgrade:
            # "100 Continue", "103 Early Hints": the answer itself is still to come.
            return True
        self._expect_body(head)
        self.head = head
        return True

    def _expect_body(self, head: Head) -> None:
        """Choose the step that reads what follows this head; RFC 9112, "Message Body Length"."""
        encoding, length = head.headers.get("transfer-encoding"), head.headers.get("content-length")
        if head.is_upgrade:
            self._step = self._read_until_close
        elif head.status in (204, 304) or not self._expects_body:
            self.complete = True
        elif encoding is not None:
            if encoding.lower() != "chunked":
                raise ProtocolError(f"unsupported transfer encoding '{encoding[:40]}'")
            self._chunked = True
            self._step = self._read_chunk_size
        elif length is not None:
            self._left = _number(length, base=10)
            if self._left > MAX_BODY_BYTES:
                raise _too_long()
            self._step = self._read_counted
            self.complete = self._left == 0
        else:
            self._step = self._read_until_close

    def _read_until_close(self) -> bool:
        self._keep(len(self._input))
        return False

    def _read_counted(self) -> bool:
        assert self._left is not None
        self._left -= self._keep(self._left)
        self.complete = self._left == 0
        return False

    def _read_chunk_size(self) -> bool:
        line = self._take_line()
        if line is None:
            return False
        self._left = _number(line.split(b";")[0].strip(b" \t").decode("latin-1"), base=16)
        self._step = self._read_chunk if self._left else self._read_trailer
        return True

    def _read_chunk(self) -> bool:
        assert self._left is not None
        if self._left:
            kept = self._keep(self._left)
            self._left -= kept
            return bool(kept)
        if len(self._input) < 2:
            return False
        if self._input[:2] != b"\r\n":
            raise ProtocolError("a chunk is longer than its size")
        del self._input[:2]
        self._step = self._read_chunk_size
        return True

    def _read_trailer(self) -> bool:
        line = self._take_line()
        if line is None:
            return False
        self._trailer_bytes += len(line)
        if self._trailer_bytes > MAX_HEAD_BYTES:
            raise ProtocolError(f"the trailers are longer than {MAX_HEAD_BYTES // 1024} KiB")
        self.complete = not line
        return True

    def _refuse(self) -> bool:
        raise ProtocolError("more bytes after a malformed answer")

    def _keep(self, count: int) -> int:
        """Move up to count bytes of input to the body; return how many there were."""
        piece = self._input[:count]
        del self._input[: len(piece)]
        if len(self._body) + len(piece) > MAX_BODY_BYTES:
            raise _too_long()
        self._body += piece
        return len(piece)

    def _take_line(self) -> bytes | None:
        end = self._input.find(b"\r\n")
        if max(end, len(self._input) if end < 0 else 0) > MAX_HEAD_BYTES:
            raise ProtocolError(f"a line is longer than {MAX_HEAD_BYTES // 1024} KiB")
        if end < 0:
            return None
        line = bytes(self._input[:end])
        del self._input[: end + 2]
        return line


def _too_long() -> ProtocolError:
    return ProtocolError(f"the body is longer than {MAX_BODY_BYTES // 1024**2} MiB")


def _number(text: str, *, base: int) -> int:
    digits = "0123456789abcdef"[:base]
    if not 0 < len(text) <= _MAX_DIGITS[base] or any(character not in digits for character in text.lower()):
        raise ProtocolError(f"'{text[:40]}' is not a length")
    return int(text, base)


def _parse_head(data: bytes) -> Head:
    status_line, *lines = data.decode("latin-1").split("\r\n")
    if any("\r" in line or "\n" in line for line in (status_line, *lines)):
        # Some parsers end a line there, others do not.
        raise ProtocolError("a line break that is not CR LF")
    version, _, rest = status_line.partition(" ")
    code = rest[:3]
    # 000 to 099 are no statuses; RFC 9110.
    is_status = code.isascii() and code.isdecimal() and len(code) == 3 and code >= "100"
    if version not in ("HTTP/1.0", "HTTP/1.1") or not is_status or rest[3:4] not in ("", " "):
        raise ProtocolError(f"not an HTTP answer: '{status_line[:40]}'")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise ProtocolError(f"not a header: '{line[:40]}'")
        name, value = name.lower(), value.strip(" \t")
        if name in ("content-length", "transfer-encoding") and headers.get(name, value) != value:
            raise ProtocolError(f"two different {name} headers")
        headers[name] = value
    return Head(int(code), headers)
