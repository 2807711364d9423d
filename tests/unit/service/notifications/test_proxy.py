from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from systemd_docker.sd.notify import MAX_DATAGRAM_BYTES, Listener, Notifier
from systemd_docker.service.notifications import proxy
from systemd_docker.service.notifications.proxy import Budget, reserved_lines
from systemd_docker.service.notifications.state import NotifyState
from systemd_docker.service.notifications.status import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from systemd_docker.kernel.loop import Loop
    from tests.fakes.clock import Clock
    from tests.fakes.manager import Manager

GOOD = [
    b"READY=1", b"RELOADING=1", b"STOPPING=1", b"STATUS=", b"STATUS=\xff", b"ERRNO=0", b"ERRNO=4095",
    b"BUSERROR=org.freedesktop.DBus.Error.TimedOut", b"VARLINKERROR=io.systemd.Oops", b"EXIT_STATUS=3",
    b"MONOTONIC_USEC=18446744073709551", b"EXTEND_TIMEOUT_USEC=1", b"WATCHDOG_USEC=20000000", b"WATCHDOG=1",
    b"WATCHDOG=trigger", b"FDSTORE=1", b"FDSTOREREMOVE=1", b"FDNAME=state", b"FDPOLL=0", b"FDPOLL=1",
]  # fmt: skip

BAD = [
    b"", b"=", b"READY", b"READY=", b"READY=0", b"READY=1 ", b" READY=1", b"ready=1", b"MAINPID=1", b"MAINPIDFD=1",
    b"MAINPIDFDID=1", b"NOTIFYACCESS=all", b"BARRIER=1", b"X_LEVEL=1", b"ERRNO=4096", b"ERRNO=-1", b"ERRNO=",
    b"BUSERROR=none", b"BUSERROR=a..b", b"BUSERROR=a.1", b"VARLINKERROR=", b"WATCHDOG=2", b"WATCHDOG_USEC=1s",
    b"MONOTONIC_USEC=99999999999999999999", b"FDNAME=", b"FDNAME=a:b", b"FDNAME=\xff", b"FDNAME=" + b"x" * 256,
    b"FDPOLL=2", b"FDSTORE=2",
]  # fmt: skip


@pytest.mark.parametrize("line", GOOD)
def test_what_a_payload_may_say(line: bytes) -> None:
    assert proxy.is_allowed(line)


@pytest.mark.parametrize("line", BAD)
def test_what_a_payload_may_not_say(line: bytes) -> None:
    assert not proxy.is_allowed(line)


class Bench:
    """A container's end and systemd's end, with a proxy between them."""

    def __init__(self, directory: Path, loop: Loop, manager: Manager, watchdog: str, budget: Budget | None) -> None:
        self.loop = loop
        self.manager = manager
        self.payload = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listener = Listener(str(directory / "payload"))
        self.payload.connect(str(directory / "payload"))
        notifier = Notifier(manager.path)
        state = NotifyState(ready="payload", status="Container web runs")
        self.status = Status(notifier, state, "")
        self.proxy = proxy.Proxy(loop, listener, notifier, self.status, reserved_lines(state, watchdog), budget)

    def send(self, *datagrams: bytes) -> None:
        for datagram in datagrams:
            self.payload.send(datagram)

    def pass_on(self, *datagrams: bytes) -> list[str]:
        """Return what arrives of each of them, one at a time."""
        arrived = []
        for datagram in datagrams:
            self.payload.send(datagram)
            self.proxy.drain()
            arrived += self.manager.received()
        return arrived

    def close(self) -> None:
        self.proxy.close()
        self.payload.close()


@pytest.fixture
def make_bench(tmp_path: Path, loop: Loop, manager: Manager) -> Iterator[Callable[..., Bench]]:
    with contextlib.ExitStack() as stack:

        def make(watchdog: str = "", budget: Budget | None = None) -> Bench:
            bench = Bench(tmp_path, loop, manager, watchdog, budget)
            stack.callback(bench.close)
            return bench

        yield make


