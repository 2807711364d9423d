"""Later processes in an emptied cgroup, with real cgroups."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from systemd_docker.frozen import frozen
from systemd_docker.kernel.cgroup import Cgroup
from systemd_docker.kernel.loop import Loop
from systemd_docker.service.adoption.late_processes import (
    PASSES_UNFROZEN,
    LateProcesses,
    can_appear,
    move_until_empty,
)
from tests.fakes.cgroups import directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

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
def watching(loop: Loop, source: Cgroup, target: Cgroup) -> Iterator[LateProcesses]:
    late = LateProcesses(loop, (source.mount, source.path, target.path))
    try:
        yield late
    finally:
        late.close()


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


def test_a_later_process_is_moved(source: Cgroup, target: Cgroup) -> None:
    loop = Loop()
    with watching(loop, source, target), process("read _") as first, process("read _") as second:
        for one in (first, second):
            source.attach(one.pid)
            run_until(loop, lambda: not source.pids())

        assert {first.pid, second.pid} <= target.pids()
    end_all(target)


def test_a_process_that_was_there_before_the_watch_is_moved(source: Cgroup, target: Cgroup) -> None:
    below = source.child("below")
    below.make()
    with process("read _") as one:
        below.attach(one.pid)

        with watching(Loop(), source, target):
            assert one.pid in target.pids()
    end_all(target)


def test_processes_that_fork_without_pause_are_moved_and_run(source: Cgroup, target: Cgroup) -> None:
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


def test_no_other_process_is_moved(cgroup2: Cgroup, source: Cgroup, target: Cgroup) -> None:
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
        run_until(loop, lambda: loop.is_empty)
    with watching(loop, source, target):
        assert loop.is_empty


def test_nothing_appears_where_nothing_was_moved_or_the_scope_is_gone(source: Cgroup, target: Cgroup) -> None:
    assert not can_appear(())
    assert not can_appear((source.mount, f"{source.path}/gone", target.path))
    assert can_appear((source.mount, source.path, target.path))


def test_an_error_does_not_leave_the_cgroup_frozen(tmp_path: Path) -> None:
    source = directory(tmp_path, "source", cgroup_procs="41", cgroup_freeze="0")
    target = Refusing(source.mount, "/target", after=PASSES_UNFROZEN, refused=[])

    with pytest.raises(OSError, match="Operation not supported"):
        move_until_empty(source, target)

    assert target.refused == ["frozen 1"]
    assert source.read("cgroup.freeze") == "0"


@frozen
class Refusing(Cgroup):
    """A cgroup that takes so many processes and then no more, and notes whether source was frozen by then."""

    after: int
    refused: list[str]

    def attach(self, pid: int) -> None:
        self.refused.append(f"frozen {Cgroup(self.mount, '/source').read('cgroup.freeze')}")
        if len(self.refused) > self.after:
            self.refused[:] = self.refused[-1:]
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))


def test_after_an_error_later_processes_are_still_moved(
    cgroup2: Cgroup, source: Cgroup, logged: Callable[[], list[str]]
) -> None:
    parent = cgroup2.child("parent")
    target, threaded = parent.child("target"), parent.child("threaded")
    for made in (parent, target, threaded):
        made.make()
    threaded.write("cgroup.type", "threaded")  # a sibling of its may hold no process then
    loop = Loop()
    with watching(loop, source, target), process("read _") as refused:
        source.attach(refused.pid)
        run_until(loop, lambda: bool(logged()))
        assert source.pids() == {refused.pid}
        assert "Operation not supported" in logged()[0]
        threaded.remove()
        end_all(source)
        with process("read _") as third:
            source.attach(third.pid)
            run_until(loop, lambda: not source.pids())
            assert target.pids() == {third.pid}
    end_all(target)


def test_a_pause_that_ended_while_nothing_watched_ends(source: Cgroup, target: Cgroup) -> None:
    target.write("cgroup.freeze", "1")

    with watching(Loop(), source, target):
        assert target.read("cgroup.freeze") == "0"


def test_no_descriptor_is_inherited(source: Cgroup, target: Cgroup) -> None:
    with watching(Loop(), source, target) as late:
        assert not os.get_inheritable(late._fd)
