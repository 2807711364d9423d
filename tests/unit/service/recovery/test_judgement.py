"""service.recovery.judgement: why a container ended, and whether it comes back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from systemd_docker.engine.events import Event
from systemd_docker.kernel.loop import Loop
from systemd_docker.service.recovery.judgement import (
    ANSWER_TIMEOUT_SEC,
    HURRIED_SEC,
    KILLED,
    RESTART_GRACE_SEC,
    Judgement,
    RestartWatch,
    Verdict,
    stopped_nsec,
    was_killed,
)
from tests.fakes.clock import Clock, run_until
from tests.fakes.containers import RUNS, Container, Script
from tests.fakes.engine import FakeEngine
from tests.fakes.state import address, container_state


@pytest.fixture
def container(engine: FakeEngine) -> Container:
    made = engine.add("web", script=RUNS)
    engine.begin(made)
    return made


def stamp(engine: FakeEngine) -> None:
    """Have the engine's events happen now, as it orders them."""
    now = time.time_ns() - 10**9
    for number, event in enumerate(engine.events):
        event["timeNano"] = now + number


class Judge:
    def __init__(self, engine: FakeEngine, container: Container, loop: Loop) -> None:
        self.verdicts: list[Verdict] = []
        self.judgement = Judgement(loop, address(engine), container_state(container), on_verdict=self.verdicts.append)
        self._loop = loop

    def begin(self, exit_code: int) -> None:
        self.judgement.begin(exit_code, "", 10.0)

    def verdict(self) -> Verdict:
        run_until(self._loop, lambda: bool(self.verdicts), "a verdict")
        (verdict,) = self.verdicts
        return verdict


@pytest.fixture
def judge(engine: FakeEngine, container: Container, loop: Loop) -> Iterator[Judge]:
    made = Judge(engine, container, loop)
    yield made
    made.judgement.close()


def test_an_end_by_itself_is_final(engine: FakeEngine, judge: Judge) -> None:
    engine.finish("web", 3)
    stamp(engine)
    judge.begin(3)

    assert judge.verdict() == Verdict()


def test_a_stop_through_the_engine_leaves_a_restart_open(
    engine: FakeEngine, container: Container, judge: Judge
) -> None:
    engine.signal(container, "TERM")
    stamp(engine)
    judge.begin(143)

    verdict = judge.verdict()

    assert not verdict.was_killed
    assert verdict.stopped_nsec == engine.events[-1]["timeNano"]


def test_a_stop_that_took_sigkill_is_told_from_a_kill(engine: FakeEngine, container: Container, judge: Judge) -> None:
    container.script = Script(output=(), exit_code=None, ignores=frozenset({"TERM"}))
    engine.signal(container, "TERM")
    engine.signal(container, "KILL")
    stamp(engine)
    judge.begin(KILLED)

    assert judge.verdict().was_killed


def test_a_container_that_ran_out_of_memory_is_told(engine: FakeEngine, judge: Judge) -> None:
    engine.finish("web", KILLED, oom_killed=True)
    stamp(engine)
    judge.begin(KILLED)

    assert judge.verdict().ran_out_of_memory


@pytest.mark.parametrize("how", ["500", "cut", "away"])
def test_an_engine_that_cannot_tell_ends_the_waiting(
    how: str, engine: FakeEngine, container: Container, judge: Judge
) -> None:
    engine.signal(container, "TERM")
    stamp(engine)
    if how == "away":
        engine.stop()
    elif how == "cut":
        engine.cut("GET /events", 30)
    else:
        engine.fail("GET /events", 500, "the engine is not itself")
    judge.begin(143)

    assert judge.verdict() == Verdict()


@pytest.mark.parametrize("hurried", [False, True])
def test_an_engine_that_hangs_ends_the_waiting_in_time(
    engine: FakeEngine, clock: Clock, loop: Loop, judge: Judge, *, hurried: bool
) -> None:
    release = engine.hold("GET /events")
    engine.finish("web", 3)
    judge.begin(3)
    run_until(loop, lambda: bool(engine.matching("GET /events")), "the question")

    if hurried:
        judge.judgement.hurry()
    limit_sec = HURRIED_SEC if hurried else ANSWER_TIMEOUT_SEC
    clock.turn(loop, limit_sec - 0.1)
    assert not judge.verdicts
    clock.turn(loop, 0.2)

    assert judge.verdicts == [Verdict()]
    release()


