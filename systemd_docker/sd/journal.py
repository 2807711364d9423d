"""journald's sockets: am I connected to its stream, streams of our own, and the native one for records."""

from __future__ import annotations

import os

NATIVE_SOCKET = "/run/systemd/journal/socket"
"""Of the unit's own journal: with LogNamespace= systemd mounts another directory there."""


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


def open_records() -> int:
    """A socket to journald for records, one datagram each, non-blocking; the caller owns the fd.

    journald's socket belongs to the service manager, so it outlives journald. Raises OSError: ENOENT, no journald.
    """
    import socket

    records = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        records.connect(NATIVE_SOCKET)
    except OSError as error:
        records.close()
        raise OSError(error.errno, error.strerror, NATIVE_SOCKET) from None
    return records.detach()
