from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING

import pytest

from systemd_docker.frozen import replace
from systemd_docker.kernel.fd import Fd
from systemd_docker.sd.notify import Listener
from systemd_docker.service.engine_requests import EngineRequests
from systemd_docker.service.notifications.proxy import BUDGET, PASSED_COST, WINDOW_SEC
from systemd_docker.service.notifications.reporter import Reporter
from systemd_docker.service.notifications.state import HealthState, NotifyState, WatchdogState
from tests.fakes.clock import run_until
from tests.fakes.containers import RUNS
from tests.fakes.state import state_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from systemd_docker.kernel.loop import Loop
    from systemd_docker.sd.notify import Notifier
    from systemd_docker.service.supervise.state import ServiceState
    from tests.fakes.clock import Clock
    from tests.fakes.engine import FakeEngine
    from tests.fakes.manager import Manager

BEGIN_NSEC = 1767225600 * 10**9
"""The time of the fake engine's first event."""

NO_HEALTH = HealthState()


class Bench:
    """The reporter of one container with a healthcheck, and systemd, which it reports to.

    state:   of a container that is "starting". notified: every message so far.
    payload: the container's end of its notification socket, where state has one.
    """

    def __init__(self, engine: FakeEngine, loop: Loop, clock: Clock, manager: Manager, notifier: Notifier) -> None:
        self.engine = engine
        self.loop = loop
        self.clock = clock
        self.manager = manager
        self.notifier = notifier
        self.notified: list[str] = []
        self.container = engine.add("web", script=RUNS)
        engine.begin(self.container)
        self.payload = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        state = state_of(engine, self.container)
        self.state = replace(
            state,
            notify=NotifyState(manager.path, status="web runs", steady_status="Container web"),
            health=HealthState(check="true", status="starting", since_nsec=BEGIN_NSEC),
        )
        self.requests = EngineRequests(loop, state.engine)
        self._reporters: list[Reporter] = []

    def make(self, state: ServiceState) -> Reporter:
        reporter = Reporter(self.loop, state, self.requests, self.notifier)
        self._reporters.append(reporter)
        return reporter

    def begin(self, state: ServiceState) -> Reporter:
        reporter = self.make(state)
        reporter.begin()
        return reporter

    def wait(self, is_true: Callable[[], object], what: str) -> None:
        run_until(self.loop, lambda: bool(is_true()), what)

    def wait_for(self, *messages: str) -> None:
        """Until systemd was told exactly that since the last call."""

        def are_there() -> bool:
            self.notified += self.manager.received()
            return len(self.notified) >= len(messages)

        run_until(self.loop, are_there, f"{messages}")
        assert self.notified == list(messages)
        self.notified.clear()

    def wait_until_listening(self, count: int = 1) -> None:
        """Until the engine has accepted so many subscriptions: no timer limits the last one."""
        self.wait(
            lambda: len(self.engine.matching("GET /events")) == count and self.loop.next_deadline() is None,
            f"subscription {count}",
        )

    def snapshot(self, reporter: Reporter) -> ServiceState:
        notify, health = reporter.snapshot()
        return replace(self.state, notify=notify, health=health)

    def close(self) -> None:
        for reporter in self._reporters:
            reporter.close()
        self.requests.close()
        self.payload.close()


@pytest.fixture
def bench(engine: FakeEngine, loop: Loop, clock: Clock, manager: Manager, notifier: Notifier) -> Iterator[Bench]:
    bench = Bench(engine, loop, clock, manager, notifier)
    yield bench
    bench.close()


@pytest.fixture
def listening(bench: Bench, tmp_path: Path) -> Iterator[Bench]:
    """A bench whose container, without a healthcheck, has a notification socket, and is to send READY=1."""
    with contextlib.closing(Listener(str(tmp_path / "notify"))) as listener:
        bench.payload.connect(str(tmp_path / "notify"))
        notify = replace(bench.state.notify, payload_fd=Fd(listener.fileno()), ready="payload")
        bench.state = replace(bench.state, health=NO_HEALTH, notify=notify)
        yield bench


