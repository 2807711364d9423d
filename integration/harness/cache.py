"""What is built once and used by many machines: entries, each named by the hash of the recipe it was made from.

An entry is complete or absent: it is built under another name, by one process at a time, and renamed. Entries that
nobody has used for a while are removed when a newer one of their kind is built, with their locks and with what a
build that was killed has left. So who gets a lock looks whether it is still the one that everybody gets.
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
"""An entry is as old as its last use."""


def digest(*recipe: object) -> str:
    """A name for whatever this recipe makes; its parts need a stable repr()."""
    return hashlib.sha256(repr(recipe).encode()).hexdigest()[:12]


def entry(kind: str, recipe: str, build: Callable[[Path], None], directory: Path = DIRECTORY) -> Path:
    """The file or directory <kind>-<recipe>; build(path) makes it where it is missing."""
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
    """Nobody removes this entry meanwhile, however long that takes."""
    with locked(_lock(path), shared=True):
        yield


@contextlib.contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[BinaryIO]:
    """Hold a flock(2) on path, made where it is missing; the kernel lets go of it when this process ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("ab+") as file:
            fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            # While we waited for it its holder may have removed it, and somebody else holds another one.
            if _is_at(file, path):
                yield file
                return


def try_lock(file: BinaryIO) -> bool:
    """Take the lock, or say that somebody holds it."""
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
    """Unless somebody has the lock. It goes last: who opens it before that waits for us, or finds it gone."""
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
