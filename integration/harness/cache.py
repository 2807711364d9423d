"""Trees that are built once and used by many machines: each entry is named by the hash of its recipe.

An entry is complete or absent: it is built under another name, by one process at a time, and renamed. Entries that
were not used for UNUSED_SEC are removed when a newer one of their kind is built, with their locks and with what a
killed build left. So a process that gets a lock checks that its file is still the one at that path. What an entry
contains is decided by its builder, e.g. root.py.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DIRECTORY = Path(os.environ.get("SYSTEMD_DOCKER_TESTS", "/var/cache/systemd-docker-tests"))

UNUSED_SEC = 3600
"""Counted from the last use of an entry."""


def digest(*recipe: object) -> str:
    """Return the hash of a recipe. Its parts need a stable repr()."""
    return hashlib.sha256(repr(recipe).encode()).hexdigest()[:12]


def entry(kind: str, recipe: str, build: Callable[[Path], None], directory: Path = DIRECTORY) -> Path:
    """Return the file or directory <kind>-<recipe>; build(path) makes it where it is missing."""
    path = directory / f"{kind}-{recipe}"
    with locked(_lock(path), shared=True):
        if path.exists():
            os.utime(path)
            return path
    with locked(_lock(path)):
        if not path.exists():
            _remove(_unfinished(path))
            build(_unfinished(path))
            _unfinished(path).rename(path)
            _remove_unused(kind, keep=path)
    return path


def _lock(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


def _unfinished(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


@contextlib.contextmanager
def in_use(path: Path) -> Iterator[None]:
    """Keep this entry from being removed for the duration of the context."""
    with locked(_lock(path), shared=True):
        yield


@contextlib.contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[BinaryIO]:
    """Hold a flock(2) on path, which is made where it is missing; the kernel releases it when this process ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("ab+") as file:
            fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            # The holder may have removed the file during the wait, and another process may hold a new one.
            if _is_at(file, path):
                yield file
                return


def try_lock(file: BinaryIO) -> bool:
    """Take the lock and return True; return False if another process holds it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _remove_unused(kind: str, *, keep: Path) -> None:
    for lock in keep.parent.glob(f"{kind}-*.lock"):
        path = lock.with_suffix("")
        if path != keep and not (path.exists() and time.time() - path.stat().st_mtime < UNUSED_SEC):
            _remove_with_lock(path, lock)


def _remove_with_lock(path: Path, lock: Path) -> None:
    """Remove an entry unless its lock is held. The lock file goes last: a process that waits for it retries."""
    try:
        file = lock.open("rb+")
    except FileNotFoundError:
        return
    with file:
        if try_lock(file) and _is_at(file, lock):
            _remove(_unfinished(path))
            _remove(path)
            lock.unlink()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
