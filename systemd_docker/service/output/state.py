"""The output and input of a running container, as handed over when systemd-docker re-executes itself."""

from __future__ import annotations

from systemd_docker.engine.multiplex import BEGINNING
from systemd_docker.frozen import frozen
from systemd_docker.kernel.fd import NO_FD, Fd

TYPE_CHECKING = False
if TYPE_CHECKING:
    LineState = tuple[bytes, int, bytes, int]
    """(bytes of a line whose end has not come, its parts sent so far, their id, their priority)."""

NO_LINE = (b"", 0, b"", 0)
"""A sink's state before the first byte, or where it keeps nothing."""


@frozen
class SinkState:
    """Where output goes.

    stdout_fd, stderr_fd: NO_FD for both where output is not relayed.
    record_fields: the fields of every journal record ("KEY=value\\n" each); b"" where output goes as plain bytes.
    priorities:    of standard output and standard error, in such records.
    drops:         output that the reader does not take at once is dropped, instead of blocking the container.
    """

    stdout_fd: Fd = NO_FD
    stderr_fd: Fd = NO_FD
    record_fields: bytes = b""
    priorities: tuple[int, int] = (6, 3)
    drops: bool = False


@frozen
class Position:
    """How far the output has come.

    frame:      where in a frame the stream stands, see multiplex.Demultiplexer.state.
    early:      bytes that were received and not written yet.
    unfinished: by sink, the line whose end has not come.
    recent:     (stream, since, bytes) for each stream: the last output that was passed on, see log_resume.
    is_log:     the stream is the engine's log, which begins before the last output that was passed on.
    """

    frame: tuple[bytes, int, int] = BEGINNING
    early: bytes = b""
    unfinished: tuple[LineState, LineState] = (NO_LINE, NO_LINE)
    recent: tuple[tuple[int, float, bytes], ...] = ()
    is_log: bool = False


@frozen
class OutputState:
    """fd: the container's output, non-blocking, NO_FD for none; stdin_fd: a duplicate of it to write input to.

    framed: output comes in frames: the container has no terminal.
    """

    fd: Fd = NO_FD
    stdin_fd: Fd = NO_FD
    framed: bool = True
    sinks: SinkState = SinkState()
    position: Position = Position()
