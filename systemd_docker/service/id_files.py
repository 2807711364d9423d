"""--cidfile and --pid-file: small files that tell other programs which container, and which process, runs.

Their directory may belong to another user: /run/web of User=web, /tmp. So nothing here follows a link in it. A file
is made anew before it is written to, the PID file under a name that cannot be guessed and then renamed. A start
that fails removes what it has made and nothing else.
"""

from __future__ import annotations

import os
import stat

from systemd_docker.errors import Error
from systemd_docker.kernel.fd import NO_FD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

MAX_TEXT_BYTES = 128
"""How much of a file is read: a container's id is 64 hex digits long, a PID has at most 10."""

ID_LENGTH = 64

MAX_NAME_PART = 200
"""How much of the PID file's name its temporary one has: a name has at most 255 bytes; <linux/limits.h>, NAME_MAX."""

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class CidFile:
    """A container ID file of this start, empty and locked until the id is in it."""

    __slots__ = ("_fd", "_made", "_path")

    def __init__(self, path: str) -> None:
        """Make the file. Raises OSError: EEXIST, something of that name is there."""
        self._path = path
        self._fd = os.open(path, _NEW, 0o644)
        self._made = os.fstat(self._fd)
        try:
            os.lockf(self._fd, os.F_TLOCK, 0)
        except OSError:
            # A file system without locks: if this start is killed now, the next one finds a file that may be in use.
            return

    def write(self, container_id: str) -> None:
        """Write the id, without a newline. Raises Error."""
        try:
            _write(self._fd, container_id)
        except OSError as error:
            raise Error(f"cannot write the container ID file '{self._path}': {error.strerror}") from error
        self._close()

    def remove(self) -> None:
        """Remove the file, unless another of its name has taken its place."""
        self._close()
        try:
            found = os.lstat(self._path)
        except OSError:
            return
        if (found.st_dev, found.st_ino) == (self._made.st_dev, self._made.st_ino):
            _unlink(self._path)

    def _close(self) -> None:
        if self._fd != NO_FD:
            os.close(self._fd)
            self._fd = NO_FD


def reserve_cid_file(path: str, cleanup: ExitStack, is_obsolete: Callable[[str], bool]) -> CidFile:
    """Make the file before there is a container, so that two starts cannot use it at once.

    It stays when the container has ended, as with docker-run(1). One that is there is replaced where is_obsolete(its
    id), or where it is empty because a start was killed before it had an id.

    Raises Error.
    """
    if _is_left_over(path, is_obsolete):
        _unlink(path)
    try:
        file = CidFile(path)
    except FileExistsError:
        raise Error(
            f"the container ID file '{path}' exists, and its container may be in use",
            hint=f"Name another file, or have this one removed before every start: ExecStartPre=rm -f {path}",
        ) from None
    except OSError as error:
        raise Error(f"cannot create the container ID file '{path}': {error.strerror}") from error
    cleanup.callback(file.remove)
    return file


def write_pid_file(path: str, pid: int, cleanup: ExitStack) -> None:
    """Write the PID, without a newline, at once and whole. Raises Error."""
    cleanup.callback(remove_pid_file, path, pid)
    replace_pid_file(path, pid)


def replace_pid_file(path: str, pid: int) -> None:
    """Write the PID of a container that has another leader now. Raises Error."""
    directory, name = os.path.split(path)
    try:
        directory_fd = os.open(directory or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _write_and_rename(directory_fd, name, str(pid))
        finally:
            os.close(directory_fd)
    except OSError as error:
        raise Error(f"cannot write the PID file '{path}': {error.strerror}") from error


def remove_pid_file(path: str, pid: int) -> None:
    """Remove the file, unless it has another PID by now, or is no file."""
    fd = _open_regular(path)
    if fd == NO_FD:
        return
    try:
        is_own = _read(fd) == str(pid)
    finally:
        os.close(fd)
    if is_own:
        _unlink(path)


def _write_and_rename(directory_fd: int, name: str, text: str) -> None:
    temporary = f".{name[:MAX_NAME_PART]}.{os.urandom(8).hex()}"
    fd = os.open(temporary, _NEW, 0o644, dir_fd=directory_fd)
    try:
        _write(fd, text)
        os.rename(temporary, name, src_dir_fd=directory_fd, dst_dir_fd=directory_fd)
    except OSError:
        os.unlink(temporary, dir_fd=directory_fd)
        raise
    finally:
        os.close(fd)


def _write(fd: int, text: str) -> None:
    """Write all of text. Raises OSError: ENOSPC, EDQUOT, EFBIG, maybe after a part of it."""
    rest = text.encode()
    while rest:
        rest = rest[os.write(fd, rest) :]


def _is_left_over(path: str, is_obsolete: Callable[[str], bool]) -> bool:
    fd = _open_regular(path)
    if fd == NO_FD:
        return False
    try:
        text = _read(fd)
        return (len(text) == ID_LENGTH and is_obsolete(text)) if text else not _is_locked(fd)
    finally:
        os.close(fd)


def _is_locked(fd: int) -> bool:
    try:
        os.lockf(fd, os.F_TEST, 0)
    except OSError:
        # EACCES, EAGAIN: by the start that is about to write its id. ENOLCK: that cannot be told.
        return True
    return False


def _open_regular(path: str) -> int:
    """Return an fd to read a regular file; NO_FD for a link, a FIFO, a directory, or nothing."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return NO_FD
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    return NO_FD


def _read(fd: int) -> str:
    return os.read(fd, MAX_TEXT_BYTES).decode("ascii", "replace").strip()


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        # It is gone already, or its directory does not let this process remove it.
        return
