"""journald's sockets: the stream that systemd gave to this process, streams for a payload's output, and records."""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
else:
    # CPython's own C module: the Python layer over it makes enums of its constants, 2 ms and 1 MB.
    import _socket as socket

NATIVE_SOCKET = "/run/systemd/journal/socket"
"""Of the unit's own journal: with LogNamespace= systemd mounts another directory there."""

STREAM_SOCKET = "/run/systemd/journal/stdout"
"""The socket that sd_journal_stream_fd(3) connects to."""


def is_stream(fd: int, journal_stream: str) -> bool:
    """Return whether fd is the connection to the journal that $JOURNAL_STREAM names; systemd.exec(5).

    journal_stream: "DEVICE:INODE" in decimal, or "".
    """
    try:
        status = os.fstat(fd)
    except OSError:
        # A closed descriptor is no journal.
        return False
    return journal_stream == f"{status.st_dev}:{status.st_ino}"


def open_stream(identifier: str, priority: int, *, level_prefix: bool) -> int:
    """Return a new stream to journald, non-blocking; the caller owns the fd.

    Lines written to it appear with SYSLOG_IDENTIFIER=identifier and PRIORITY=priority, or with the priority of their
    own "<N>" with level_prefix. journald attributes them to the unit of the process that opens the stream.
    See sd_journal_stream_fd(3). Raises OSError: ENOENT, ECONNREFUSED, there is no journald.
    """
    from systemd import _journal  # libsystemd: only a start opens streams.

    try:
        fd: int = _journal.stream_fd(identifier, priority, level_prefix)
    except OSError as error:
        raise OSError(error.errno, error.strerror, STREAM_SOCKET) from None
    os.set_inheritable(fd, False)
    os.set_blocking(fd, False)
    return fd


def open_records(path: str = NATIVE_SOCKET) -> int:
    """Return a socket to journald for records, one datagram each, non-blocking; the caller owns the fd.

    journald's socket belongs to systemd, so it outlives journald.
    Raises OSError: ENOENT, ECONNREFUSED, there is no journald; ENAMETOOLONG, unix(7) has no room for path.
    """
    records = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        records.connect(path)
    except OSError as error:
        records.close()
        # Python itself refuses a path that is too long, and gives no errno.
        number = error.errno or errno.ENAMETOOLONG
        raise OSError(number, os.strerror(number), path) from None
    return records.detach()
