from __future__ import annotations

import contextlib
import os
import select
import socket
from typing import TYPE_CHECKING

import pytest

from systemd_docker.frozen import replace
from systemd_docker.kernel.loop import Loop
from systemd_docker.kernel.pidfd import NO_FD
from systemd_docker.sd.notify import Listener
from systemd_docker.service.engine_requests import Requests
from systemd_docker.service.notifications.reporter import Reports
from systemd_docker.service.supervise import state as held_room
from tests.fakes.containers import Script
from tests.fakes.held import held

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from systemd_docker.service.supervise.state import Held
    from tests.fakes.engine import FakeEngine

BEGIN_NSEC = 1767225600 * 10**9
"""The time of the fake engine's first event."""

DEADLINE_SEC = 10


class Bench:
    """The reports of one container with a healthcheck, and the service manager that they go to."""

    def __init__(self, engine: FakeEngine, manager: socket.socket) -> None:
        self.engine = engine
        self.manager = manager
        self.loop = Loop()
        self.said: list[str] = []
        self.stirred: list[bool] = []
        self.container = engine.add("web", script=Script(exit_code=None))
        engine.begin(self.container)
        self.requests = Requests(self.loop, engine.path, (1, 45))
        self.held = held(
            socket_path=engine.path,
            api=(1, 45),
            id=self.container.id,
            notify_socket="/set",
            status="web runs",
            healthcheck="true",
            health="starting",
            health_since_nsec=BEGIN_NSEC,
        )

    def reports(self, record: Held) -> Reports:
        return Reports(self.loop, record, self.requests, stirred=lambda: self.stirred.append(True))

    def says(self, *texts: str) -> None:
        """Until the manager was told that."""
        self.loop.after(DEADLINE_SEC, lambda: pytest.fail(f"said {self.said}, not {texts}"))

        def are_said() -> bool:
            with contextlib.suppress(BlockingIOError):
                self.said.append(self.manager.recv(4096).decode())
            return self.said == list(texts)

        self.loop.watch(self.manager.fileno(), select.POLLIN, lambda: None)
        self.loop.run_until(are_said)
        self.said.clear()
        self.loop.unwatch(self.manager.fileno())


@pytest.fixture
def bench(engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    path = str(tmp_path / "manager")
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as manager:
        manager.bind(path)
        bench = Bench(engine, manager)
        yield bench
        bench.requests.close()


@pytest.mark.parametrize("found", ["starting", ""])
def test_what_was_found_and_is_no_news_is_not_said(bench: Bench, found: str) -> None:
    reports = bench.reports(replace(bench.held, health_found=found))
    bench.engine.set_health("web", "healthy")

    bench.says("STATUS=web runs (healthy)")

    reports.close()


def test_a_change_that_was_missed_is_acted_on(bench: Bench, logged: Callable[[], list[str]]) -> None:
    record = replace(bench.held, health="healthy", health_found="unhealthy", health_on_failure="kill")
    reports = bench.reports(record)

    bench.says("STATUS=web runs (unhealthy)")

    bench.loop.run_until(lambda: bench.container.signals == ["KILL"])
    assert logged() == ["systemd-docker: container 'web' is unhealthy, killing it"]
    reports.close()


@pytest.mark.parametrize(("since", "status"), [((), "runs"), ((b"STATUS=up",), "up"), ((b"READY=1",), "runs")])
def test_what_the_dead_have_said_is_forgotten(
    bench: Bench, tmp_path: Path, since: tuple[bytes, ...], status: str
) -> None:
    listener = Listener(str(tmp_path / "notify"))
    quiet = replace(bench.held, healthcheck="", health="", payload_says_ready=True)
    record = replace(quiet, notify_fd=listener.fileno(), steady_status="runs", status="old")
    reports = bench.reports(record)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as payload:
        payload.connect(str(tmp_path / "notify"))
        payload.send(b"STATUS=ending")

        reports.forget()

        for message in since:
            payload.send(message)
        bench.says("STATUS=ending", *(message.decode() for message in since))
    assert reports.now_held(record).status == status
    reports.close()
    listener.close()


def at_rest(bench: Bench) -> Held:
    """What a new image of the program would hold, and owns."""
    first = bench.reports(bench.held)
    assert first.resting(bench.held).health_fd == NO_FD, "it has not been asked for yet"
    bench.loop.run_until(lambda: first.resting(bench.held).health_fd != NO_FD)
    resting = first.resting(first.now_held(bench.held))
    resting = replace(resting, health_fd=os.dup(resting.health_fd))
    first.close()
    return resting


def test_who_rests_waits_for_news_and_soon_rests_again(bench: Bench) -> None:
    resting = at_rest(bench)
    reports = bench.reports(resting)
    assert reports.now_held(resting).health_fd == resting.health_fd
    assert not bench.stirred

    bench.engine.set_health("web", "healthy")

    bench.says("STATUS=web runs (healthy)")
    assert bench.stirred == [True]
    now = reports.now_held(resting)
    assert (now.health_fd, now.health) == (NO_FD, "healthy"), "who closes it is not who has closed it"
    bench.loop.run_until(lambda: reports.resting(now).health_fd != NO_FD)
    reports.close()


def test_who_rests_without_news_gives_back_what_it_waited_for(bench: Bench) -> None:
    resting = at_rest(bench)
    reports = bench.reports(resting)

    reports.close()

    held_room.close(reports.now_held(resting))


def test_an_engine_that_goes_away_is_no_news(bench: Bench) -> None:
    resting = at_rest(bench)
    reports = bench.reports(resting)
    os.unlink(bench.engine.path)
    bench.engine.hang_up()
    bench.loop.after(0.2, lambda: bench.stirred.append(False))

    bench.loop.run_until(lambda: bool(bench.stirred))

    assert bench.stirred == [False]
    reports.close()
    held_room.close(reports.now_held(resting))


@pytest.mark.parametrize("watchdog", ["health", "engine"])
def test_who_pings_does_not_rest_so_deep(bench: Bench, watchdog: str) -> None:
    record = replace(bench.held, watchdog=watchdog, watchdog_usec=60_000_000)
    reports = bench.reports(record)

    assert reports.resting(reports.now_held(record)).health_fd == NO_FD

    reports.close()


def test_a_container_that_was_taken_up_is_listened_to_at_once(bench: Bench) -> None:
    resting = replace(at_rest(bench), health_found="unhealthy")

    reports = bench.reports(resting)

    bench.says("STATUS=web runs (unhealthy)")
    assert reports.now_held(resting).health_fd == NO_FD
    reports.close()
