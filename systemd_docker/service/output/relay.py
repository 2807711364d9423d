"""Pass the payload's output on as it comes: bytes in, the same bytes out, nothing rewritten, nothing kept.

journald splits lines by itself (and marks what it had to cut), so a stream to it gets the frames as they came. What a
reader does not take in time stays in the engine's socket, and there it slows the payload down as a full pipe would:
no more than one piece of RECEIVE_BYTES is ever held here.
"""

from __future__ import annotations

import os
import select
import stat
import time

from systemd_docker import log
from systemd_docker.engine import multiplex
from systemd_docker.service.output.log_resume import Seam, Tails

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from systemd_docker.kernel.loop import Loop
    from systemd_docker.service.output.journal_records import RecordSink
    from systemd_docker.service.output.log_resume import Plain

    LineState = tuple[bytes, int, bytes, int]
    """(bytes of a line whose end has not come, its parts sent so far, their id, their priority)."""

RECEIVE_BYTES = 64 * 1024

MAX_VECTORS = 512
"""Pieces per writev(2): below the kernel's IOV_MAX, 1024."""

NO_LINE = (b"", 0, b"", 0)
"""A sink's state before the first byte, or where it keeps nothing."""

REPORT_AFTER_SEC = 10
"""What was dropped is told in one line for so long, or a slow journal would get a line of ours for each of theirs."""

_NAMES = {multiplex.STDOUT: "standard output", multiplex.STDERR: "standard error"}


class ByteSink:
    """Where one stream goes as it comes. Does not own its descriptor."""

    is_behind = False
    state = NO_LINE

    def __init__(self, fd: int) -> None:
        """fd: as sinks.open_sink() makes them."""
        self.fd = fd
        self._is_foreign_socket = os.get_blocking(fd) and stat.S_ISSOCK(os.fstat(fd).st_mode)

    def write(self, buffers: list[memoryview]) -> int:
        """How many bytes went out. Raises OSError: EAGAIN, none can go now; EPIPE, nobody reads them any more."""
        if self._is_foreign_socket:
            return _send_without_blocking(self.fd, buffers)
        return os.writev(self.fd, buffers)

    def flush(self) -> None:
        """Nothing is kept here."""


