"""Pass the payload's output on as it comes: bytes in, the same bytes out, nothing rewritten, nothing kept.

journald splits lines by itself (and marks what it had to cut), so a stream to it gets the frames as they came. What a
reader does not take in time stays in the engine's socket, and there it slows the payload down as a full pipe would:
no more than one piece of RECEIVE_BYTES is ever held here.
"""

from __future__ import annotations

import os
import select
import socket
import stat

from systemd_docker import journal, log
from systemd_docker.engine import frames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from systemd_docker.engine.client import Attachment
    from systemd_docker.service.loop import Loop

RECEIVE_BYTES = 64 * 1024

MAX_VECTORS = 512
"""Pieces per writev(2): below the kernel's IOV_MAX, 1024."""

_NAMES = {frames.STDOUT: "standard output", frames.STDERR: "standard error"}

STDOUT_PRIORITY, STDERR_PRIORITY = 6, 3
"""LOG_INFO and LOG_ERR, as Docker's and Podman's journald drivers have it; syslog(3)."""


class Sink:
    """Where one stream goes. Owns its descriptor until close()."""

    def __init__(self, fd: int) -> None:
        """Takes ownership of fd, which is a socket or non-blocking or never blocks for long."""
        self.fd = fd
        self._socket = socket.socket(fileno=fd) if stat.S_ISSOCK(os.fstat(fd).st_mode) else None

    def write(self, buffers: list[memoryview]) -> int:
        """How many bytes went out. Raises OSError: EAGAIN, none can go now; EPIPE, nobody reads them any more."""
        if self._socket is not None:
            return self._socket.sendmsg(buffers, [], socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        return os.writev(self.fd, buffers)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        else:
            os.close(self.fd)


def open_journal_sink(identifier: str, priority: int) -> Sink:
    """A stream to journald with lines of its own identifier. Raises OSError: ENOENT, no journald."""
    return Sink(journal.open_stream(identifier, priority, level_prefix=True))


def open_sink(fd: int) -> Sink:
    """One of our own standard streams, written to without blocking and without changing it for others who share it.

    O_NONBLOCK belongs to the open file description, which a pipe's other writers and our parent have too: so a pipe
    or terminal is opened again, a socket is sent to with MSG_DONTWAIT, and a regular file never blocks for long.
    Raises OSError: EBADF, the stream is closed.
    """
    mode = os.fstat(fd).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        try:
            return Sink(os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY))
        except OSError:
            # Opened by somebody whose rights we lack, or nothing that has a name: then it may block.
            pass
    return Sink(os.dup(fd))


class Relay:
    """From one attachment to two sinks. Owns the attachment's stream and the sinks until close().

    finished: the engine has closed the stream and everything is written.
    """

    def __init__(self, loop: Loop, attachment: Attachment, *, framed: bool, sinks: Mapping[int, Sink]) -> None:
        """sinks: by frames.STDOUT, frames.STDERR."""
        self.finished = False
        self._loop = loop
        self._stream = attachment.stream
        self._sinks = sinks
        self._demultiplexer = frames.Demultiplexer(framed=framed)
        self._buffer = bytearray(RECEIVE_BYTES)
        self._pieces: list[tuple[int, memoryview]] = []
        self._waiting_for = -1
        self._broken: set[int] = set()
        self._accept(memoryview(attachment.early))

    def give_up(self) -> None:
        """Whatever is held or still to come is lost."""
        self._pieces.clear()
        self._finish()

    def close(self) -> None:
        self._finish()
        self._stream.close()
        for sink in self._sinks.values():
            sink.close()

    def _finish(self) -> None:
        self.finished = True
        self._loop.unwatch(self._stream.fileno())
        if self._waiting_for >= 0:
            self._loop.unwatch(self._waiting_for)

    def _on_readable(self) -> None:
        try:
            received_bytes = self._stream.recv_into(self._buffer)
        except BlockingIOError:
            return
        except OSError as error:
            log.warning(f"the engine broke off the container's output, ignoring: {error}")
            received_bytes = 0
        if received_bytes:
            self._accept(memoryview(self._buffer)[:received_bytes])
        else:
            self._finish()

    def _accept(self, data: memoryview) -> None:
        try:
            self._pieces = list(self._demultiplexer.feed(data))
        except frames.FrameError as error:
            log.warning(f"the container's output cannot be followed any further, ignoring: {error}")
            self._finish()
            return
        self._on_writable()

    def _on_writable(self) -> None:
        """Write what is held; then go on reading, or wait for the reader that is behind."""
        while self._pieces:
            stream, buffers = self._next_run()
            try:
                self._drop(self._write(stream, buffers))
            except BlockingIOError:
                self._waiting_for = self._sinks[stream].fd
                self._loop.unwatch(self._stream.fileno())
                self._loop.watch(self._waiting_for, select.POLLOUT, self._on_writable)
                return
        if self._waiting_for >= 0:
            self._loop.unwatch(self._waiting_for)
            self._waiting_for = -1
        self._loop.watch(self._stream.fileno(), select.POLLIN, self._on_readable)

    def _write(self, stream: int, buffers: list[memoryview]) -> int:
        """Raises BlockingIOError. What nobody reads any more is dropped: a payload must not stand still for it."""
        if stream not in self._broken:
            try:
                return self._sinks[stream].write(buffers)
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
