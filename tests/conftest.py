"""What every test gets, asked or not: a guard against leftovers; and the fixtures more than one room uses."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from systemd_docker import log
from systemd_docker.kernel.cgroup import Cgroup
from tests.fakes.engine import FakeEngine
from tests.leftovers import children, open_fds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# How long an example takes says more about what else the machine does.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """No child process, open file descriptor or thread outlives the test that began it."""
    before, fds, threads = children(), open_fds(), set(threading.enumerate())

    yield

    assert set(threading.enumerate()) <= threads, "threads left behind"
    assert children() <= before, "child processes left behind"
    new = {fd: target for fd, target in open_fds().items() if fds.get(fd) != target}
    assert not new, f"file descriptors left behind: {new}"


@pytest.fixture(params=["1.41", "1.45", "1.52"], ids=lambda version: f"v{version}")
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
    """Yield a new cgroup in the real v2 hierarchy, removed afterwards with those below it, without processes."""
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
