"""The engine's multiplexed output stream, split into standard output and standard error.

Each frame is a header, (stream, 0, 0, 0, length as 32 bits big-endian), and its payload; "Stream format" of
`POST /containers/ID/attach`. A container with a terminal has no frames: its bytes are all standard output.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

STDOUT, STDERR = 1, 2

HEADER_BYTES = 8

BEGINNING = (b"", STDOUT, 0)
"""A demultiplexer's state before the first byte."""


class FrameError(ValueError):
    """The bytes are no frames: nothing that follows can be read either."""


class Demultiplexer:
    """Split received bytes into (stream, bytes). A frame is passed on in pieces, nothing of it is kept.

    Streams are STDOUT, STDERR; 0, "standard input" in the API's text, counts as output, as the docker CLI has it.
    """

    def __init__(self, *, framed: bool, state: tuple[bytes, int, int] = BEGINNING) -> None:
        """state: of another demultiplexer of the same stream, to continue it."""
        self._framed = framed
        header, self._stream, self._left = state
        self._header = bytearray(header)

    @property
    def state(self) -> tuple[bytes, int, int]:
        """(beginning of a header, stream of the current frame, bytes left of it)."""
        return bytes(self._header), self._stream, self._left

    def feed(self, data: memoryview) -> Iterator[tuple[int, memoryview]]:
        """Raises FrameError. The pieces are views of data."""
        if not self._framed:
            if data:
                yield STDOUT, data
            return
        while data:
            if self._left:
                piece, data = data[: self._left], data[self._left :]
                self._left -= len(piece)
                yield self._stream, piece
            else:
                missing = HEADER_BYTES - len(self._header)
                self._header += data[:missing]
                data = data[missing:]
                if len(self._header) == HEADER_BYTES:
                    self._start_frame()

    def _start_frame(self) -> None:
        stream, zeros = self._header[0], self._header[1:4]
        if stream > STDERR or any(zeros):
            raise FrameError(f"not a frame header: {self._header.hex(' ')}")
        self._stream = stream or STDOUT
        self._left = int.from_bytes(self._header[4:], "big")
        self._header.clear()