# The health that was found.

FOUND = [
    # what was known, what is found, whether READY=1 is still to be sent, and what is sent
    ("starting", "starting", "healthy", []),
    ("starting", "healthy", "healthy", ["READY=1", "STATUS=web runs (healthy)"]),
    ("starting", "healthy", "started", ["STATUS=web runs (healthy)"]),
    ("healthy", "unhealthy", "started", ["STATUS=web runs (unhealthy)"]),
    ("unhealthy", "starting", "started", ["STATUS=web runs (starting)"]),
    ("healthy", "healthy", "started", []),
    ("healthy", "", "started", []),
]


@pytest.mark.parametrize(("health", "found", "ready", "messages"), FOUND)
def test_what_is_found_counts_like_a_change(
    bench: Bench, health: str, found: str, ready: str, messages: list[str]
) -> None:
    known = replace(bench.state.health, status=health, found=found)
    state = replace(bench.state, health=known, notify=replace(bench.state.notify, ready=ready))

    reporter = bench.begin(state)

    assert bench.manager.received() == messages
    notify, now = reporter.snapshot()
    assert (now.status, now.found) == (found or health, "")
    assert notify.ready == ("healthy" if ready == "healthy" and found != "healthy" else "started")


@pytest.mark.parametrize("found", ["starting", ""])
def test_what_was_found_and_is_no_news_is_not_sent(bench: Bench, found: str) -> None:
    bench.begin(replace(bench.state, health=replace(bench.state.health, found=found)))
    bench.engine.set_health("web", "healthy")

    bench.wait_for("STATUS=web runs (healthy)")


def test_a_change_that_was_missed_is_acted_on(bench: Bench, logged: Callable[[], list[str]]) -> None:
    health = replace(bench.state.health, status="healthy", found="unhealthy", on_failure="kill")
    bench.begin(replace(bench.state, health=health))

    bench.wait_for("STATUS=web runs (unhealthy)")

    bench.wait(lambda: bench.container.signals == ["KILL"], "SIGKILL")
    assert logged() == ["systemd-docker: container 'web' is unhealthy, killing it"]


@pytest.mark.parametrize("status", [400, 500])
def test_ready_is_sent_after_an_engine_has_refused_to_tell_the_health(bench: Bench, status: int) -> None:
    bench.engine.fail("GET /events", status, "context deadline exceeded")
    bench.begin(replace(bench.state, notify=replace(bench.state.notify, ready="healthy")))
    bench.wait(lambda: bench.loop.next_deadline() == bench.clock() + 1, "a pause")
    bench.engine.set_health("web", "healthy")

    bench.clock.turn(bench.loop, 1)

    bench.wait_for("READY=1", "STATUS=web runs (healthy)")


def test_an_engine_that_is_away_at_the_beginning_is_asked_later(bench: Bench) -> None:
    bench.engine.stop()
    bench.begin(replace(bench.state, notify=replace(bench.state.notify, ready="healthy")))
    bench.engine.start()
    bench.engine.set_health("web", "healthy")

    bench.clock.turn(bench.loop, 1)

    bench.wait_for("READY=1", "STATUS=web runs (healthy)")


# Pauses, while the engine is lost.


def test_a_reporter_that_has_not_begun_or_has_paused_asks_nothing(bench: Bench) -> None:
    reporter = bench.make(replace(bench.state, watchdog=WatchdogState("engine", 30 * 10**6)))
    assert bench.loop.is_empty
    reporter.begin()
    bench.wait_for("WATCHDOG=1")

    reporter.pause()
    reporter.pause()

    assert bench.loop.is_empty
    before = len(bench.engine.requests)
    bench.clock.turn(bench.loop, 1000)
    assert len(bench.engine.requests) == before


