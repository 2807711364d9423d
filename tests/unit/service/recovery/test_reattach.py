"""service.recovery.reattach: a container is found again, whatever its engine does meanwhile."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from systemd_docker.engine.multiplex import STDERR, STDOUT
from systemd_docker.frozen import replace
from systemd_docker.kernel.fd import NO_FD, Fd, close_fd
from systemd_docker.kernel.loop import Loop
from systemd_docker.service.container_state import ContainerState
from systemd_docker.service.engine_requests import ANSWER_TIMEOUT_SEC
from systemd_docker.service.exit_wait import ExitWait
from systemd_docker.service.output.relay import Relay
from systemd_docker.service.output.sinks import ByteSink
from systemd_docker.service.output.state import Position
from systemd_docker.service.recovery.reattach import (
    LONGEST_PAUSE_SEC,
    MAX_STALE_ANSWERS,
    Found,
    Reattachment,
)
from tests.fakes.clock import Clock, run_until
from tests.fakes.containers import Container, Script
from tests.fakes.engine import FakeEngine
from tests.fakes.state import address, container_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.service.output.log_resume import Plain


@pytest.fixture
def container(engine: FakeEngine) -> Container:
    """A container that runs, with the test's own process for its leader: one that surely lives."""
    made = engine.add("web", script=Script(output=(), exit_code=None, pid=os.getpid()))
    engine.begin(made)
    return made


class Bench:
    """One reattachment; found: what it reported, "nothing" where the container is gone, None until then."""

    def __init__(self, engine: FakeEngine, state: ContainerState, loop: Loop, clock: Clock, recent: Plain) -> None:
        self.engine, self.loop, self.clock = engine, loop, clock
        self.found: Found | str | None = None
        self.reattachment = Reattachment(
            loop,
            address(engine),
            state,
            lambda: recent,
            on_found=self._set,
            on_nothing=lambda: self._set("nothing"),
        )

    def _set(self, found: Found | str) -> None:
        assert self.found is None, "reported twice"
        self.found = found

    def wait(self) -> Found:
        run_until(self.loop, lambda: self.found is not None, "the container")
        assert isinstance(self.found, Found)
        return self.found

    def wait_for_requests(self, pattern: str, count: int) -> None:
        run_until(self.loop, lambda: len(self.engine.matching(pattern)) >= count, f"request {count} like {pattern}")

    def wait_for_pause(self) -> float:
        """Wait until the engine has disappointed; return how long it is left alone then."""
        run_until(self.loop, self._is_pausing, "a pause")
        deadline = self.loop.next_deadline()
        assert deadline is not None
        return round(deadline - self.clock(), 3)

    def _is_pausing(self) -> bool:
        deadline = self.loop.next_deadline()
        return deadline is not None and round(deadline - self.clock(), 3) != ANSWER_TIMEOUT_SEC


Make = Callable[..., Bench]


@pytest.fixture
def bench(engine: FakeEngine, loop: Loop, clock: Clock) -> Iterator[Make]:
    with contextlib.ExitStack() as stack:

        def make(state: ContainerState, recent: Plain = ()) -> Bench:
            made = Bench(engine, state, loop, clock, recent)
            stack.callback(close_found, made)
            stack.callback(made.reattachment.close)
            return made

        yield make


def close_found(bench: Bench) -> None:
    if isinstance(bench.found, Found):
        for fd in (bench.found.container.pidfd, bench.found.output_fd, bench.found.exit_wait.fd):
            close_fd(fd)


def output_of(loop: Loop, found: Found, recent: Plain, path: Path) -> bytes:
    """Return what a relay writes of the found output, until that ends."""
    sink = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    relay = Relay(loop, {STDOUT: ByteSink(sink), STDERR: ByteSink(sink)}, on_finished=lambda: None)
    relay.follow(found.output_fd, Position(early=found.early, recent=recent, is_log=found.is_log), framed=True)
    run_until(loop, lambda: relay.finished, "the output's end")
    relay.close()
    os.close(sink)
    return path.read_bytes()


