"""What is built once and used by many machines: entries, each named by the hash of the recipe it was made from.

An entry is complete or absent: it is built under another name, by one process at a time, and renamed. Entries that
nobody has used for a while are removed when a newer one of their kind is built.
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


def entry(kind: str, recipe: str, build: Callable[[Path], None]) -> Path:
    """The file or directory DIRECTORY/<kind>-<recipe>; build(path) makes it where it is missing."""
    path = DIRECTORY / f"{kind}-{recipe}"
    lock = DIRECTORY / f"{path.name}.lock"
    with locked(lock, shared=True):
        if path.exists():
            os.utime(path)
            return path
    with locked(lock):
        if not path.exists():
            unfinished = DIRECTORY / f"{path.name}.new"
            _remove(unfinished)
            build(unfinished)
            unfinished.rename(path)
            _remove_unused(kind, keep=path)
    return path


@contextlib.contextmanager
def in_use(path: Path) -> Iterator[None]:
    """Nobody removes this entry meanwhile, however long that takes."""
    with locked(DIRECTORY / f"{path.name}.lock", shared=True):
        yield


@contextlib.contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[BinaryIO]:
    """Hold a flock(2) on path, made where it is missing; the kernel lets go of it when this process ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield file


def try_lock(file: BinaryIO) -> bool:
    """Take the lock, or say that somebody holds it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove_unused(kind: str, *, keep: Path) -> None:
    for lock in DIRECTORY.glob(f"{kind}-*.lock"):
        path = lock.with_suffix("")
        if path == keep or not path.exists() or time.time() - path.stat().st_mtime < UNUSED_SEC:
            continue
        with lock.open("ab+") as file:
            if try_lock(file):
                _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
