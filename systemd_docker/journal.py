"""journald's stream socket: am I connected to it, and streams of our own."""

from __future__ import annotations

import os


def is_stream(fd: int, journal_stream: str) -> bool:
    """Whether fd is the connection to the journal that $JOURNAL_STREAM names; systemd.exec(5).

    journal_stream: "DEVICE:INODE" in decimal, or "".
    """
    try:
        status = os.fstat(fd)
    except OSError:
        # A closed descriptor is no journal.
        return False
    return journal_stream == f"{status.st_dev}:{status.st_ino}"


def open_stream(identifier: str, priority: int, *, level_prefix: bool) -> int:
    """A new stream to journald, non-blocking; the caller owns the fd.

    Lines written to it appear with SYSLOG_IDENTIFIER=identifier and PRIORITY=priority, or with the priority of their
    own "<N>" with level_prefix. journald attributes them to the unit of the process that opens the stream.
    See sd_journal_stream_fd(3). Raises OSError: ENOENT, no journald.
    """
    from systemd import _journal

    fd: int = _journal.stream_fd(identifier, priority, level_prefix)
    os.set_inheritable(fd, False)
    os.set_blocking(fd, False)
    return fd
