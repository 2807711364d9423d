"""Where output goes: descriptors that can be written to without blocking, opened once, when the container starts."""

from __future__ import annotations

import os
import stat

from systemd_docker.sd import journal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.unit import UnitContext


def open_sinks(
    unit: UnitContext, identifier: str, priorities: tuple[int, int], *, as_records: bool
) -> tuple[int, int]:
    """Where standard output and standard error go, the caller's both. Raises OSError: EBADF, a stream is closed.

    To the journal, where our own go: lines have the container's identifier and priorities there.
    """
    if as_records:
        return journal.open_records(), journal.open_records()
    are_journal = (unit.stdout_is_journal, unit.stderr_is_journal)
    fds = [
        journal.open_stream(identifier, priority, level_prefix=True) if is_journal else open_sink(fd)
        for fd, is_journal, priority in zip((1, 2), are_journal, priorities, strict=True)
    ]
    return fds[0], fds[1]


def open_sink(fd: int) -> int:
    """One of our own standard streams, written to without blocking and without changing it for others who share it.

    O_NONBLOCK belongs to the open file description, which a pipe's other writers and our parent have too: so a pipe
    or terminal is opened again, a socket is sent to with MSG_DONTWAIT, and a regular file never blocks for long.
    The new descriptor is the caller's. Raises OSError: EBADF, the stream is closed.
    """
    mode = os.fstat(fd).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        try:
            return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError:
            # It was opened by somebody whose rights we lack, or has no name: it may block.
            return os.dup(fd)
    return os.dup(fd)
