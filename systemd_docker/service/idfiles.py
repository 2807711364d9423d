"""--cidfile and --pid-file: small files that tell others what runs."""

from __future__ import annotations

import contextlib
import os

from systemd_docker.errors import Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextlib.contextmanager
def cid_file(path: str) -> Iterator[Callable[[str], None]]:
    """Reserve path, so that two starts cannot use it at once; the yielded function writes the container's id.

    As with docker-run(1) the file must not exist, and stays when the container has ended. Where the container does
    not even start, the file goes. "" reserves nothing. Raises Error.
    """
    if not path:
        yield _nothing
        return
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError:
        raise Error(
            f"container ID file found, make sure the other container isn't running or delete {path}",
            hint="ExecStartPre=rm -f FILE removes it before every start.",
        ) from None
    except OSError as error:
        raise Error(f"cannot create the container ID file '{path}': {error.strerror}") from error
    written = False

    def write(text: str) -> None:
        nonlocal written
        os.write(fd, text.encode())
        written = True

    try:
        yield write
    finally:
        os.close(fd)
        if not written:
            os.unlink(path)


@contextlib.contextmanager
def pid_file(path: str) -> Iterator[Callable[[str], None]]:
    """The yielded function writes the leader's PID, without a newline, at once and whole; removed at the end."""
    if not path:
        yield _nothing
        return
    temporary = f"{path}.{os.getpid()}"

    def write(text: str) -> None:
        try:
            with open(temporary, "w") as file:
                file.write(text)
            os.rename(temporary, path)
        except OSError as error:
            raise Error(f"cannot write the PID file '{path}': {error.strerror}") from error

    try:
        yield write
    finally:
        for left in (temporary, path):
            # ENOENT: it was never written, or an administrator was faster; EACCES: it is somebody else's.
            with contextlib.suppress(OSError):
                os.unlink(left)


def _nothing(_text: str) -> None:
    """Nobody asked for the file."""
