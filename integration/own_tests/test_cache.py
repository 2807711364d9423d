"""harness.cache: entries in use stay, unused ones are removed with their locks."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from integration.harness import cache

TIMEOUT_SEC = 20


def build(path: Path) -> None:
    path.mkdir()
    (path / "content").touch()


def made(directory: Path, name: str, *, age_sec: float = 0) -> Path:
    path = cache.entry("tree", name, build, directory)
    age(path, age_sec)
    return path


def age(path: Path, age_sec: float) -> None:
    used = time.time() - age_sec
    os.utime(path, (used, used))


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


NEW = ["tree-new", "tree-new.lock"]


def test_an_unused_entry_is_removed_with_its_lock(tmp_path: Path) -> None:
    made(tmp_path, "old", age_sec=cache.UNUSED_SEC + 60)
    (tmp_path / "other-old.lock").touch()

    made(tmp_path, "new")

    assert names(tmp_path) == ["other-old.lock", *NEW]


def test_what_was_used_lately_stays(tmp_path: Path) -> None:
    made(tmp_path, "old", age_sec=cache.UNUSED_SEC - 60)

    made(tmp_path, "new")

    assert names(tmp_path) == [*NEW, "tree-old", "tree-old.lock"]


def test_a_use_is_noted(tmp_path: Path) -> None:
    made(tmp_path, "old", age_sec=cache.UNUSED_SEC + 60)
    cache.entry("tree", "old", build, tmp_path)

    made(tmp_path, "new")

    assert "tree-old" in names(tmp_path)


@pytest.mark.parametrize("left", ["tree-old.new", ""])
def test_a_lock_without_a_tree_goes_with_what_was_left(tmp_path: Path, left: str) -> None:
    (tmp_path / "tree-old.lock").touch()
    if left:
        build(tmp_path / left)

    made(tmp_path, "new")

    assert names(tmp_path) == NEW


def test_what_is_in_use_stays_however_old(tmp_path: Path) -> None:
    old = made(tmp_path, "old")
    with cache.in_use(old):
        age(old, cache.UNUSED_SEC + 60)
        made(tmp_path, "new")

        assert names(tmp_path) == [*NEW, "tree-old", "tree-old.lock"]


def test_what_is_being_built_stays(tmp_path: Path) -> None:
    def build_both(path: Path) -> None:
        made(tmp_path, "new")
        build(path)

    cache.entry("tree", "old", build_both, tmp_path)

    assert names(tmp_path) == [*NEW, "tree-old", "tree-old.lock"]


@pytest.mark.parametrize("shared", [False, True])
def test_a_process_that_waited_for_a_removed_lock_gets_the_new_one(tmp_path: Path, *, shared: bool) -> None:
    lock = tmp_path / "tree-x.lock"
    held = threading.Event()
    done = threading.Event()

    def hold() -> None:
        with cache.locked(lock, shared=shared):
            held.set()
            done.wait(TIMEOUT_SEC)

    waiter = threading.Thread(target=hold)
    with cache.locked(lock):
        waiter.start()
        wait_for_waiter(lock)
        lock.unlink()
    assert held.wait(TIMEOUT_SEC)
    with lock.open("rb+") as other:
        assert not cache.try_lock(other), "the waiter holds the lock file at the path"
    done.set()
    waiter.join()


def wait_for_waiter(lock: Path) -> None:
    """Wait until a process waits for this lock; see proc_locks(5)."""
    inode = f":{lock.stat().st_ino} "
    deadline = time.monotonic() + TIMEOUT_SEC
    while not any(" -> " in line and inode in line for line in Path("/proc/locks").read_text().splitlines()):
        assert time.monotonic() < deadline