def test_what_is_allowed_goes_on_and_the_rest_of_a_message_does_not(make_bench: Callable[..., Bench]) -> None:
    arrived = make_bench().pass_on(b"MAINPID=1\nREADY=1\nSTATUS=up\n", b"MAINPID=1", b"STOPPING=1\0")

    assert arrived == ["READY=1\nSTATUS=up", "STOPPING=1"]


@pytest.mark.parametrize("datagram", [b"READY=1\nSTATUS=a\0b", b"READY=1\nSTATUS=" + b"x" * MAX_DATAGRAM_BYTES])
def test_what_systemd_would_ignore_whole_is_ignored_whole(make_bench: Callable[..., Bench], datagram: bytes) -> None:
    assert make_bench().pass_on(datagram) == []


def test_a_status_that_grows_too_long_does_not_take_the_rest_with_it(make_bench: Callable[..., Bench]) -> None:
    assert make_bench().pass_on(b"READY=1\nSTATUS=" + b"\xff" * 2000) == ["READY=1"]


def test_what_systemd_docker_sends_itself_is_not_passed_on(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(watchdog="health")

    arrived = bench.pass_on(b"WATCHDOG=1", b"WATCHDOG_USEC=1000", b"WATCHDOG=trigger", b"READY=1")

    assert arrived == ["WATCHDOG=trigger", "READY=1"]


def test_a_status_of_the_container_has_its_health_behind_it(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    bench.pass_on(b"STATUS=serving")

    bench.status.set_health("unhealthy")

    assert bench.manager.received() == ["STATUS=serving (unhealthy)"]
    assert bench.pass_on(b"STATUS=still serving") == ["STATUS=still serving (unhealthy)"]


def test_descriptors_go_on_to_the_store_and_nowhere_else(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    reader, writer = os.pipe()
    for message in (b"FDSTORE=1\nFDNAME=state", b"STATUS=with a gift"):
        socket.send_fds(bench.payload, [message], [writer])
    os.close(writer)

    bench.proxy.drain()

    received = bench.manager.receive()
    assert received is not None
    text, stored = received
    assert (text, len(stored)) == ("FDSTORE=1\nFDNAME=state", 1)
    assert bench.manager.receive() == ("STATUS=with a gift", [])
    os.write(stored[0], b"x")
    os.close(stored[0])
    assert os.read(reader, 2) == b"x"
    assert os.read(reader, 1) == b"", "no other process has it"
    os.close(reader)


def test_a_barrier_falls_when_systemd_lets_it(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    socket.send_fds(bench.payload, [b"BARRIER=1"], [writer])
    os.close(writer)

    bench.proxy.drain()

    with pytest.raises(BlockingIOError):
        os.read(reader, 1)
    bench.manager.release()
    assert os.read(reader, 1) == b""
    os.close(reader)


# A container that floods.

TWO = Budget(2 * proxy.PASSED_COST, window_sec=5)


def test_a_flood_waits_for_the_next_window(make_bench: Callable[..., Bench], clock: Clock) -> None:
    bench = make_bench(budget=TWO)
    bench.send(*(b"STATUS=%d" % number for number in range(5)))

    bench.loop.step(0.0)
    rounds = [bench.manager.received()]
    for _ in range(2):
        clock.turn(bench.loop, TWO.window_sec - 0.1)
        assert bench.manager.received() == [], "not before its time"
        clock.turn(bench.loop, 0.1)
        rounds.append(bench.manager.received())

    assert rounds == [["STATUS=0", "STATUS=1"], ["STATUS=2", "STATUS=3"], ["STATUS=4"]]
    assert bench.loop.next_deadline() is None, "it is over"


def test_a_budget_is_that_of_one_window(make_bench: Callable[..., Bench], clock: Clock) -> None:
    bench = make_bench(budget=TWO)
    for number in range(5):
        bench.send(b"STATUS=%d" % number)
        bench.loop.step(0.0)
        assert bench.manager.received() == [f"STATUS={number}"]
        clock.turn(bench.loop, TWO.window_sec)


def test_a_flood_of_what_is_dropped_waits_too(make_bench: Callable[..., Bench], clock: Clock) -> None:
    bench = make_bench(budget=Budget(2 * proxy.DROPPED_COST, window_sec=5))
    bench.send(b"MAINPID=1", b"MAINPID=1", b"READY=1")

    bench.loop.step(0.0)
    assert bench.manager.received() == []
    clock.turn(bench.loop, 5)

    assert bench.manager.received() == ["READY=1"]


def test_closing_in_the_pause_of_a_flood_leaves_no_timer_and_watches_nothing_afterwards(
    make_bench: Callable[..., Bench], clock: Clock
) -> None:
    bench = make_bench(budget=TWO)
    bench.send(*(b"STATUS=%d" % number for number in range(5)))
    bench.loop.step(0.0)
    assert bench.loop.next_deadline() is not None, "the pause runs"

    bench.proxy.close()
    bench.proxy.close()

    assert bench.loop.is_empty
    clock.turn(bench.loop, 10 * TWO.window_sec)
    assert bench.loop.is_empty
    assert bench.manager.received() == ["STATUS=0", "STATUS=1"]


def test_what_a_container_sent_before_it_ended_is_passed_on_in_a_pause(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(budget=TWO)
    bench.send(*(b"STATUS=%d" % number for number in range(5)))
    bench.loop.step(0.0)
    bench.manager.received()

    bench.proxy.drain()

    assert bench.manager.received() == ["STATUS=2", "STATUS=3", "STATUS=4"]


# What is logged.


def test_the_first_thing_that_is_dropped_is_logged_once(
    make_bench: Callable[..., Bench], logged: Callable[[], list[str]]
) -> None:
    make_bench().pass_on(b"MAINPID=1\x1b[2J", b"NOTIFYACCESS=all")

    assert logged() == [r"systemd-docker: ignoring notification from the container, not allowed: 'MAINPID=1\x1b[2J'"]


def test_a_systemd_that_is_away_loses_the_message_and_nothing_else(
    make_bench: Callable[..., Bench], logged: Callable[[], list[str]]
) -> None:
    bench = make_bench()
    bench.manager.go_away()
    reader, writer = os.pipe()
    socket.send_fds(bench.payload, [b"FDSTORE=1"], [writer])
    os.close(writer)

    bench.loop.step(0.0)

    assert os.read(reader, 1) == b"", "the descriptor is closed"
    os.close(reader)
    assert len(logged()) == 1
    assert "cannot pass the container's notification on to systemd: " in logged()[0]


RESERVED = [
    ("started", "", ["READY=1"]),
    ("healthy", "payload", ["READY=1"]),
    ("payload", "", []),
    ("payload", "payload", []),
    ("payload", "health", ["WATCHDOG=1", "WATCHDOG_USEC="]),
    ("started", "engine", ["READY=1", "WATCHDOG=1", "WATCHDOG_USEC="]),
]


@pytest.mark.parametrize(("ready", "watchdog", "lines"), RESERVED)
def test_what_a_container_may_not_send_in_this_unit(ready: str, watchdog: str, lines: list[str]) -> None:
    assert reserved_lines(NotifyState(ready=ready), watchdog) == tuple(line.encode() for line in lines)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=100),
            st.sampled_from(GOOD + BAD),
            st.tuples(st.sampled_from(GOOD), st.binary(max_size=40)).map(b"".join),
        ),
        max_size=5,
    ).map(b"\n".join)
)
def test_nothing_arrives_that_systemd_would_complain_of(
    make_bench: Callable[..., Bench], tmp_path: Path, datagram: bytes
) -> None:
    (tmp_path / "payload").unlink(missing_ok=True)
    bench = make_bench()

    arrived = bench.pass_on(datagram)
    bench.close()

    assert bench.loop.is_empty
    for message in arrived:
        assert message
        assert "\0" not in message
        assert len(message.encode()) <= MAX_DATAGRAM_BYTES
        assert all(proxy.is_allowed(line.encode()) for line in message.split("\n"))
