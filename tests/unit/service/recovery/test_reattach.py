from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from systemd_docker.engine import answers, client, http
from systemd_docker.engine.events import Event
from systemd_docker.frozen import replace
from systemd_docker.kernel.loop import Loop
from systemd_docker.kernel.pidfd import NO_FD
from systemd_docker.service.output.relay import ByteSink, Relay
from systemd_docker.service.recovery import reattach as room
from systemd_docker.service.recovery.reattach import Ended, Whereabouts
from systemd_docker.service.supervise import state as held_room
from systemd_docker.service.supervise.state import Held
from tests.fakes.containers import STDERR, STDOUT, Container, Script
from tests.fakes.engine import FakeEngine
from tests.fakes.held import held as plain_held


@pytest.fixture
def container(engine: FakeEngine) -> Container:
    """A container that runs, with us for its leader: a process that surely lives."""
    made = engine.add("web", script=Script(output=(), exit_code=None, pid=os.getpid()))
    engine.begin(made)
    return made


@contextlib.contextmanager
def watching(
    engine: FakeEngine, held: Held, exit_code: int | None = None, pause_sec: float = room.FIRST_PAUSE_SEC
) -> Iterator[tuple[Loop, Whereabouts]]:
    loop = Loop()
    held = replace(held, socket_path=engine.path)
    asked = client.Engine(engine.path, (1, 45), http.never_wait)
    whereabouts = Whereabouts(loop, held, asked, exit_code, pause_sec=pause_sec)
    try:
        whereabouts.begin()
        yield loop, whereabouts
    finally:
        whereabouts.close()


def held_of(container: Container) -> Held:
    return plain_held(id=container.id, api=(1, 45), leader=os.getpid())


def found_by(loop: Loop, whereabouts: Whereabouts) -> Held | Ended:
    deadline = time.monotonic() + 10
    loop.after(10, lambda: None)
    loop.run_until(lambda: whereabouts.found is not None or time.monotonic() > deadline)
    assert whereabouts.found is not None, "nothing was found in time"
    return whereabouts.found


def output_of(loop: Loop, held: Held, tmp_path: Path) -> bytes:
    """What a relay of the held output writes, until the output ends."""
    from systemd_docker.engine.multiplex import Demultiplexer

    path = tmp_path / "output"
    sink = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    sinks = {STDOUT: ByteSink(sink), STDERR: ByteSink(sink)}
    frames = Demultiplexer(framed=True)
    relay = Relay(loop, held.output_fd, frames, sinks, held.early_output, held.tails, is_log=held.output_is_log)
    loop.run_until(lambda: relay.finished)
    relay.close()
    os.close(sink)
    return path.read_bytes()


def test_an_engine_that_comes_back_is_seen_by_its_socket(engine: FakeEngine, container: Container) -> None:
    engine.stop()
    with watching(engine, held_of(container)) as (loop, whereabouts):
        begin = time.monotonic()
        engine.start()
        found = found_by(loop, whereabouts)

    took_sec = time.monotonic() - begin
    assert isinstance(found, Held)
    held_room.close(found)
    assert found.leader == os.getpid()
    assert took_sec < room.FIRST_PAUSE_SEC


def test_output_goes_on_where_it_was(engine: FakeEngine, container: Container, tmp_path: Path) -> None:
    engine.write("web", b"1\n2\n")
    engine.stop()
    engine.write("web", b"3\n")
    engine.write("web", b"e\n", STDERR)
    engine.start()
    stream = os.open(os.devnull, os.O_RDONLY)
    held = replace(held_of(container), output_fd=stream, tails={STDOUT: (0.0, b"1\n2\n")})
    with watching(engine, held) as (loop, whereabouts):
        found = found_by(loop, whereabouts)
        engine.write("web", b"4\n")
        engine.finish("web", 0)
        assert isinstance(found, Held)
        assert output_of(loop, found, tmp_path) == b"3\ne\n4\n"

    held_room.close(found)


def test_an_engine_that_keeps_no_output_is_attached_to(engine: FakeEngine, tmp_path: Path) -> None:
    request = {"HostConfig": {"LogConfig": {"Type": "none"}}}
    container = engine.add("web", script=Script(output=(), exit_code=None, pid=os.getpid()), request=request)
    engine.begin(container)
    engine.write("web", b"lost\n")
    stream = os.open(os.devnull, os.O_RDONLY)
    with watching(engine, replace(held_of(container), output_fd=stream)) as (loop, whereabouts):
        found = found_by(loop, whereabouts)
        engine.write("web", b"seen\n")
        engine.finish("web", 0)
        assert isinstance(found, Held)
        assert output_of(loop, found, tmp_path) == b"seen\n"

    held_room.close(found)


