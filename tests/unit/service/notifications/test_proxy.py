from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from systemd_docker.kernel.loop import Loop
from systemd_docker.sd.notify import MAX_DATAGRAM_BYTES, Listener, Notifier
from systemd_docker.service.notifications import proxy
from systemd_docker.service.notifications.status import Status
from tests.fakes.held import held

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

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
    """A payload's end and a service manager's end, with a proxy between them."""

    def __init__(self, directory: Path, limits: Mapping[str, Any], changes: Mapping[str, object]) -> None:
        self.loop = Loop()
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(str(directory / "manager"))
        self.manager.setblocking(False)
        self.listener = Listener(str(directory / "payload"))
        self.payload = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.payload.connect(str(directory / "payload"))
        notifier = Notifier(str(directory / "manager"))
        record = held(payload_says_ready=True, **changes)
        self.status = Status(notifier, record)
        self.proxy = proxy.Proxy(self.loop, record, self.listener, notifier, self.status, **limits)

    def pass_on(self, *datagrams: bytes) -> list[bytes]:
        """What arrives of each of them, one at a time."""
        arrived = []
        for datagram in datagrams:
            self.payload.send(datagram)
            self.proxy.drain()
            arrived += self.received()
        return arrived

    def received(self) -> list[bytes]:
        arrived = []
        with contextlib.suppress(BlockingIOError):
            while True:
                arrived.append(self.manager.recv(65536))
        return arrived

    def close(self) -> None:
        for closable in (self.manager, self.listener, self.payload):
            closable.close()


@pytest.fixture
def make_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Bench]]:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "manager"))
    with contextlib.ExitStack() as stack:

        def make(limits: Mapping[str, Any] | None = None, **changes: object) -> Bench:
            bench = Bench(tmp_path, limits or {}, changes)
            stack.callback(bench.close)
            return bench

        yield make


def test_what_is_allowed_goes_on_and_the_rest_of_a_message_does_not(make_bench: Callable[..., Bench]) -> None:
    arrived = make_bench().pass_on(b"MAINPID=1\nREADY=1\nSTATUS=up\n", b"MAINPID=1", b"STOPPING=1\0")

    assert arrived == [b"READY=1\nSTATUS=up", b"STOPPING=1"]


@pytest.mark.parametrize("datagram", [b"READY=1\nSTATUS=a\0b", b"READY=1\nSTATUS=" + b"x" * MAX_DATAGRAM_BYTES])
def test_what_the_manager_would_ignore_whole_is_ignored_whole(
    make_bench: Callable[..., Bench], datagram: bytes
) -> None:
    assert make_bench().pass_on(datagram) == []


def test_a_status_that_grows_too_long_does_not_take_the_rest_with_it(make_bench: Callable[..., Bench]) -> None:
    assert make_bench().pass_on(b"READY=1\nSTATUS=" + b"\xff" * 2000) == [b"READY=1"]


def test_what_is_ours_to_say_is_not_passed_on(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(watchdog="health")

    arrived = bench.pass_on(b"WATCHDOG=1", b"WATCHDOG_USEC=1000", b"WATCHDOG=trigger", b"READY=1")

    assert arrived == [b"WATCHDOG=trigger", b"READY=1"]


def test_a_payloads_status_has_its_health_behind_it(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    bench.pass_on(b"STATUS=serving")

    bench.status.set_health("unhealthy")

    assert bench.received() == [b"STATUS=serving (unhealthy)"]
    assert bench.pass_on(b"STATUS=still serving") == [b"STATUS=still serving (unhealthy)"]


def test_descriptors_go_on_to_the_store_and_nowhere_else(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    reader, writer = os.pipe()
    for message in (b"FDSTORE=1\nFDNAME=state", b"STATUS=with a gift"):
        socket.send_fds(bench.payload, [message], [writer])
    os.close(writer)

    bench.proxy.drain()

    data, stored, _flags, _address = socket.recv_fds(bench.manager, 4096, 4)
    assert (data, len(stored)) == (b"FDSTORE=1\nFDNAME=state", 1)
    data, given, _flags, _address = socket.recv_fds(bench.manager, 4096, 4)
    assert (data, given) == (b"STATUS=with a gift", [])
    os.write(stored[0], b"x")
    os.close(stored[0])
    assert os.read(reader, 2) == b"x"
    assert os.read(reader, 1) == b"", "nobody else has it"
    os.close(reader)


def test_a_barrier_falls_when_the_manager_lets_it(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    socket.send_fds(bench.payload, [b"BARRIER=1"], [writer])
    os.close(writer)

    bench.proxy.drain()

    with pytest.raises(BlockingIOError):
        os.read(reader, 1)
    _data, fds, _flags, _address = socket.recv_fds(bench.manager, 4096, 4)
    os.close(fds[0])
    assert os.read(reader, 1) == b""
    os.close(reader)


def test_whoever_floods_waits_for_the_next_window(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench({"budget": 2 * proxy.PASSED_COST, "window_sec": 0.05})
    for number in range(5):
        bench.payload.send(b"STATUS=%d" % number)
    arrived: list[bytes] = []
    rounds = []

    def is_over() -> bool:
        new = bench.received()
        arrived.extend(new)
        rounds.append(len(new))
        return len(arrived) == 5

    bench.loop.run_until(is_over)

    assert arrived == [b"STATUS=%d" % number for number in range(5)]
    assert [count for count in rounds if count] == [2, 2, 1]


def test_the_first_thing_that_is_dropped_is_told_once(
    make_bench: Callable[..., Bench], logged: Callable[[], list[str]]
) -> None:
    make_bench().pass_on(b"MAINPID=1\x1b[2J", b"NOTIFYACCESS=all")

    assert logged() == [r"systemd-docker: the container may not tell systemd 'MAINPID=1\x1b[2J', ignoring"]


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
def test_nothing_arrives_that_the_manager_would_complain_of(
    make_bench: Callable[..., Bench], tmp_path: Path, datagram: bytes
) -> None:
    for name in ("manager", "payload"):
        with contextlib.suppress(FileNotFoundError):
            (tmp_path / name).unlink()
    bench = make_bench()

    arrived = bench.pass_on(datagram)
    bench.close()

    for message in arrived:
        assert message.decode()
        assert b"\0" not in message
        assert len(message) <= MAX_DATAGRAM_BYTES
        assert all(proxy.is_allowed(line) for line in message.split(b"\n"))
