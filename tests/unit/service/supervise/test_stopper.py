"""service.supervise.stopper: what each signal makes of the container, and by when."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from systemd_docker.frozen import replace
from systemd_docker.service.engine_requests import EngineRequests
from systemd_docker.service.stop_policy import StopPolicy
from systemd_docker.service.supervise.stopper import ENGINE_GRACE_SEC, KILL_GRACE_SEC, Stopper
from tests.fakes.clock import run_until
from tests.fakes.containers import Script
from tests.fakes.state import address, container_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from systemd_docker.kernel.loop import Loop
    from tests.fakes.clock import Clock
    from tests.fakes.engine import FakeEngine

HANGS = Script(output=(), exit_code=None, ignores=frozenset({"TERM", "ABRT", "HUP"}))

POLICY = StopPolicy(timeout_sec=10.0, budget_sec=88.0)


class Bench:
    """A stopper of one container in the fake engine; leader_kills counts the kills without the engine."""

    def __init__(self, engine: FakeEngine, loop: Loop, clock: Clock, policy: StopPolicy) -> None:
        self.engine, self.loop, self.clock = engine, loop, clock
        self.container = engine.add("web", script=HANGS)
        engine.begin(self.container)
        self.requests = EngineRequests(loop, address(engine))
        self.leader_kills = 0
        state = container_state(self.container)
        self.stopper = Stopper(loop, state, policy, self.requests, kill_leader=self._kill_leader)

    def _kill_leader(self) -> None:
        self.leader_kills += 1

    def signal(self, *signals: int) -> list[str]:
        """Let signals arrive; what the container has got, once every request is answered."""
        for signo in signals:
            self.stopper.handle(signo)
        return self.signals()

    def turn(self, sec: float) -> list[str]:
        self.clock.turn(self.loop, sec)
        return self.signals()

    def signals(self) -> list[str]:
        # A stop is answered when the container has stopped: its arrival is enough.
        def is_quiet() -> bool:
            return not self.requests.are_open or bool(self.engine.matching("POST /containers/*/stop"))

        run_until(self.loop, is_quiet, "the engine's answers")
        return self.container.signals.copy()


@pytest.fixture
def bench(engine: FakeEngine, loop: Loop, clock: Clock) -> Iterator[Callable[[StopPolicy], Bench]]:
    made: list[Bench] = []

    def make(policy: StopPolicy) -> Bench:
        made.append(Bench(engine, loop, clock, policy))
        return made[-1]

    yield make
    for one in made:
        one.stopper.close()
        one.requests.close()


@pytest.mark.parametrize("reaches", [True, False])
def test_a_watchdogs_abort_reaches_the_payload_once_and_then_it_is_killed(
    bench: Callable[[StopPolicy], Bench], *, reaches: bool
) -> None:
    one = bench(replace(POLICY, reaches_payload=reaches))

    assert one.signal(signal.SIGABRT) == ([] if reaches else ["ABRT"])
    assert one.stopper.stopped_by == signal.SIGABRT
    assert one.turn(9.9) == ([] if reaches else ["ABRT"])
    assert one.turn(0.2)[-1] == "KILL"
    assert one.stopper.killed


@pytest.mark.parametrize("came", [[signal.SIGTERM, signal.SIGCONT], [signal.SIGCONT, signal.SIGTERM]])
def test_a_payload_that_systemd_has_signalled_is_killed_when_its_time_is_over(
    came: list[int], bench: Callable[[StopPolicy], Bench]
) -> None:
    one = bench(replace(POLICY, stops_payload=True))

    assert one.signal(*came) == []
    assert one.turn(9.9) == []
    assert one.turn(0.2) == ["KILL"]


def test_a_payload_that_systemd_has_not_signalled_is_stopped_by_the_engine(
    bench: Callable[[StopPolicy], Bench], logged: Callable[[], list[str]]
) -> None:
    """`systemctl kill` and kill(1) send no SIGCONT."""
    one = bench(replace(POLICY, stops_payload=True))

    one.signal(signal.SIGTERM)
    one.turn(10.1)

    one.engine.wait_for_request("POST /containers/*/stop")
    run_until(one.loop, lambda: one.container.signals == ["TERM"], "the stop signal")
    assert "systemd has not signalled container 'web', asking the engine to stop it" in logged()[0]


def test_a_stop_by_the_engine_has_the_payloads_time_and_a_moment_more(bench: Callable[[StopPolicy], Bench]) -> None:
    one = bench(POLICY)

    one.signal(signal.SIGTERM)
    run_until(one.loop, lambda: one.container.signals == ["TERM"], "the stop signal")
    assert one.engine.matching("POST /containers/*/stop")[0].query["t"] == "10"
    assert one.turn(9.9) == ["TERM"]
    was_killed = one.stopper.killed
    assert one.turn(0.2) == ["TERM"]
    assert (was_killed, one.stopper.killed) == (False, True), "the engine's SIGKILL counts as this unit's"
    one.turn(ENGINE_GRACE_SEC)
    run_until(one.loop, lambda: one.container.signals == ["TERM", "KILL"], "SIGKILL")


def test_a_second_stop_kills_at_once(bench: Callable[[StopPolicy], Bench], logged: Callable[[], list[str]]) -> None:
    one = bench(replace(POLICY, stops_payload=True))

    assert one.signal(signal.SIGTERM, signal.SIGINT) == ["KILL"]
    assert one.stopper.stopped_by == signal.SIGTERM
    assert any("has not stopped in time, killing it" in line for line in logged())


@pytest.mark.parametrize("forwards", [True, False])
def test_other_signals_are_passed_on_where_they_do_not_arrive_by_themselves(
    bench: Callable[[StopPolicy], Bench], *, forwards: bool
) -> None:
    one = bench(replace(POLICY, forwards=forwards))

    assert one.signal(signal.SIGHUP, signal.SIGHUP) == (["HUP", "HUP"] if forwards else [])
    assert one.stopper.stopped_by == 0
    assert one.stopper.left_sec(7) == 7


def test_an_engine_that_is_away_does_not_keep_the_payload_alive(
    bench: Callable[[StopPolicy], Bench], logged: Callable[[], list[str]]
) -> None:
    one = bench(replace(POLICY, stops_payload=True))
    one.engine.stop()

    one.signal(signal.SIGTERM, signal.SIGTERM)

    assert one.leader_kills == 1
    assert any("cannot kill container 'web': cannot reach the engine" in line for line in logged())


def test_an_engine_that_hangs_does_not_keep_the_payload_alive(
    bench: Callable[[StopPolicy], Bench], logged: Callable[[], list[str]]
) -> None:
    """As one that was stopped by SIGSTOP: its socket accepts every request."""
    one = bench(replace(POLICY, stops_payload=True))
    release = one.engine.hold("POST /containers/*/kill")

    for signo in (signal.SIGTERM, signal.SIGCONT):
        one.stopper.handle(signo)
    one.clock.turn(one.loop, 10.1)
    assert one.leader_kills == 0
    one.clock.turn(one.loop, KILL_GRACE_SEC)
    assert one.leader_kills == 1
    one.clock.turn(one.loop, ENGINE_GRACE_SEC)

    assert any("cannot kill container 'web': no answer within 2 s" in line for line in logged())
    assert not one.requests.are_open
    release()


def test_what_is_left_of_the_units_time_shrinks_from_the_first_stop_on(bench: Callable[[StopPolicy], Bench]) -> None:
    one = bench(replace(POLICY, stops_payload=True, budget_sec=30.0))

    one.signal(signal.SIGTERM)
    one.turn(9)

    assert one.stopper.left_sec(100) == 21
    assert one.stopper.left_sec(5) == 5
    one.turn(30)
    assert one.stopper.left_sec(5, at_least_sec=1) == 1


def test_closing_cancels_every_deadline(bench: Callable[[StopPolicy], Bench]) -> None:
    one = bench(replace(POLICY, stops_payload=True))

    one.signal(signal.SIGTERM)
    one.stopper.close()

    assert one.turn(100) == []
    assert one.loop.is_empty
