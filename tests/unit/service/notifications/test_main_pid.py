from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from systemd_docker.sd.notify import BARRIER_TIMEOUT_SEC, Notifier
from systemd_docker.service.notifications.main_pid import MainPid, announce
from tests.fakes.clock import run_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from systemd_docker.kernel.loop import Loop
    from tests.fakes.clock import Clock
    from tests.fakes.manager import Manager

OWN = f"MAINPID={os.getpid()}"


class Bench:
    """settled: one entry for each call of on_settled."""

    def __init__(self, loop: Loop, clock: Clock, notifier: Notifier, *, is_leader: bool = True) -> None:
        self.loop = loop
        self.clock = clock
        self.settled: list[float] = []
        self.main_pid = MainPid(loop, notifier, is_leader=is_leader, on_settled=lambda: self.settled.append(clock()))

    def is_settled(self) -> bool:
        return self.main_pid.is_settled

    def is_leader(self) -> bool:
        return self.main_pid.is_leader


@pytest.fixture
def bench(loop: Loop, clock: Clock, notifier: Notifier) -> Iterator[Bench]:
    bench = Bench(loop, clock, notifier)
    yield bench
    bench.main_pid.close()


def test_a_leader_is_named_and_its_death_names_this_process(bench: Bench, manager: Manager) -> None:
    bench.main_pid.give(42)
    assert manager.received() == ["MAINPID=42"]
    assert bench.is_leader()
    assert bench.is_settled(), "nothing waits for this"

    bench.main_pid.take_back()

    assert manager.received() == [OWN]
    assert not bench.is_leader()


def test_it_is_settled_when_systemd_has_acted_on_it(bench: Bench, manager: Manager) -> None:
    bench.main_pid.take_back(STOPPING=1)

    bench.clock.turn(bench.loop, BARRIER_TIMEOUT_SEC - 0.1)
    assert not bench.is_settled()
    assert bench.settled == []

    assert manager.received() == [f"{OWN}\nSTOPPING=1"]
    manager.release()
    run_until(bench.loop, lambda: bool(bench.settled), "the barrier")

    assert bench.is_settled()
    assert bench.loop.is_empty
    bench.clock.turn(bench.loop, 2 * BARRIER_TIMEOUT_SEC)
    assert len(bench.settled) == 1


def test_a_systemd_that_does_not_act_in_time_settles_it_too(bench: Bench, manager: Manager) -> None:
    bench.main_pid.take_back()

    bench.clock.turn(bench.loop, BARRIER_TIMEOUT_SEC)

    assert bench.is_settled()
    assert len(bench.settled) == 1
    assert bench.loop.is_empty
    manager.release()


def test_the_timer_of_an_earlier_barrier_does_not_drop_a_later_one(bench: Bench, manager: Manager) -> None:
    bench.main_pid.take_back()
    bench.clock.turn(bench.loop, BARRIER_TIMEOUT_SEC - 1)
    bench.main_pid.give(42)
    bench.main_pid.take_back(STOPPING=1)

    bench.clock.turn(bench.loop, BARRIER_TIMEOUT_SEC - 1)

    assert not bench.is_settled()
    assert bench.settled == []
    bench.clock.turn(bench.loop, 1)
    assert bench.is_settled()
    assert len(bench.settled) == 1
    assert manager.received() == [OWN, "MAINPID=42", f"{OWN}\nSTOPPING=1"]


def test_an_earlier_barrier_that_falls_does_not_settle_a_later_one(bench: Bench, manager: Manager) -> None:
    bench.main_pid.take_back()
    manager.release()
    bench.main_pid.take_back(STOPPING=1)

    bench.loop.step(0.0)

    assert not bench.is_settled()
    assert bench.settled == []


def test_this_process_is_not_named_where_it_is_the_main_process(
    loop: Loop, clock: Clock, notifier: Notifier, manager: Manager
) -> None:
    bench = Bench(loop, clock, notifier, is_leader=False)

    bench.main_pid.take_back()
    assert manager.received() == []
    assert bench.is_settled()
    assert loop.is_empty

    bench.main_pid.take_back(STOPPING=1)
    assert manager.received() == ["STOPPING=1"]
    assert not bench.is_settled()
    bench.main_pid.close()


def test_closing_leaves_nothing_and_calls_nothing(bench: Bench, manager: Manager) -> None:
    bench.main_pid.take_back()

    bench.main_pid.close()
    bench.main_pid.close()

    assert bench.loop.is_empty
    manager.release()
    bench.clock.turn(bench.loop, 2 * BARRIER_TIMEOUT_SEC)
    assert bench.settled == []


def test_a_systemd_that_is_away_is_logged_and_not_waited_for(
    bench: Bench, manager: Manager, logged: Callable[[], list[str]]
) -> None:
    manager.go_away()

    bench.main_pid.take_back(STOPPING=1)

    assert bench.is_settled()
    assert bench.loop.is_empty
    assert len(logged()) == 1
    assert "cannot tell systemd that systemd-docker is the main process again: " in logged()[0]


def test_a_systemd_that_goes_away_does_not_end_an_earlier_barrier(bench: Bench, manager: Manager) -> None:
    bench.main_pid.take_back()
    manager.go_away()
    bench.main_pid.take_back(STOPPING=1)
    assert not bench.is_settled()

    manager.release()
    run_until(bench.loop, lambda: bool(bench.settled), "the earlier barrier")

    assert bench.is_settled()


def test_a_systemd_that_is_away_does_not_stop_a_new_leader(
    bench: Bench, manager: Manager, logged: Callable[[], list[str]]
) -> None:
    manager.go_away()

    bench.main_pid.give(42)

    assert "cannot send a notification to systemd: " in logged()[0]


def test_without_systemd_everything_is_settled_at_once(loop: Loop, clock: Clock) -> None:
    bench = Bench(loop, clock, Notifier(""))

    bench.main_pid.take_back()
    run_until(loop, lambda: bool(bench.settled), "a barrier that has hung up already")

    assert bench.is_settled()
    assert loop.is_empty


@pytest.mark.parametrize(
    ("leader", "is_ready", "messages"),
    [(42, True, ["MAINPID=42\nREADY=1"]), (42, False, ["MAINPID=42"]), (0, True, ["READY=1"]), (0, False, [])],
)
def test_main_process_and_readiness_go_in_one_message(
    notifier: Notifier, manager: Manager, *, leader: int, is_ready: bool, messages: list[str]
) -> None:
    announce(notifier, leader=leader, is_ready=is_ready)

    assert manager.received() == messages
