"""Pass the payload's output on as it comes: bytes in, the same bytes out, nothing rewritten, nothing kept.

journald splits lines by itself (and marks what it had to cut), so a stream to it gets the frames as they came. What a
reader does not take in time stays in the engine's socket, and there it slows the payload down as a full pipe would:
no more than one piece of RECEIVE_BYTES is ever held here.
"""

from __future__ import annotations

import os
import select
import stat

from systemd_docker import log
from systemd_docker.engine import frames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from systemd_docker.service.loop import Loop

RECEIVE_BYTES = 64 * 1024

MAX_VECTORS = 512
"""Pieces per writev(2): below the kernel's IOV_MAX, 1024."""

_NAMES = {frames.STDOUT: "standard output", frames.STDERR: "standard error"}


def write_sink(fd: int, buffers: list[memoryview]) -> int:
    """How many bytes went out. Raises OSError: EAGAIN, none can go now; EPIPE, nobody reads them any more."""
    if os.get_blocking(fd) and stat.S_ISSOCK(os.fstat(fd).st_mode):
        return _send_without_blocking(fd, buffers)
    return os.writev(fd, buffers)


def _send_without_blocking(fd: int, buffers: list[memoryview]) -> int:
    # Imported for the unit that has a foreign socket for its output, and for nobody else.
    import socket

    stream = socket.socket(fileno=fd)
    try:
        return stream.sendmsg(buffers, [], socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
    finally:
        stream.detach()


class Relay:
    """From the container's output to two sinks. Owns no descriptor; what it watches ends with close().

    finished: the engine has closed the stream and everything is written.
    """

    def __init__(
        self, loop: Loop, stream: int, demultiplexer: frames.Demultiplexer, sinks: Mapping[int, int], early: bytes
    ) -> None:
        """stream: non-blocking; sinks: descriptors by frames.STDOUT, frames.STDERR; early: what came already."""
        self.finished = False
        self._loop = loop
        self._stream = stream
        self._sinks = sinks
        self._demultiplexer = demultiplexer
        self._buffer = bytearray(RECEIVE_BYTES)
        self._pieces: list[tuple[int, memoryview]] = []
        self._waiting_for = -1
        self._broken: set[int] = set()
        self._accept(memoryview(early))

    @property
    def frame(self) -> tuple[bytes, int, int]:
        """Where in a frame the stream stands; see Demultiplexer.state."""
        return self._demultiplexer.state

    @property
    def is_behind(self) -> bool:
        """Whether a sink has not taken all yet."""
        return bool(self._pieces)

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
            log.warning(f"the engine broke off the container's output, ignoring: {error}")
            received_bytes = 0
        if received_bytes:
            self._accept(memoryview(self._buffer)[:received_bytes])
        else:
            self.close()

    def _accept(self, data: memoryview) -> None:
        try:
            self._pieces = list(self._demultiplexer.feed(data))
        except frames.FrameError as error:
            log.warning(f"the container's output cannot be followed any further, ignoring: {error}")
            self.close()
            return
        self._on_writable()

    def _on_writable(self) -> None:
        """Write what is held; then go on reading, or wait for the reader that is behind."""
        while self._pieces:
            stream, buffers = self._next_run()
            try:
                self._drop(self._write(stream, buffers))
            except BlockingIOError:
                self._waiting_for = self._sinks[stream]
                self._loop.unwatch(self._stream)
                self._loop.watch(self._waiting_for, select.POLLOUT, self._on_writable)
                return
        if self._waiting_for >= 0:
            self._loop.unwatch(self._waiting_for)
            self._waiting_for = -1
        self._loop.watch(self._stream, select.POLLIN, self._on_readable)

    def _write(self, stream: int, buffers: list[memoryview]) -> int:
        """Raises BlockingIOError. What nobody reads any more is dropped: a payload must not stand still for it."""
        if stream not in self._broken:
            try:
                return write_sink(self._sinks[stream], buffers)
            except BlockingIOError:
                raise
            except OSError as error:
                log.warning(f"nobody takes the container's {_NAMES[stream]} any more, ignoring: {error}")
                self._broken.add(stream)
        return sum(map(len, buffers))

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
        while written_bytes:
            stream, piece = self._pieces[0]
            if written_bytes < len(piece):
                self._pieces[0] = (stream, piece[written_bytes:])
                return
            written_bytes -= len(piece)
            del self._pieces[0]