@pytest.mark.parametrize("found", ["unhealthy", ""])
def test_a_change_in_a_pause_is_acted_on_once(bench: Bench, logged: Callable[[], list[str]], found: str) -> None:
    health = replace(bench.state.health, on_failure="kill")
    reporter = bench.begin(replace(bench.state, health=health))
    bench.engine.set_health("web", "healthy")
    bench.wait_for("STATUS=web runs (healthy)")

    bench.engine.stop()
    reporter.pause()
    bench.clock.turn(bench.loop, 1000)
    assert logged() == []
    bench.engine.start()
    bench.engine.set_health("web", "unhealthy")
    reporter.resume(found)

    bench.wait_for("STATUS=web runs (unhealthy)")
    bench.wait(lambda: bench.container.signals, "SIGKILL")
    bench.wait_until_listening(2)
    assert bench.container.signals == ["KILL"]
    assert logged() == ["systemd-docker: container 'web' is unhealthy, killing it"]


def test_the_watchdog_pings_again_after_a_pause(bench: Bench) -> None:
    state = replace(bench.state, health=NO_HEALTH, watchdog=WatchdogState("engine", 30 * 10**6))
    reporter = bench.begin(state)
    bench.wait_for("WATCHDOG=1")
    reporter.pause()

    reporter.resume("")

    bench.wait_for("WATCHDOG=1")


def test_the_container_is_listened_to_in_a_pause(listening: Bench) -> None:
    reporter = listening.begin(listening.state)
    reporter.pause()

    listening.payload.send(b"READY=1\nSTATUS=up")

    listening.wait_for("READY=1\nSTATUS=up")


# Leaders that die, and their successors.


@pytest.mark.parametrize(
    ("since", "status"), [((), "Container web"), ((b"STATUS=up",), "up"), ((b"READY=1",), "Container web")]
)
def test_what_a_dead_leader_has_sent_is_passed_on_and_forgotten(
    listening: Bench, since: tuple[bytes, ...], status: str
) -> None:
    state = replace(listening.state, notify=replace(listening.state.notify, status="old"))
    reporter = listening.begin(state)
    listening.payload.send(b"STATUS=ending")

    reporter.forget_leader()

    for message in since:
        listening.payload.send(message)
    listening.wait_for("STATUS=ending", *(message.decode() for message in since))
    notify, _health = reporter.snapshot()
    assert (notify.status, notify.steady_status) == (status, "Container web")


def test_what_was_sent_before_the_end_is_passed_on(listening: Bench) -> None:
    reporter = listening.begin(listening.state)
    listening.payload.send(b"STATUS=ending")

    reporter.drain()

    assert listening.manager.received() == ["STATUS=ending"]


def test_a_container_without_notifications_has_nothing_to_drain_or_to_forget(bench: Bench) -> None:
    reporter = bench.make(bench.state)

    reporter.drain()
    reporter.forget_leader()

    assert bench.manager.received() == []
    assert reporter.snapshot()[0].status == "Container web"


def test_a_restart_is_told_and_its_health_starts_again(bench: Bench) -> None:
    reporter = bench.begin(bench.state)
    bench.engine.set_health("web", "healthy")
    bench.wait_for("STATUS=web runs (healthy)")
    reporter.pause()
    reporter.forget_leader()

    reporter.restart()
    reporter.resume("starting")

    bench.wait_for("STATUS=Container web (starting, restarted once)")
    bench.engine.set_health("web", "healthy")
    bench.wait_for("STATUS=Container web (healthy, restarted once)")
    notify, health = reporter.snapshot()
    assert (notify.restarts, health.status) == (1, "healthy")


def test_a_restart_without_a_healthcheck_has_no_health(bench: Bench) -> None:
    reporter = bench.begin(replace(bench.state, health=NO_HEALTH))

    reporter.restart()
    reporter.restart()

    bench.wait_for("STATUS=web runs (restarted once)", "STATUS=web runs (restarted 2 times)")
    assert reporter.snapshot()[1] == NO_HEALTH


# Snapshots.


def test_a_reporter_of_which_nothing_has_changed_gives_back_its_state(bench: Bench) -> None:
    reporter = bench.make(bench.state)

    assert reporter.snapshot() == (bench.state.notify, bench.state.health)


