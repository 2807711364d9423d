"""Open the descriptors that output goes to, when the container starts; see service.output.sinks."""

from __future__ import annotations

import os
import stat

from systemd_docker.kernel.fd import Fd
from systemd_docker.sd import journal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.unit import UnitContext


def open_sinks(unit: UnitContext, identifier: str, priorities: tuple[int, int], *, as_records: bool) -> tuple[Fd, Fd]:
    """Return descriptors for standard output and standard error, both the caller's.

    To the journal, where systemd-docker's own streams go there: with the container's identifier and priorities.
    Raises OSError: ENOENT, ECONNREFUSED, journald is away; EBADF, a stream is closed.
    """
    if as_records:
        return Fd(journal.open_records()), Fd(journal.open_records())
    are_journal = (unit.stdout_is_journal, unit.stderr_is_journal)
    stdout, stderr = (
        journal.open_stream(identifier, priority, level_prefix=True) if is_journal else open_sink(fd)
        for fd, is_journal, priority in zip((1, 2), are_journal, priorities, strict=True)
    )
    return Fd(stdout), Fd(stderr)


def open_sink(fd: int) -> int:
    """Return one of systemd-docker's standard streams, to be written without blocking, unchanged for other holders.

    O_NONBLOCK belongs to the open file description, which a pipe's other writers and the parent process have too: so
    a pipe or terminal is opened again, a socket is sent to with MSG_DONTWAIT, and a regular file never blocks for
    long. The new descriptor is the caller's. Raises OSError: EBADF, the stream is closed.
    """
    mode = os.fstat(fd).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        try:
            return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError:
            # Opened with rights that this process lacks, or without a name: it may block.
            return os.dup(fd)
    return os.dup(fd)
