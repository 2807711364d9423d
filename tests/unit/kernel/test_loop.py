from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Iterator

import pytest

from systemd_docker.kernel.loop import Loop
from systemd_docker.kernel.signals import HANDLED, Signals, StopRequestedError
from tests.fakes.clock import Clock


def test_a_handler_runs_for_what_is_readable_and_for_nothing_else() -> None:
    loop, calls = Loop(), []
    quiet_reader, quiet_writer = os.pipe()
    reader, writer = os.pipe()
    loop.watch(quiet_reader, select.POLLIN, lambda: calls.append("quiet"))
    loop.watch(reader, select.POLLIN, lambda: calls.append("loud"))
    os.write(writer, b"x")

    loop.run_until(lambda: len(calls) == 3)

    assert calls == ["loud"] * 3
    for fd in (quiet_reader, quiet_writer, reader, writer):
        os.close(fd)


def test_a_handler_may_give_up_another_of_the_same_round() -> None:
    loop, calls = Loop(), []
    pipes = [os.pipe(), os.pipe()]

    def handle(mine: int, other: int) -> None:
        calls.append(mine)
        loop.unwatch(other)

    for (reader, writer), (other, _) in zip(pipes, reversed(pipes), strict=True):
        os.write(writer, b"x")
        loop.watch(reader, select.POLLIN, lambda mine=reader, other=other: handle(mine, other))  # type: ignore[misc]

    loop.run_until(lambda: len(calls) == 2)

    assert len(set(calls)) == 1
    for fds in pipes:
        for fd in fds:
            os.close(fd)


def test_a_descriptor_that_takes_the_number_of_one_given_up_has_no_event_yet() -> None:
    """An engine that stops closes two connections at once; the first one's handler closes both and opens another."""
    pipes, (idle, idle_writer) = [os.pipe(), os.pipe()], os.pipe()
    loop, new = Loop(), []

    def replace_other(mine: int, other: int) -> None:
        os.read(mine, 1)
        loop.unwatch(other)
        os.dup2(idle, other)
        loop.watch(other, select.POLLIN, lambda: new.append(other))

    for (reader, writer), (other, _) in zip(pipes, reversed(pipes), strict=True):
        os.write(writer, b"x")
        loop.watch(reader, select.POLLIN, lambda mine=reader, other=other: replace_other(mine, other))  # type: ignore[misc]
    loop.step(0)
    assert new == []

    os.write(idle_writer, b"y")
    loop.step(0)
    assert len(new) == 1
    for fd in (idle, idle_writer, *(fd for pair in pipes for fd in pair)):
        os.close(fd)


def test_a_deadline_comes_once_and_in_its_time() -> None:
    loop, calls = Loop(), []
    begin = time.monotonic()
    loop.after(0.05, lambda: calls.append("late"))
    loop.after(0.0, lambda: calls.append("early"))

    loop.run_until(lambda: "late" in calls)

    assert calls == ["early", "late"]
    assert time.monotonic() - begin >= 0.05


def test_a_cancelled_timer_never_runs_even_in_the_round_in_which_it_is_due() -> None:
    clock = Clock()
    loop, calls = Loop(clock), []

    def cancel_second() -> None:
        calls.append("first")
        second.cancel()

    first = loop.after(1, cancel_second)
    second = loop.after(1, lambda: calls.append("second"))
    loop.after(2, lambda: calls.append("third"))

    clock.turn(loop, 5)
    first.cancel()

    assert calls == ["first", "third"]
    assert loop.is_empty


def test_a_timer_that_sets_itself_again_is_due_once_a_period() -> None:
    clock = Clock()
    loop, calls = Loop(clock), []

    def tick() -> None:
        calls.append(clock())
        loop.after(10, tick)

    loop.after(10, tick)
    clock.turn(loop, 35)

    assert calls == [1010, 1020, 1030]
    assert not loop.is_empty


@pytest.fixture
def signals() -> Iterator[Signals]:
    before = {number: signal.getsignal(number) for number in (*HANDLED, signal.SIGPIPE)}
    caught = Signals()
    yield caught
    caught.close()
    assert {number: signal.getsignal(number) for number in before} == before


def test_signals_are_read_in_the_order_they_came(signals: Signals) -> None:
    for signo in (signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1):
        os.kill(os.getpid(), signo)

    assert signals.read() == [signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1]
    assert signals.read() == []


def test_a_signal_to_stop_ends_a_wait_and_is_not_lost(signals: Signals) -> None:
    quiet, other = socket.socketpair()
    os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(StopRequestedError, match="signal 15"):
        signals.wait(quiet.fileno(), select.POLLIN, time.monotonic() + 5)

    assert signals.read() == [signal.SIGHUP, signal.SIGTERM]
    quiet.close()
    other.close()


def test_other_signals_are_kept_and_late_ones_leave_time_for_an_answer(signals: Signals) -> None:
    ready, other = socket.socketpair()
    other.sendall(b"x")
    signals.patience_sec = 5
    os.kill(os.getpid(), signal.SIGUSR1)
    os.kill(os.getpid(), signal.SIGTERM)

    signals.wait(ready.fileno(), select.POLLIN, time.monotonic() + 5)

    assert signals.read() == [signal.SIGUSR1, signal.SIGTERM]
    ready.close()
    other.close()


def test_patience_with_waits_after_a_signal_to_stop_ends(signals: Signals) -> None:
    quiet, other = socket.socketpair()
    signals.patience_sec = 0.1
    os.kill(os.getpid(), signal.SIGTERM)
    begin = time.monotonic()

    for _ in range(2):
        with pytest.raises(StopRequestedError, match="signal 15"):
            signals.wait(quiet.fileno(), select.POLLIN, time.monotonic() + 5)

    assert 0.1 <= time.monotonic() - begin < 2, "both together"
    assert signals.read() == [signal.SIGTERM]
    quiet.close()
    other.close()


def test_a_wait_has_a_deadline(signals: Signals) -> None:
    quiet, other = socket.socketpair()

    with pytest.raises(TimeoutError):
        signals.wait(quiet.fileno(), select.POLLIN, time.monotonic() + 0.05)

    quiet.close()
    other.close()