def test_a_container_that_runs_is_attached_to_again(engine: FakeEngine, container: Container, bench: Make) -> None:
    one = bench(container_state(container))
    one.reattachment.begin()

    found = one.wait()

    assert found.exit_code is None
    assert (found.container.leader, found.container.name) == (os.getpid(), "web")
    assert one.reattachment.has_reached_engine
    outcomes: list[int | str] = []
    wait = ExitWait(one.loop, "web", on_exit=outcomes.append, on_lost=outcomes.append)
    wait.follow(found.exit_wait)
    engine.finish("web", 7)
    run_until(one.loop, lambda: bool(outcomes), "the exit code")
    assert outcomes == [7]
    wait.close()


def test_an_engine_that_comes_back_is_seen_by_its_socket_and_not_by_waiting(
    engine: FakeEngine, container: Container, bench: Make
) -> None:
    """The clock stands still: no pause ends by itself, except the moment after the socket has shown itself."""
    engine.stop()
    one = bench(container_state(container))
    one.reattachment.begin()
    assert one.found is None
    engine.start()
    run_until(one.loop, lambda: one.wait_for_pause() < 1, "the socket to be seen")

    one.clock.turn(one.loop, 0.1)

    assert one.wait().container.leader == os.getpid()


def test_an_engine_that_does_not_show_itself_is_asked_with_growing_pauses(
    engine: FakeEngine, container: Container, bench: Make
) -> None:
    engine.stop()
    one = bench(container_state(container))
    one.reattachment.begin()

    pauses = []
    for _ in range(9):
        pauses.append(one.wait_for_pause())
        one.clock.turn(one.loop, pauses[-1])

    assert pauses == [1, 2, 4, 8, 16, 32, LONGEST_PAUSE_SEC, LONGEST_PAUSE_SEC, LONGEST_PAUSE_SEC]


def test_an_engine_lost_a_second_time_is_left_alone_for_a_while_first(
    engine: FakeEngine, container: Container, bench: Make
) -> None:
    one = bench(container_state(container))
    one.reattachment.begin(4.0)
    one.loop.step(0.0)
    assert engine.requests == []

    one.clock.turn(one.loop, 4.0)

    assert one.wait().container.leader == os.getpid()


def test_output_resumes_where_it_was(engine: FakeEngine, container: Container, bench: Make, tmp_path: Path) -> None:
    engine.write("web", b"1\n2\n")
    engine.write("web", b"3\n")
    engine.write("web", b"e\n", STDERR)
    recent: Plain = ((STDOUT, 0.0, b"1\n2\n"),)
    one = bench(container_state(container), recent)
    one.reattachment.begin()

    found = one.wait()
    engine.write("web", b"4\n")
    engine.finish("web", 0)

    assert output_of(one.loop, found, recent, tmp_path / "output") == b"3\ne\n4\n"


def test_an_engine_without_a_log_is_attached_to(
    engine: FakeEngine, bench: Make, tmp_path: Path, logged: Callable[[], list[str]]
) -> None:
    request = {"HostConfig": {"LogConfig": {"Type": "none"}}}
    container = engine.add("web", script=Script(output=(), exit_code=None, pid=os.getpid()), request=request)
    engine.begin(container)
    engine.write("web", b"lost\n")
    one = bench(container_state(container))
    one.reattachment.begin()

    found = one.wait()
    engine.write("web", b"seen\n")
    engine.finish("web", 0)

    assert output_of(one.loop, found, (), tmp_path / "output") == b"seen\n"
    assert "container 'web' has no log: its output in the meantime is lost" in logged()[0]


def test_a_container_that_ended_meanwhile_has_its_exit_code_and_its_last_output(
    engine: FakeEngine, container: Container, bench: Make, tmp_path: Path
) -> None:
    engine.write("web", b"last words\n")
    engine.finish("web", 7)
    one = bench(container_state(container))
    one.reattachment.begin()

    found = one.wait()

    assert found.exit_code == 7
    assert found.container == ContainerState(container.id, "web")
    assert output_of(one.loop, found, (), tmp_path / "output") == b"last words\n"