class Watch:
    def __init__(self, engine: FakeEngine, container: Container, loop: Loop) -> None:
        self.outcomes: list[str] = []
        self.watch = RestartWatch(
            loop,
            address(engine),
            container_state(container),
            on_started=lambda: self.outcomes.append("started"),
            on_not_restarted=lambda: self.outcomes.append("not restarted"),
        )


@pytest.fixture
def watch(engine: FakeEngine, container: Container, loop: Loop) -> Iterator[Watch]:
    made = Watch(engine, container, loop)
    yield made
    made.watch.close()


@pytest.mark.parametrize("comes", ["before", "after"])
def test_the_next_start_is_seen(
    comes: str, engine: FakeEngine, container: Container, loop: Loop, watch: Watch
) -> None:
    engine.signal(container, "TERM")
    stamp(engine)
    since_nsec = engine.events[-1]["timeNano"] + 1
    if comes == "before":
        engine.begin(container)
        engine.events[-1]["timeNano"] = since_nsec + 1
    watch.watch.begin(since_nsec)
    if comes == "after":
        run_until(loop, lambda: bool(engine.matching("GET /events")), "the subscription")
        engine.begin(container)
        engine.events[-1]["timeNano"] = since_nsec + 1
    run_until(loop, lambda: bool(watch.outcomes), "the start")

    assert watch.outcomes == ["started"]


def test_no_start_is_not_waited_for_longer_than_a_docker_restart_takes(
    engine: FakeEngine, container: Container, clock: Clock, loop: Loop, watch: Watch
) -> None:
    engine.signal(container, "TERM")
    stamp(engine)
    watch.watch.begin(engine.events[-1]["timeNano"] + 1)
    run_until(loop, lambda: bool(engine.matching("GET /events")), "the subscription")
    clock.turn(loop, RESTART_GRACE_SEC - 0.1)
    assert not watch.outcomes

    clock.turn(loop, 0.2)

    assert watch.outcomes == ["not restarted"]


@pytest.mark.parametrize("how", ["removed", "500", "cut", "away"])
def test_a_container_that_cannot_come_back_is_not_waited_for(
    how: str, engine: FakeEngine, container: Container, loop: Loop, watch: Watch
) -> None:
    engine.signal(container, "TERM")
    stamp(engine)
    since_nsec = engine.events[-1]["timeNano"] + 1
    match how:
        case "removed":
            engine.remove(container)
            engine.events[-1]["timeNano"] = since_nsec + 1
        case "500":
            engine.fail("GET /events", 500, "the engine is not itself")
        case "cut":
            engine.cut("GET /events", 30)
        case _:
            engine.stop()
    watch.watch.begin(since_nsec)
    run_until(loop, lambda: bool(watch.outcomes), "the news")

    assert watch.outcomes == ["not restarted"]


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
    events = [Event(action, "", "c", number, {}) for number, action in enumerate(actions.split(), start=1)]

    assert stopped_nsec(events) == stopped


def sent(*signals: int) -> tuple[Event, ...]:
    return tuple(Event("kill", "", "x", at, {"signal": str(signo)}) for at, signo in enumerate(signals))


STARTED = (Event("start", "", "x", 0, {}),)


@pytest.mark.parametrize(
    ("events", "stop_signal", "expected"),
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
def test_a_stop_that_needed_sigkill(events: tuple[Event, ...], stop_signal: str, *, expected: bool) -> None:
    assert was_killed(events, stop_signal) == expected


def test_closing_leaves_nothing(engine: FakeEngine, loop: Loop, judge: Judge, watch: Watch) -> None:
    releases: list[Callable[[], None]] = [engine.hold("GET /events"), engine.hold("GET /events")]
    judge.begin(3)
    watch.watch.begin(1)
    run_until(loop, lambda: len(engine.matching("GET /events")) == 2, "both questions")

    judge.judgement.close()
    watch.watch.close()

    assert loop.is_empty
    for release in releases:
        release()


def test_events_that_are_none_decide_nothing(engine: FakeEngine, judge: Judge) -> None:
    engine.answer_with("GET /events", b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n[no]\n\n")
    judge.begin(3)

    assert judge.verdict() == Verdict()


def test_facts_that_are_none_leave_the_kill_unexplained(engine: FakeEngine, judge: Judge) -> None:
    engine.finish("web", KILLED, oom_killed=True)
    engine.answer_with("GET /containers/*/json", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")
    judge.begin(KILLED)

    assert not judge.verdict().ran_out_of_memory
