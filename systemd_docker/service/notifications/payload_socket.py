"""Make the socket that the container's notifications come to, and remove those that a killed systemd-docker left.

Every running service with such a socket has a directory of its own below a common one, and holds a lock on it for as
long as it lives: a directory that can be locked belongs to no service any more. The common one is locked while a
directory is made or removed in it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from systemd_docker import log
from systemd_docker.errors import Error
from systemd_docker.frozen import frozen
from systemd_docker.kernel.fd import Fd
from systemd_docker.plan.notify import SHARED, SOCKET
from systemd_docker.sd.notify import Listener

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import ExitStack

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

MAX_TRIES = 16
"""How often the common directory may vanish before it is locked: another service has removed it each time, empty."""


@frozen
class PayloadSocket:
    """listener: the socket, bound. lock_fd: its directory, locked; both are the caller's."""

    listener: Listener
    lock_fd: Fd


def make_payload_socket(directory: str, cleanup: ExitStack) -> PayloadSocket:
    """Make the socket below directory, which does not exist yet; cleanup gets what takes all of it away again.

    It is in a directory of its own, and that is what is mounted: a socket file that is made again stays reachable,
    as a mounted file would not. The directory around it is 0700 and keeps other users of the host out; inside, every
    user that the payload may run as can write to the socket.
    Raises Error: another user owns the common directory; OSError.
    """
    parent, name = os.path.split(directory)
    parent_fd = _lock_parent(parent)
    try:
        _remove_stale(parent, parent_fd)
        cleanup.callback(_rmdir, parent)
        os.mkdir(name, 0o700, dir_fd=parent_fd)
        cleanup.callback(_rmdir, directory)
        lock_fd = Fd(os.open(name, _DIRECTORY, dir_fd=parent_fd))
        cleanup.callback(os.close, lock_fd)
        fcntl.flock(lock_fd, fcntl.LOCK_EX)
    finally:
        os.close(parent_fd)
    os.mkdir(SHARED, dir_fd=lock_fd)
    cleanup.callback(os.rmdir, f"{directory}/{SHARED}")
    os.chmod(SHARED, 0o755, dir_fd=lock_fd)
    listener = _bind(lock_fd)
    cleanup.callback(listener.close)
    cleanup.callback(os.unlink, f"{directory}/{SHARED}/{SOCKET}")
    return PayloadSocket(listener, lock_fd)


def _bind(directory_fd: Fd) -> Listener:
    """Bind by the directory's fd: RuntimeDirectory= may be longer than the 107 bytes of a socket's path; unix(7).

    The container knows the socket by a short path of its own.
    """
    return Listener(f"/proc/self/fd/{directory_fd}/{SHARED}/{SOCKET}")


def remove_stale(parent: str) -> None:
    """Remove the directories of services whose systemd-docker was killed, and parent where it is empty then."""
    if not os.path.isdir(parent):
        return
    parent_fd = _lock_parent(parent)
    try:
        _remove_stale(parent, parent_fd)
    finally:
        os.close(parent_fd)
    _rmdir(parent)


def _lock_parent(parent: str) -> int:
    """Return parent, made and locked. A symbolic link, or another user's directory, is not followed."""
    for _ in range(MAX_TRIES):
        if (fd := _open_parent(parent)) is None:
            continue
        status = os.fstat(fd)
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o022:
            os.close(fd)
            raise _foreign(parent)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if os.path.exists(parent) and os.stat(parent, follow_symlinks=False).st_ino == status.st_ino:
            return fd
        os.close(fd)
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), parent)


def _open_parent(parent: str) -> int | None:
    """None where another service has removed it in this moment."""
    if not os.path.lexists(parent):
        os.makedirs(parent, 0o700, exist_ok=True)
    try:
        return os.open(parent, _DIRECTORY)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise _foreign(parent) from error
        raise


def _foreign(parent: str) -> Error:
    return Error(
        f"cannot make a notification socket in '{parent}': it is not a directory that only this user can write to",
        hint=f"Remove '{parent}', or set RuntimeDirectory= in the unit.",
    )


def _remove_stale(parent: str, parent_fd: int) -> None:
    for name in os.listdir(parent_fd):
        try:
            fd = os.open(name, _DIRECTORY, dir_fd=parent_fd)
        except OSError as error:
            log.debug(f"'{parent}/{name}' is no directory of a service: {error.strerror}")
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove_one(f"{parent}/{name}")
        except BlockingIOError:
            # Its service lives.
            continue
        finally:
            os.close(fd)


def _remove_one(directory: str) -> None:
    try:
        os.unlink(f"{directory}/{SHARED}/{SOCKET}")
    except OSError as error:
        log.debug(f"'{directory}' has no socket: {error.strerror}")
    _rmdir(f"{directory}/{SHARED}")
    _rmdir(directory)


def _rmdir(path: str) -> None:
    try:
        os.rmdir(path)
    except OSError as error:
        log.debug(f"'{path}' stays: {error.strerror}")
