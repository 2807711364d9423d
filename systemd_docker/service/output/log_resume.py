"""Where output goes on when it is read again from the engine's log: behind what was passed on last. Pure.

An attachment ends when the engine does, or when the container is restarted, and what comes before there is a new one
is only in the log. The log is asked for from a moment before the last that was passed on; the end of what was passed
on is then found in it, and what follows is new. Known limit: lines that are all alike and come several times a second
may be repeated, for MARGIN_SEC of them; nothing is ever left out for it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    Piece = tuple[int, memoryview]
    Plain = tuple[float, bytes]
    """(when it began, the bytes); 0.0 where they are all that the stream has carried."""

TAIL_BYTES = 1024
"""How much of each stream is remembered."""

MARGIN_SEC = 1
"""The engine's clock for a line and ours for its bytes are the same clock, but not the same moment."""

MAX_SEARCHED_BYTES = 8 * 1024 * 1024
"""Then the log has been cut off or belongs to somebody else, and all that comes is passed on."""


class Tail:
    """The end of what one stream has carried."""

    def __init__(self, plain: Plain = (0.0, b"")) -> None:
        since, data = plain
        self._is_whole = not since
        self._chunks: list[Plain] = [(since, data)] if data else []

    def add(self, data: bytes, now: float) -> None:
        """data: the last of what came now, at least TAIL_BYTES of it if there was as much."""
        self._chunks.append((now, data))
        total = sum(len(chunk) for _, chunk in self._chunks)
        while total - len(self._chunks[0][1]) >= TAIL_BYTES:
            total -= len(self._chunks.pop(0)[1])
            self._is_whole = False
        if len(self._chunks[0][1]) > TAIL_BYTES:
            since, chunk = self._chunks[0]
            self._chunks[0] = (since, chunk[-TAIL_BYTES:])
            self._is_whole = False

    def plain(self) -> Plain:
        data = b"".join(chunk for _, chunk in self._chunks)
        if self._is_whole or not self._chunks:
            return 0.0, data
        return self._chunks[0][0], data


class Tails:
    """By stream, what of it came last; see Held.tails."""

    def __init__(self, plain: Mapping[int, Plain]) -> None:
        self._tails = {stream: Tail(tail) for stream, tail in plain.items()}

    def add(self, pieces: Sequence[Piece], now: float) -> None:
        """pieces: as they came, at the time now since the epoch."""
        missing = {stream: TAIL_BYTES for stream, _ in pieces}
        ends: dict[int, list[bytes]] = {stream: [] for stream in missing}
        unfinished = len(missing)
        for stream, piece in reversed(pieces):
            if missing[stream] > 0:
                ends[stream].append(bytes(piece[-missing[stream] :]))
                missing[stream] -= len(piece)
                unfinished -= missing[stream] <= 0
            if not unfinished:
                break
        for stream, found in ends.items():
            # One byte more than is kept says that there was more.
            more = b"\0" if missing[stream] < 0 else b""
            self._tails.setdefault(stream, Tail()).add(more + b"".join(reversed(found)), now)

    def plain(self) -> dict[int, Plain]:
        return {stream: tail.plain() for stream, tail in self._tails.items()}


def since_sec(tails: Mapping[int, Plain]) -> float:
    """From when on the log has to be read for Seam; 0.0 for its beginning."""
    begins = [since for since, data in tails.values() if data]
    return max(0.0, min(begins) - MARGIN_SEC) if begins else 0.0


class Seam:
    """Leaves out what was passed on before.

    finished: everything that comes is new from here on.
    """

    def __init__(self, tails: Mapping[int, Plain]) -> None:
        self._wanted = {stream: data for stream, (_, data) in tails.items() if data}
        self._seen = dict.fromkeys(self._wanted, b"")
        self._searched_bytes = 0

    @property
    def finished(self) -> bool:
        return not self._wanted

    def feed(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        for stream, piece in pieces:
            if stream in self._wanted:
                if rest := self._search(stream, bytes(piece)):
                    yield stream, memoryview(rest)
            else:
                yield stream, piece

    def _search(self, stream: int, data: bytes) -> bytes:
        wanted, seen = self._wanted[stream], self._seen[stream] + data
        self._searched_bytes += len(data)
        found = seen.find(wanted)
        if found >= 0:
            del self._wanted[stream]
            return seen[found + len(wanted) :]
        if self._searched_bytes > MAX_SEARCHED_BYTES:
            self._wanted.clear()
            return seen
        self._seen[stream] = seen[-(len(wanted) - 1) :] if len(wanted) > 1 else b""
        return b""
