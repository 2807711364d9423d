"""What every test gets, asked or not: a guard against leftovers; and the fixtures more than one room uses."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from systemd_docker import log
from systemd_docker.kernel.cgroup import Cgroup
from tests.fakes.engine import FakeEngine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# How long an example takes says more about what else the machine does.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """No child process, open file descriptor or thread outlives the test that began it."""
    children, fds, threads = _children(), _open_fds(), set(threading.enumerate())

    yield

    assert set(threading.enumerate()) <= threads, "threads left behind"
    assert _children() <= children, "child processes left behind"
    new = {fd: target for fd, target in _open_fds().items() if fds.get(fd) != target}
    assert not new, f"file descriptors left behind: {new}"


def _children() -> set[int]:
    """Our children, zombies too, of any thread; see proc_pid_task(5), children."""
    pids: set[int] = set()
    for children in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            pids.update(map(int, children.read_text().split()))
    return pids


def _open_fds() -> dict[int, str]:
    fds = {}
    with os.scandir("/proc/self/fd") as entries:
        for entry in entries:
            try:
                fds[int(entry.name)] = os.readlink(entry.path)
            except FileNotFoundError:
                continue
    return {fd: target for fd, target in fds.items() if target != f"/proc/{os.getpid()}/fd"}


@pytest.fixture(params=["1.41", "1.45"], ids=lambda version: f"v{version}")
def any_engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FakeEngine]:
    """A fake engine, once per API version that answers are recorded for."""
    with FakeEngine(tmp_path / "docker.sock", api_version=request.param) as engine:
        yield engine


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[FakeEngine]:
    """A fake engine of the newest API version that answers are recorded for."""
    with FakeEngine(tmp_path / "docker.sock") as engine:
        yield engine


@pytest.fixture
def cgroup2() -> Iterator[Cgroup]:
    """A fresh cgroup in the real v2 hierarchy, removed afterwards with those below it; who is in it has to end."""
    mounts = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
    mount = next((mount for mount in mounts if os.access(f"{mount}/cgroup.procs", os.W_OK)), None)
    if mount is None:
        pytest.skip("needs a writable cgroup v2 hierarchy")
    own = Cgroup(mount, f"/systemd-docker-test-{os.getpid()}")
    own.make()
    yield own
    own.remove()


@pytest.fixture
def logged(tmp_path: Path) -> Iterator[Callable[[], list[str]]]:
    """The lines that we logged since the test began, whenever it asks."""
    path = tmp_path / "logged"
    before = log.messages
    log.messages = log.Log(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC))
    yield lambda: path.read_text().splitlines()
    os.close(log.messages.fd)
    log.messages = before
