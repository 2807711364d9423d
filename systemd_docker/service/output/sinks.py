"""The readers of the container's output: written to without blocking, and what they drop."""

from __future__ import annotations

import os
import stat

from systemd_docker import log
from systemd_docker.engine import multiplex
from systemd_docker.service.output.journal_records import RecordSink
from systemd_docker.service.output.state import NO_LINE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from systemd_docker.kernel.loop import Loop, Timer
    from systemd_docker.service.output.state import LineState, OutputState

    class Sink(Protocol):
        """The reader of one stream. Does not own its descriptor."""

        fd: int

        @property
        def is_behind(self) -> bool:
            """Return whether something is held, or was dropped and not reported yet."""

        @property
        def state(self) -> LineState:
            """The line whose end has not come; another sink continues it."""

        def write(self, buffers: list[memoryview]) -> int:
            """Return how many bytes were taken. Raises OSError: EAGAIN, none can be now; EPIPE, there is no
            reader."""

        def flush(self) -> None:
            """Write what is held of a line: no more will come. Raises OSError as write()."""

        def close(self) -> None:
            """Cancel timers. The descriptor stays open."""


STREAM_NAMES = {multiplex.STDOUT: "standard output", multiplex.STDERR: "standard error"}

REPORT_AFTER_SEC = 10
"""How long dropped output is collected for one line in the log: one line for each would slow a slow journal more."""


class ByteSink:
    """A reader that gets one stream as it comes."""

    is_behind = False
    state = NO_LINE

    def __init__(self, fd: int) -> None:
        """fd: as open_sink() makes it."""
        self.fd = fd
        self._is_shared_socket = os.get_blocking(fd) and stat.S_ISSOCK(os.fstat(fd).st_mode)

    def write(self, buffers: list[memoryview]) -> int:
        if self._is_shared_socket:
            return _send_without_blocking(self.fd, buffers)
        return os.writev(self.fd, buffers)

    def flush(self) -> None:
        """Nothing is held here."""

    def close(self) -> None:
        """No timer is set here."""


def _send_without_blocking(fd: int, buffers: list[memoryview]) -> int:
    # Memory: only a unit with StandardOutput=socket needs the module.
    import socket

    stream = socket.socket(fileno=fd)
    try:
        return stream.sendmsg(buffers, [], socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
    finally:
        stream.detach()


class DroppingSink:
    """A sink that never blocks the container: what its reader does not take at once is dropped, by whole lines.

    A line whose beginning was written already is ended where it was cut.
    """

    def __init__(self, sink: Sink, loop: Loop, name: str) -> None:
        """name: of the stream, for the log: "standard output"."""
        self.fd = sink.fd
        self._sink = sink
        self._loop = loop
        self._name = name
        self._is_cut = False
        self._is_skipping = False
        self._lost_bytes = self._lost_lines = 0
        self._timer: Timer | None = None

    @property
    def state(self) -> LineState:
        return self._sink.state

    @property
    def is_behind(self) -> bool:
        return bool(self._lost_bytes) or self._is_skipping

    def write(self, buffers: list[memoryview]) -> int:
        """Take all of it, always. Raises OSError where there is no reader."""
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
        """Report what was dropped, too."""
        self._report()
        try:
            self._sink.flush()
        except BlockingIOError:
            # A line without an end that the reader does not take: dropped like the others.
            return

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._sink.close()

    def _lose(self, data: memoryview) -> None:
        if data and not self._lost_bytes:
            self._timer = self._loop.after(REPORT_AFTER_SEC, self._report)
        self._lost_bytes += len(data)
        self._lost_lines += bytes(data).count(b"\n")

    def _report(self) -> None:
        if self._lost_bytes:
            log.warning(
                f"dropped {self._lost_lines} lines ({self._lost_bytes} bytes) of the container's {self._name}:"
                " its reader is too slow"
            )
        self._lost_bytes = self._lost_lines = 0


def make_sinks(loop: Loop, output: OutputState) -> dict[int, Sink]:
    """Return the readers of a container's output, by multiplex.STDOUT and multiplex.STDERR."""
    state = output.sinks
    fds = {multiplex.STDOUT: state.stdout_fd, multiplex.STDERR: state.stderr_fd}
    sinks: dict[int, Sink] = {}
    for (stream, fd), priority, line in zip(fds.items(), state.priorities, output.position.unfinished, strict=True):
        sink: Sink = RecordSink(fd, state.record_fields, priority, line) if state.record_fields else ByteSink(fd)
        sinks[stream] = DroppingSink(sink, loop, STREAM_NAMES[stream]) if state.drops else sink
    return sinks
