"""Resume the output from the engine's log, right behind what was passed on last. Pure.

An attachment ends when the engine does, or when the container restarts; output from before the next attachment is
only in the log. The log is read from a moment before the last output; the end of that output is searched in it, and
what follows is new. Known limit: lines that are all alike and come several times a second may be repeated, for
MARGIN_SEC of them; nothing is left out.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    Piece = tuple[int, memoryview]
    Chunk = tuple[float, bytes]
    """(when it came, in seconds since the epoch; the bytes)."""

    Plain = tuple[tuple[int, float, bytes], ...]
    """(stream, since, bytes) for each stream, see Position.recent; since is 0.0 where they are all it has carried."""

RECENT_BYTES = 1024
"""How much of each stream is remembered."""

MARGIN_SEC = 1
"""The engine stamps a line a moment before or after systemd-docker receives it."""

MAX_SEARCHED_BYTES = 8 * 1024 * 1024
"""Then the log was rotated or belongs to another container, and everything is passed on."""


class Tail:
    """The end of what one stream has carried."""

    def __init__(self, since: float = 0.0, data: bytes = b"") -> None:
        self._is_whole = not since
        self._chunks: list[Chunk] = [(since, data)] if data else []

    def add(self, data: bytes, now: float) -> None:
        """data: the last of what came now, at least RECENT_BYTES of it if there was as much."""
        self._chunks.append((now, data))
        total = sum(len(chunk) for _, chunk in self._chunks)
        while total - len(self._chunks[0][1]) >= RECENT_BYTES:
            total -= len(self._chunks.pop(0)[1])
            self._is_whole = False
        if len(self._chunks[0][1]) > RECENT_BYTES:
            since, chunk = self._chunks[0]
            self._chunks[0] = (since, chunk[-RECENT_BYTES:])
            self._is_whole = False

    def plain(self) -> Chunk:
        data = b"".join(chunk for _, chunk in self._chunks)
        if self._is_whole or not self._chunks:
            return 0.0, data
        return self._chunks[0][0], data


class RecentOutput:
    """The last output of each stream; see Position.recent."""

    def __init__(self, plain: Plain) -> None:
        self._tails = {stream: Tail(since, data) for stream, since, data in plain}

    def add(self, pieces: Sequence[Piece], now: float) -> None:
        """pieces: as they came, at the time now, in seconds since the epoch."""
        missing = {stream: RECENT_BYTES for stream, _ in pieces}
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
            # One byte more than is kept tells Tail that there was more.
            more = b"\0" if missing[stream] < 0 else b""
            self._tails.setdefault(stream, Tail()).add(more + b"".join(reversed(found)), now)

    def plain(self) -> Plain:
        return tuple((stream, *tail.plain()) for stream, tail in self._tails.items())


def since_sec(recent: Plain) -> float:
    """Return from when on the log has to be read for ResumePoint; 0.0 for its beginning."""
    begins = [since for _, since, data in recent if data]
    return max(0.0, min(begins) - MARGIN_SEC) if begins else 0.0


class ResumePoint:
    """Drop output from the log until all that was passed on before has come by.

    found: everything that comes from here on is new.
    """

    def __init__(self, recent: Plain) -> None:
        self._wanted = {stream: data for stream, _, data in recent if data}
        self._seen = dict.fromkeys(self._wanted, b"")
        self._searched_bytes = 0

    @property
    def found(self) -> bool:
        return not self._wanted

    def feed(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        for stream, piece in pieces:
            if stream in self._wanted:
                if new := self._search(stream, bytes(piece)):
                    yield stream, memoryview(new)
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
