"""With real cgroups: who comes into an emptied one, and is moved on."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from systemd_docker.kernel.loop import Loop
from systemd_docker.service.adoption.late_processes import Strays
from systemd_docker.service.supervise.supervisor import Supervisor
from tests.fakes.held import held

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from systemd_docker.kernel.cgroup import Cgroup

STORM = "read _; echo started; for i in 1 2 3 4; do while :; do (exec true); done & done; wait"
TIMEOUT_SEC = 20


@pytest.fixture
def source(cgroup2: Cgroup) -> Cgroup:
    """What stands for the engine's cgroup."""
    made = cgroup2.child("source")
    made.make()
    return made


@pytest.fixture
def target(cgroup2: Cgroup) -> Cgroup:
    made = cgroup2.child("target")
    made.make()
    return made


@contextlib.contextmanager
def watching(loop: Loop, source: Cgroup, target: Cgroup) -> Iterator[Strays]:
    strays = Strays(loop, (source.mount, source.path, target.path))
    try:
        yield strays
    finally:
        strays.close()


@contextlib.contextmanager
def process(script: str) -> Iterator[subprocess.Popen[bytes]]:
    """A shell that waits for a line, then says one and goes on."""
    with subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as started:
        try:
            yield started
        finally:
            started.kill()


def begin(started: subprocess.Popen[bytes]) -> None:
    assert started.stdin is not None
    assert started.stdout is not None
    started.stdin.write(b"go\n")
    started.stdin.flush()
    started.stdout.readline()


def run_until(loop: Loop, is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_SEC
    loop.after(TIMEOUT_SEC, lambda: None)
    loop.run_until(lambda: is_so() or time.monotonic() > deadline)
    assert is_so()


def end_all(cgroup: Cgroup) -> None:
    cgroup.write("cgroup.kill", "1")
    assert cgroup.wait_for("populated 0", time.monotonic() + TIMEOUT_SEC)


def test_who_comes_later_is_moved_on(source: Cgroup, target: Cgroup) -> None:
    loop = Loop()
    with watching(loop, source, target), process("read _") as first, process("read _") as second:
        for one in (first, second):
            source.attach(one.pid)
            run_until(loop, lambda: not source.pids())

        assert {first.pid, second.pid} <= target.pids()
    end_all(target)


def test_who_came_before_anybody_watched_is_moved_on(source: Cgroup, target: Cgroup) -> None:
    below = source.child("below")
    below.make()
    with process("read _") as one:
        below.attach(one.pid)

        with watching(Loop(), source, target):
            assert one.pid in target.pids()
    end_all(target)


def test_who_forks_without_pause_is_moved_on_and_runs(source: Cgroup, target: Cgroup) -> None:
    loop = Loop()
    with watching(loop, source, target), process(STORM) as storm:
        source.attach(storm.pid)
        begin(storm)

        run_until(loop, lambda: not source.pids())

        assert storm.pid in target.pids()
        assert source.read("cgroup.freeze") == "0"
        end_all(target)


def test_what_the_engine_pauses_is_paused(source: Cgroup, target: Cgroup) -> None:
    loop = Loop()
    with watching(loop, source, target):
        for state in ("1", "0", "1", "0"):
            source.write("cgroup.freeze", state)
            run_until(loop, lambda state=state: target.read("cgroup.freeze") == state)  # type: ignore[misc]


def test_nobody_else_is_moved(cgroup2: Cgroup, source: Cgroup, target: Cgroup) -> None:
    neighbour = cgroup2.child("neighbour")
    neighbour.make()
    loop = Loop()
    with (
        watching(loop, source, target),
        process("read _") as one,
        process("read _") as beside,
        process("read _") as above,
    ):
        neighbour.attach(beside.pid)
        cgroup2.attach(above.pid)
        source.attach(one.pid)

        run_until(loop, lambda: not source.pids())

        assert target.pids() == {one.pid}
        assert neighbour.pids() == {beside.pid}
        assert cgroup2.pids() == {above.pid}
    end_all(cgroup2)


def test_a_cgroup_that_is_gone_is_not_watched(source: Cgroup, target: Cgroup) -> None:
    loop = Loop()
    with watching(loop, source, target):
        source.remove()
        run_until(loop, lambda: not loop._handlers)
    with watching(loop, source, target):
        assert not loop._handlers


def test_who_was_not_moved_does_not_pay_for_it(source: Cgroup, target: Cgroup) -> None:
    gone = (source.mount, f"{source.path}/gone", target.path)
    for moved in ((), gone):
        supervisor = Supervisor(Loop(), held(moved=moved), None, _NoRequests())  # type: ignore[arg-type]
        assert supervisor._strays is None


class _NoRequests:
    requests = None


def test_no_descriptor_is_inherited(source: Cgroup, target: Cgroup) -> None:
    with watching(Loop(), source, target) as strays:
        assert not os.get_inheritable(strays._fd)