def _send_without_blocking(fd: int, buffers: list[memoryview]) -> int:
    # Imported for the unit that has a foreign socket for its output, and for nobody else.
    import socket

    stream = socket.socket(fileno=fd)
    try:
        return stream.sendmsg(buffers, [], socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
    finally:
        stream.detach()


class DroppingSink:
    """A sink that never makes the payload wait: what it does not take at once is lost, by whole lines, and counted.

    A line of which the beginning is out already is ended where it was cut.
    """

    def __init__(self, sink: ByteSink | RecordSink, loop: Loop, name: str) -> None:
        self.fd = sink.fd
        self._sink = sink
        self._loop = loop
        self._name = name
        self._is_cut = False
        self._is_skipping = False
        self._lost_bytes = self._lost_lines = 0

    @property
    def state(self) -> LineState:
        return self._sink.state

    @property
    def is_behind(self) -> bool:
        return bool(self._lost_bytes) or self._is_skipping

    def write(self, buffers: list[memoryview]) -> int:
        """All of them, always. Raises OSError where nobody reads any more."""
        data = memoryview(b"".join(buffers))
        begin = bytes(data).find(b"\n") + 1 if self._is_skipping else 0
        if self._is_skipping and not begin:
            self._lose(data)
            return len(data)
        self._lose(data[:begin])
        try:
            if self._is_skipping and self._is_cut:
                self._sink.write([memoryview(b"\n")])
                self._is_cut = False
            self._is_skipping = False
            while begin < len(data):
                begin += self._sink.write([data[begin:]])
                self._is_cut = data[begin - 1] != ord("\n")
        except BlockingIOError:
            self._lose(data[begin:])
            self._is_skipping = data[-1] != ord("\n") or self._is_cut
        return len(data)

    def flush(self) -> None:
        """Say what is lost, too."""
        self._report()
        try:
            self._sink.flush()
        except BlockingIOError:
            # A line without an end, and nobody to take it: it is as lost as the others.
            return

    def _lose(self, data: memoryview) -> None:
        if data and not self._lost_bytes:
            self._loop.after(REPORT_AFTER_SEC, self._report)
        self._lost_bytes += len(data)
        self._lost_lines += bytes(data).count(b"\n")

    def _report(self) -> None:
        if self._lost_bytes:
            log.warning(
                f"{self._lost_lines} lines ({self._lost_bytes} bytes) of the container's {self._name} were dropped"
                " because nobody took them in time, ignoring"
            )
        self._lost_bytes = self._lost_lines = 0


class Relay:
    """From the container's output to two sinks. Owns no descriptor; what it watches ends with close().

    finished: the engine has closed the stream and everything is written.
    """

    def __init__(
        self,
        loop: Loop,
        stream: int,
        demultiplexer: multiplex.Demultiplexer,
        sinks: Mapping[int, ByteSink | RecordSink],
        early: bytes,
        tails: Mapping[int, Plain] | None = None,
        *,
        drops: bool = False,
        is_log: bool = False,
    ) -> None:
        """stream: non-blocking; sinks: by frames.STDOUT, frames.STDERR; early: what came already.

        tails: what was passed on last; is_log: the stream begins before that.
        drops: what a reader does not take at once is dropped and counted, instead of slowing the payload down.
        """
        self.finished = False
        self._loop = loop
        self._stream = stream
        self._sinks: Mapping[int, ByteSink | RecordSink | DroppingSink] = sinks
        if drops:
            self._sinks = {number: DroppingSink(sink, loop, _NAMES[number]) for number, sink in sinks.items()}
        self._demultiplexer = demultiplexer
        self._buffer = bytearray(RECEIVE_BYTES)
        self._pieces: list[tuple[int, memoryview]] = []
        self._waiting_for = -1
        self._broken: set[int] = set()
        self._has_ended = False
        self._tails = Tails(tails or {})
        self._seam = Seam(tails or {}) if is_log else None
        self._accept(memoryview(early))

    @property
    def frame(self) -> tuple[bytes, int, int]:
        """Where in a frame the stream stands; see Demultiplexer.state."""
        return self._demultiplexer.state

    @property
    def unfinished(self) -> tuple[LineState, LineState]:
        """What the two sinks keep of a line whose end has not come."""
        return self._sinks[multiplex.STDOUT].state, self._sinks[multiplex.STDERR].state

    @property
    def tails(self) -> dict[int, Plain]:
        """What was passed on last, by stream."""
        return self._tails.plain()

    @property
    def is_searching(self) -> bool:
        """Whether what was passed on last has not come by in the log yet."""
        return self._seam is not None and not self._seam.finished

    @property
    def is_behind(self) -> bool:
        """Whether a sink has not taken all yet, or has not told what it dropped."""
        return bool(self._pieces) or any(sink.is_behind for sink in self._sinks.values())

    def give_up(self) -> None:
        """Whatever is held or still to come is lost."""
        self._pieces.clear()
        self.close()

    def close(self) -> None:
        self.finished = True
        self._loop.unwatch(self._stream)
        if self._waiting_for >= 0:
            self._loop.unwatch(self._waiting_for)

    def _on_readable(self) -> None:
        try:
            received_bytes = os.readv(self._stream, [self._buffer])
        except BlockingIOError:
            return
        except OSError as error:
            log.debug(f"the engine broke off the container's output: {error}")
            received_bytes = 0
        if received_bytes:
            self._accept(memoryview(self._buffer)[:received_bytes])
        else:
            self._end()

    def _accept(self, data: memoryview) -> None:
        try:
            pieces = list(self._demultiplexer.feed(data))
        except multiplex.FrameError as error:
            log.warning(f"the container's output cannot be followed any further, ignoring: {error}")
            self._end()
            return
        self._pieces = list(self._seam.feed(pieces)) if self._seam is not None and self.is_searching else pieces
        self._tails.add(self._pieces, time.time())
        self._on_writable()

    def _end(self) -> None:
        self._has_ended = True
        self._loop.unwatch(self._stream)
        self._on_writable()

    def _on_writable(self) -> None:
        """Write what is held; then go on reading, or wait for the reader that is behind."""
        while self._pieces:
            stream, buffers = self._next_run()
            try:
                self._drop(self._write(stream, buffers))
            except BlockingIOError:
                self._wait_for(stream)
                return
        if self._has_ended and not self._flush():
            return
        if self._waiting_for >= 0:
            self._loop.unwatch(self._waiting_for)
            self._waiting_for = -1
        if self._has_ended:
            self.close()
        else:
            self._loop.watch(self._stream, select.POLLIN, self._on_readable)

    def _wait_for(self, stream: int) -> None:
        self._waiting_for = self._sinks[stream].fd
        self._loop.unwatch(self._stream)
        self._loop.watch(self._waiting_for, select.POLLOUT, self._on_writable)

    def _flush(self) -> bool:
        for stream in self._sinks.keys() - self._broken:
            try:
                self._sinks[stream].flush()
            except BlockingIOError:
                self._wait_for(stream)
                return False
            except OSError as error:
                self._give_stream_up(stream, error)
        return True

    def _write(self, stream: int, buffers: list[memoryview]) -> int:
        """Raises BlockingIOError. What nobody reads any more is dropped: a payload must not stand still for it."""
        if stream not in self._broken:
            try:
                return self._sinks[stream].write(buffers)
            except BlockingIOError:
                raise
            except OSError as error:
                self._give_stream_up(stream, error)
        return sum(map(len, buffers))

    def _give_stream_up(self, stream: int, error: OSError) -> None:
        log.warning(f"nobody takes the container's {_NAMES[stream]} any more, ignoring: {error}")
        self._broken.add(stream)

    def _next_run(self) -> tuple[int, list[memoryview]]:
        """The held pieces that belong to one stream and stand together."""
        stream = self._pieces[0][0]
        buffers = []
        for other, piece in self._pieces[:MAX_VECTORS]:
            if other != stream:
                break
            buffers.append(piece)
        return stream, buffers

    def _drop(self, written_bytes: int) -> None:
        whole = 0
        for stream, piece in self._pieces:
            if written_bytes < len(piece):
                self._pieces[whole] = (stream, piece[written_bytes:])
                break
            written_bytes -= len(piece)
            whole += 1
        del self._pieces[:whole]