def test_what_ended_meanwhile_says_how(engine: FakeEngine, container: Container) -> None:
    engine.stop()
    engine.finish("web", 7)
    engine.start()
    with watching(engine, held_of(container)) as (loop, whereabouts):
        found = found_by(loop, whereabouts)

    assert isinstance(found, Held)
    assert (found.leader, found.pidfd) == (0, NO_FD)
    exchange = http.Exchange.resumed(found.exit_fd, found.exit_received, "wait")
    with contextlib.closing(exchange):
        assert answers.complete(exchange, http.wait_ready, time.monotonic() + 5) is None


def test_a_dead_leader_that_the_engine_takes_for_alive_has_ended(engine: FakeEngine, container: Container) -> None:
    """As with one whose containerd was killed."""
    dead = os.fork()
    if not dead:
        os._exit(0)
    pidfd = os.pidfd_open(dead)
    os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOWAIT)
    container.script = Script(output=(), exit_code=None, pid=dead)
    held = replace(held_of(container), leader=dead, pidfd=pidfd)
    with watching(engine, held, pause_sec=0.01) as (loop, whereabouts):
        found = found_by(loop, whereabouts)

    os.close(pidfd)
    os.waitpid(dead, 0)
    assert found == Ended(None)
    assert whereabouts.is_engine_back
    assert len(engine.matching("GET /containers/*/json")) == room.MAX_GHOST_LOOKS


def test_what_was_removed_meanwhile_has_ended_somehow(engine: FakeEngine, container: Container) -> None:
    engine.remove(container)
    with watching(engine, held_of(container)) as (loop, whereabouts):
        assert found_by(loop, whereabouts) == Ended(None)


def test_an_end_that_nobody_asked_for_is_the_end(engine: FakeEngine, container: Container) -> None:
    engine.finish("web", 3)
    begin = time.monotonic()
    with watching(engine, held_of(container), exit_code=3) as (loop, whereabouts):
        assert found_by(loop, whereabouts) == Ended(3)

    assert time.monotonic() - begin < room.RESTART_GRACE_SEC


@pytest.mark.parametrize("comes", ["before", "after"])
def test_a_restart_from_outside_is_followed(comes: str, engine: FakeEngine, container: Container) -> None:
    now = time.time_ns()
    engine.signal(container, "TERM")
    for number, event in enumerate(engine.events):
        event["timeNano"] = now + number
    if comes == "before":
        engine.begin(container)
        engine.events[-1]["timeNano"] = time.time_ns() + 10**9
    with watching(engine, held_of(container), exit_code=143) as (loop, whereabouts):
        if comes == "after":
            loop.after(0.2, lambda: engine.begin(container))
        found = found_by(loop, whereabouts)

    assert isinstance(found, Held)
    assert found.leader == os.getpid()
    held_room.close(found)


def test_a_stop_from_outside_is_the_end_after_a_while(engine: FakeEngine, container: Container) -> None:
    engine.signal(container, "TERM")
    for event in engine.events:
        event["timeNano"] = time.time_ns()
    begin = time.monotonic()
    with watching(engine, held_of(container), exit_code=143) as (loop, whereabouts):
        assert found_by(loop, whereabouts) == Ended(143)

    assert time.monotonic() - begin >= room.RESTART_GRACE_SEC


@pytest.mark.parametrize(
    ("actions", "stopped"),
    [
        ("start die", 0),
        ("start kill die", 3),
        ("start kill die start", 3),
        ("start kill die start die", 0),
        ("start kill die start kill die", 6),
        ("start kill", 2),
        ("start kill die destroy", 0),
        ("", 0),
    ],
)
def test_what_the_engine_was_asked_for(actions: str, stopped: int) -> None:
    events = tuple(Event(action, "", "c", number, {}) for number, action in enumerate(actions.split(), start=1))

    assert room._stopped_at(events) == stopped


def sent(*signals: int) -> tuple[Event, ...]:
    return tuple(Event("kill", "", "x", at, {"signal": str(signo)}) for at, signo in enumerate(signals))


STARTED = (Event("start", "", "x", 0, {}),)


@pytest.mark.parametrize(
    ("events", "stop_signal", "was_stopped"),
    [
        (sent(15, 9), "", True),
        (sent(15, 9), "SIGTERM", True),
        (sent(1, 3, 9), "SIGQUIT", True),
        ((*sent(15), *STARTED, *sent(15, 9)), "", True),
        (sent(15), "", False),
        (sent(9), "", False),
        (sent(1, 9), "", False),
        (sent(15, 9), "SIGQUIT", False),
        ((*sent(15), *STARTED, *sent(9)), "", False),
        ((), "", False),
    ],
)
def test_what_had_to_be_killed_for_a_stop_was_stopped(
    events: tuple[Event, ...], stop_signal: str, *, was_stopped: bool
) -> None:
    assert room.was_stopped(events, stop_signal) == was_stopped
