"""Pass the container's output on as it comes: bytes in, the same bytes out, nothing rewritten.

journald splits lines by itself (and marks the lines that it cuts), so a stream to it gets the frames as they came.
What a reader does not take stays in the engine's socket, and there it blocks the container as a full pipe would: no
more than one piece of RECEIVE_BYTES is ever held here.
"""

from __future__ import annotations

import os
import select
import time

from systemd_docker import log
from systemd_docker.engine import multiplex
from systemd_docker.kernel.fd import NO_FD
from systemd_docker.service.output.log_resume import RecentOutput, ResumePoint
from systemd_docker.service.output.sinks import STREAM_NAMES
from systemd_docker.service.output.state import Position

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from systemd_docker.kernel.loop import Loop
    from systemd_docker.service.output.sinks import Sink

RECEIVE_BYTES = 64 * 1024

MAX_VECTORS = 512
"""Pieces per writev(2): below the kernel's IOV_MAX, 1024."""


class Relay:
    """Copy the container's output to its sinks. Owns no descriptor; close() unwatches all of them.

    finished: the stream has ended, and everything was written or given up.
    """

    def __init__(self, loop: Loop, sinks: Mapping[int, Sink], *, on_finished: Callable[[], None]) -> None:
        """sinks: by multiplex.STDOUT, multiplex.STDERR; the relay closes them. on_finished: called once a stream."""
        self.finished = False
        self._loop = loop
        self._sinks = sinks
        self._on_finished = on_finished
        self._stream = int(NO_FD)
        self._demultiplexer = multiplex.Demultiplexer(framed=True)
        self._buffer = bytearray(RECEIVE_BYTES)
        self._pieces: list[tuple[int, memoryview]] = []
        self._waiting_for = int(NO_FD)
        self._broken: set[int] = set()
        self._has_ended = True
        self._when_flushed: list[Callable[[], None]] = []
        self._recent = RecentOutput(())
        self._resume_point: ResumePoint | None = None

    def follow(self, stream: int, position: Position, *, framed: bool) -> None:
        """Read stream, non-blocking, from now on; the relay is not behind, and reads no other any more.

        position: how far the output has come; framed: see OutputState.
        """
        assert not self._pieces
        self.stop_reading()
        self.finished = self._has_ended = False
        self._stream = stream
        self._demultiplexer = multiplex.Demultiplexer(framed=framed, state=position.frame)
        self._recent = RecentOutput(position.recent)
        self._resume_point = ResumePoint(position.recent) if position.is_log else None
        self._accept(memoryview(position.early))

    @property
    def position(self) -> Position:
        """How far the output has come; complete where the relay is not behind."""
        return Position(
            frame=self._demultiplexer.state,
            unfinished=(self._sinks[multiplex.STDOUT].state, self._sinks[multiplex.STDERR].state),
            recent=self._recent.plain(),
            is_log=self._resume_point is not None and not self._resume_point.found,
        )

    @property
    def is_behind(self) -> bool:
        """Return whether a sink has not taken all yet, or has not reported what it dropped."""
        return bool(self._pieces) or any(sink.is_behind for sink in self._sinks.values())

    def when_flushed(self, action: Callable[[], None]) -> None:
        """Call action as soon as no piece is held; at once if none is."""
        if self._pieces:
            self._when_flushed.append(action)
        else:
            action()

    def stop_reading(self) -> None:
        """Leave the stream: its descriptor may be closed. Pieces that are held are still written."""
        self._loop.unwatch(self._stream)
        self._stream = int(NO_FD)

    def give_up(self) -> None:
        """Drop what is held, and what is still to come."""
        self._pieces.clear()
        self._finish()

    def close(self) -> None:
        """Unwatch everything; nothing is called any more."""
        self._when_flushed.clear()
        self.finished = True
        self.stop_reading()
        self._stop_waiting()
        for sink in self._sinks.values():
            sink.close()

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
            log.warning(f"cannot read the container's output from the engine, the rest is lost: {error}")
            self._end()
            return
        if self._resume_point is not None and not self._resume_point.found:
            pieces = list(self._resume_point.feed(pieces))
        self._pieces = pieces
        self._recent.add(pieces, time.time())
        self._on_writable()

    def _end(self) -> None:
        self._has_ended = True
        self.stop_reading()
        self._on_writable()

    def _on_writable(self) -> None:
        """Write what is held; then read on, or wait for the reader that is behind."""
        while self._pieces:
            stream, buffers = self._next_run()
            try:
                self._drop(self._write(stream, buffers))
            except BlockingIOError:
                self._wait_for(stream)
                return
        if self._has_ended and not self._flush():
            return
        self._stop_waiting()
        for action in self._taken(self._when_flushed):
            action()
        if self._has_ended:
            self._finish()
        elif self._stream != NO_FD:
            self._loop.watch(self._stream, select.POLLIN, self._on_readable)

    @staticmethod
    def _taken(actions: list[Callable[[], None]]) -> list[Callable[[], None]]:
        taken = actions.copy()
        actions.clear()
        return taken

    def _finish(self) -> None:
        self.stop_reading()
        self._stop_waiting()
        for action in self._taken(self._when_flushed):
            action()
        if not self.finished:
            self.finished = True
            self._on_finished()

    def _wait_for(self, stream: int) -> None:
        """Watch the one reader that is behind, and neither the other nor the stream meanwhile."""
        self._stop_waiting()
        self._loop.unwatch(self._stream)
        self._waiting_for = self._sinks[stream].fd
        self._loop.watch(self._waiting_for, select.POLLOUT, self._on_writable)

    def _stop_waiting(self) -> None:
        self._loop.unwatch(self._waiting_for)
        self._waiting_for = int(NO_FD)

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
        """Raises BlockingIOError. Output without a reader is dropped: it must not block the container."""
        if stream not in self._broken:
            try:
                return self._sinks[stream].write(buffers)
            except BlockingIOError:
                raise
            except OSError as error:
                self._give_stream_up(stream, error)
        return sum(map(len, buffers))

    def _give_stream_up(self, stream: int, error: OSError) -> None:
        log.warning(f"cannot write the container's {STREAM_NAMES[stream]}, discarding it from now on: {error}")
        self._broken.add(stream)

    def _next_run(self) -> tuple[int, list[memoryview]]:
        """Return the held pieces that belong to one stream and stand together."""
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