@pytest.mark.parametrize("ready", ["started", "payload", "healthy"])
def test_a_snapshot_has_when_ready_is_to_be_sent(bench: Bench, ready: str) -> None:
    reporter = bench.begin(replace(bench.state, notify=replace(bench.state.notify, ready=ready)))

    assert reporter.snapshot()[0].ready == ready
    bench.engine.set_health("web", "healthy")
    bench.wait(lambda: reporter.snapshot()[1].status == "healthy", "healthy")

    assert reporter.snapshot()[0].ready == ("started" if ready == "healthy" else ready)


def test_a_reporter_made_of_a_snapshot_misses_nothing_and_repeats_nothing(bench: Bench) -> None:
    first = bench.begin(replace(bench.state, notify=replace(bench.state.notify, ready="healthy")))
    bench.engine.set_health("web", "healthy")
    bench.wait_for("READY=1", "STATUS=web runs (healthy)")
    state = bench.snapshot(first)
    first.close()
    bench.engine.set_health("web", "unhealthy")

    second = bench.begin(state)

    bench.wait_for("STATUS=web runs (unhealthy)")
    assert second.snapshot()[1].status == "unhealthy"


def test_a_snapshot_has_the_containers_own_status(listening: Bench) -> None:
    reporter = listening.begin(listening.state)
    listening.payload.send(b"STATUS=serving")
    listening.wait_for("STATUS=serving")

    notify, health = reporter.snapshot()

    assert notify.status == "serving"
    assert health == NO_HEALTH


# The watchdog.


def test_probes_ping_where_health_is_the_watchdogs_source(bench: Bench) -> None:
    bench.begin(replace(bench.state, watchdog=WatchdogState("health", 30 * 10**6)))
    with bench.engine.changed:
        bench.engine.emit(bench.container, "exec_create: true", execID="1")
        bench.engine.emit(bench.container, "exec_die", execID="1", exitCode="0")

    bench.wait_for("WATCHDOG=1")


@pytest.mark.parametrize("source", ["", "payload", "engine"])
def test_probes_are_not_asked_for_where_another_is(bench: Bench, source: str) -> None:
    bench.begin(replace(bench.state, watchdog=WatchdogState(source, 30 * 10**6)))
    bench.wait(lambda: bench.engine.matching("GET /events"), "a subscription")

    assert "exec" not in bench.engine.matching("GET /events")[0].query["filters"]


@pytest.mark.parametrize(("source", "messages"), [("payload", ["WATCHDOG=1"]), ("", ["WATCHDOG=1"]), ("engine", [])])
def test_a_container_pings_by_itself_unless_systemd_docker_does(
    listening: Bench, source: str, messages: list[str]
) -> None:
    reporter = listening.make(replace(listening.state, watchdog=WatchdogState(source, 30 * 10**6)))
    listening.payload.send(b"WATCHDOG=1")

    reporter.drain()

    assert listening.manager.received() == messages


# The end.


def test_closing_leaves_nothing_and_the_socket_to_its_owner(listening: Bench) -> None:
    fd = listening.state.notify.payload_fd
    reporter = listening.begin(replace(listening.state, watchdog=WatchdogState("engine", 30 * 10**6)))

    reporter.close()
    reporter.close()
    listening.requests.close()

    assert listening.loop.is_empty
    os.fstat(fd)
    listening.clock.turn(listening.loop, 1000)
    assert listening.engine.requests == []


def test_closing_after_a_flood_leaves_nothing(listening: Bench) -> None:
    reporter = listening.begin(listening.state)
    passed = 0
    while listening.loop.next_deadline() is None:
        listening.payload.send(b"READY=1")
        listening.loop.step(0.0)
        passed += len(listening.manager.received())
    assert passed == BUDGET / PASSED_COST

    reporter.close()

    assert listening.loop.is_empty
    listening.clock.turn(listening.loop, 10 * WINDOW_SEC)
    assert listening.loop.is_empty
