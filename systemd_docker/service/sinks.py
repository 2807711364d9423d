"""Where output goes: descriptors that can be written to without blocking, opened once, when the container starts."""

from __future__ import annotations

import contextlib
import os
import stat

from systemd_docker import journal

STDOUT_PRIORITY, STDERR_PRIORITY = 6, 3
"""LOG_INFO and LOG_ERR, as Docker's and Podman's journald drivers have it; syslog(3)."""


def open_journal_sink(identifier: str, priority: int) -> int:
    """A stream to journald whose lines have an identifier of their own; the caller's. Raises OSError: no journald."""
    return journal.open_stream(identifier, priority, level_prefix=True)


def open_sink(fd: int) -> int:
    """One of our own standard streams, written to without blocking and without changing it for others who share it.

    O_NONBLOCK belongs to the open file description, which a pipe's other writers and our parent have too: so a pipe
    or terminal is opened again, a socket is sent to with MSG_DONTWAIT, and a regular file never blocks for long.
    The new descriptor is the caller's. Raises OSError: EBADF, the stream is closed.
    """
    mode = os.fstat(fd).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        # Fails where it was opened by somebody whose rights we lack, and for what has no name: then it may block.
        with contextlib.suppress(OSError):
            return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    return os.dup(fd)