def test_a_container_that_was_removed_meanwhile_is_gone(
    engine: FakeEngine, container: Container, bench: Make
) -> None:
    engine.remove(container)
    one = bench(container_state(container))
    one.reattachment.begin()

    run_until(one.loop, lambda: one.found is not None, "the news")

    assert one.found == "nothing"
    assert one.reattachment.has_reached_engine


def test_a_dead_leader_that_the_engine_reports_as_running_is_gone_in_the_end(
    engine: FakeEngine, container: Container, bench: Make
) -> None:
    """As where containerd was killed: the engine never learns."""
    dead = os.fork()
    if not dead:
        os._exit(0)
    pidfd = Fd(os.pidfd_open(dead))
    os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOWAIT)
    container.script = Script(output=(), exit_code=None, pid=dead)
    one = bench(replace(container_state(container), leader=dead, pidfd=pidfd))
    one.reattachment.begin()

    for count in range(1, MAX_STALE_ANSWERS):
        one.wait_for_requests("GET /containers/*/json", count)
        one.clock.turn(one.loop, one.wait_for_pause())
    run_until(one.loop, lambda: one.found is not None, "the end of patience")

    os.close(pidfd)
    os.waitpid(dead, 0)
    assert one.found == "nothing"
    assert len(engine.matching("GET /containers/*/json")) == MAX_STALE_ANSWERS


REQUESTS = ("GET /containers/*/json", "GET /containers/*/logs", "POST /containers/*/wait")


@pytest.mark.parametrize("request_", REQUESTS)
@pytest.mark.parametrize("how", ["500", "503", "cut in the head", "hangs"])
def test_an_engine_that_fails_any_request_is_asked_again_and_nothing_is_lost(
    request_: str, how: str, engine: FakeEngine, container: Container, bench: Make, tmp_path: Path
) -> None:
    engine.write("web", b"kept\n")
    release: Callable[[], None] | None = None
    if how == "hangs":
        release = engine.hold(request_)
    elif how == "cut in the head":
        engine.cut(request_, 20)
    else:
        engine.fail(request_, int(how), "the engine is not itself")
    one = bench(container_state(container))
    one.reattachment.begin()
    one.wait_for_requests(request_, 1)
    if how == "hangs":
        one.clock.turn(one.loop, ANSWER_TIMEOUT_SEC)

    pause_sec = one.wait_for_pause()
    assert one.found is None
    assert pause_sec == 1
    one.clock.turn(one.loop, pause_sec)
    found = one.wait()

    if release is not None:
        release()
    assert found.exit_code is None
    engine.finish("web", 0)
    assert output_of(one.loop, found, (), tmp_path / "output") == b"kept\n"


@pytest.mark.parametrize("pattern", REQUESTS)
def test_closing_at_any_request_leaves_nothing(
    pattern: str, engine: FakeEngine, container: Container, bench: Make
) -> None:
    """The fixtures check: no descriptor, no watch, no timer."""
    release = engine.hold(pattern)
    one = bench(container_state(container))
    one.reattachment.begin()
    one.wait_for_requests(pattern, 1)

    one.reattachment.close()
    release()

    assert one.loop.is_empty


def test_output_that_is_not_relayed_is_not_asked_for(engine: FakeEngine, container: Container, loop: Loop) -> None:
    found: list[Found] = []
    reattachment = Reattachment(
        loop, address(engine), container_state(container), None, on_found=found.append, on_nothing=lambda: None
    )
    reattachment.begin()
    run_until(loop, lambda: bool(found), "the container")
    reattachment.close()

    assert found[0].output_fd == NO_FD
    assert not engine.matching("GET /containers/*/logs")
    for fd in (found[0].container.pidfd, found[0].exit_wait.fd):
        os.close(fd)
