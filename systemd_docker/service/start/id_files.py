"""--cidfile and --pid-file: small files that tell others what runs."""

from __future__ import annotations

import os

from systemd_docker.errors import Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.undo import Undo


def reserve_cid_file(path: str, undo: Undo) -> None:
    """Make the file, empty, before there is a container, so that two starts cannot use it at once.

    As with docker-run(1) it must not exist, and stays when the container has ended. Raises Error.
    """
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
    except FileExistsError:
        raise Error(
            f"container ID file found, make sure the other container isn't running or delete {path}",
            hint=f"ExecStartPre=rm -f {path} removes it before every start.",
        ) from None
    except OSError as error:
        raise Error(f"cannot create the container ID file '{path}': {error.strerror}") from error
    undo.callback(remove, path)


def write_cid_file(path: str, container_id: str) -> None:
    """The id, without a newline, into the file that was made for it. Raises OSError."""
    with open(path, "w") as file:
        file.write(container_id)


def write_pid_file(path: str, leader: int, undo: Undo) -> None:
    """The leader's PID, without a newline, at once and whole. Raises Error."""
    undo.callback(remove, path)
    replace_pid_file(path, leader)


def replace_pid_file(path: str, leader: int) -> None:
    """The same, for a container that has another leader now. Raises Error."""
    temporary = f"{path}.{os.getpid()}"
    try:
        with open(temporary, "w") as file:
            file.write(str(leader))
        os.rename(temporary, path)
    except OSError as error:
        remove(temporary)
        raise Error(f"cannot write the PID file '{path}': {error.strerror}") from error


def remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        # That it is not there, or no longer ours to remove, is as good.
        return
