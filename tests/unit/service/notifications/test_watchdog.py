from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from systemd_docker.engine.client import connect
from systemd_docker.engine.http import wait_ready
from systemd_docker.engine.models import ContainerFacts
from systemd_docker.frozen import replace
from systemd_docker.plan.launch_plan import choose_watchdog
from systemd_docker.service.engine_requests import EngineRequests
from systemd_docker.service.notifications.state import WatchdogState
from systemd_docker.service.notifications.watchdog import ASKS_PER_LIMIT, Watchdog, source_of
from systemd_docker.unit import read_unit
from tests.fakes.clock import run_until
from tests.fakes.containers import RUNS
from tests.fakes.http import encode_head
from tests.fakes.state import address, container_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from systemd_docker.kernel.loop import Loop
    from systemd_docker.sd.notify import Notifier
    from tests.fakes.clock import Clock
    from tests.fakes.engine import FakeEngine
    from tests.fakes.manager import Manager

SEC = 10**9
USEC = 10**6

WATCHDOG_SEC = 30
PERIOD_SEC = WATCHDOG_SEC / ASKS_PER_LIMIT
ASKED = "GET /containers/*/json"


@pytest.fixture
def facts(engine: FakeEngine) -> Callable[..., ContainerFacts]:
    """A container's, with changes."""
    found = connect(engine.path, wait=wait_ready).inspect(engine.add("web").id)
    return lambda **changes: replace(found, **changes)


@pytest.mark.parametrize(
    ("wanted", "ready", "watchdog"),
    [
        ("auto", "payload", "payload"),
        ("auto", "started", "auto"),
        ("payload", "started", "payload"),
        ("health", "payload", "health"),
    ],
)
def test_a_payload_that_is_ready_by_itself_pings_by_itself(
    wanted: str, ready: str, watchdog: str, tmp_path: Path
) -> None:
    unit = read_unit({"WATCHDOG_USEC": "5000000"}, str(tmp_path))

    assert choose_watchdog(wanted, ready, unit) == watchdog


def test_a_unit_without_a_watchdog_has_none(tmp_path: Path) -> None:
    assert choose_watchdog("health", "payload", read_unit({}, str(tmp_path))) == ""


@pytest.mark.parametrize(
    ("watchdog", "healthcheck", "interval_nsec", "source"),
    [
        ("auto", "", 0, "engine"),
        ("auto", "true", 5 * SEC, "health"),
        ("auto", "true", 20 * SEC, "engine"),
        ("auto", "true", 0, "engine"),
        ("health", "true", 5 * SEC, "health"),
        ("payload", "true", 5 * SEC, "payload"),
    ],
)
def test_a_healthcheck_that_runs_often_enough_pings(
    facts: Callable[..., ContainerFacts], watchdog: str, healthcheck: str, interval_nsec: int, source: str
) -> None:
    found = facts(healthcheck=healthcheck, healthcheck_interval_nsec=interval_nsec)

    assert source_of(watchdog, 20 * USEC, found) == source


def test_a_healthcheck_that_runs_too_seldom_is_logged_with_its_remedy(
    facts: Callable[..., ContainerFacts], logged: Callable[[], list[str]]
) -> None:
    found = facts(healthcheck="true", healthcheck_interval_nsec=30 * SEC)

    assert source_of("health", 20 * USEC, found) == "health"
    assert "every 30 s, which is too seldom for WatchdogSec=20: systemd will abort the service" in logged()[0]
    assert "--health-interval" in logged()[1]
    assert logged()[2].endswith("watchdog source: the container's healthcheck succeeds")


class Bench:
    """pinged_at: when WATCHDOG=1 came, by the clock."""

    def __init__(self, engine: FakeEngine, loop: Loop, clock: Clock, notifier: Notifier, manager: Manager) -> None:
        self.engine = engine
        self.loop = loop
        self.clock = clock
        self.manager = manager
        self.notifier = notifier
        self.container = engine.add("web", script=RUNS)
        engine.begin(self.container)
        self.requests = EngineRequests(loop, address(engine))
        self.pinged_at: list[float] = []
        self.watchdog = self.make()

    def make(self, source: str = "engine") -> Watchdog:
        state = WatchdogState(source, WATCHDOG_SEC * USEC)
        return Watchdog(self.loop, container_state(self.container), state, self.requests, self.notifier)

    @property
    def asked(self) -> int:
        return len(self.engine.matching(ASKED))

    @property
    def pings(self) -> int:
        messages = self.manager.received()
        assert set(messages) <= {"WATCHDOG=1"}
        self.pinged_at += [self.clock()] * len(messages)
        return len(self.pinged_at)

    def wait(self, is_true: Callable[[], object], what: str) -> None:
        run_until(self.loop, lambda: bool(is_true()), what)

    def wait_until_asked(self, count: int) -> None:
        self.wait(lambda: self.asked == count, f"question {count}")

    def wait_until_answered(self) -> None:
        self.wait(lambda: not self.requests.are_open, "an answer")

    def close(self) -> None:
        self.watchdog.close()
        self.requests.close()


@pytest.fixture
def bench(engine: FakeEngine, loop: Loop, clock: Clock, notifier: Notifier, manager: Manager) -> Iterator[Bench]:
    bench = Bench(engine, loop, clock, notifier, manager)
    yield bench
    bench.close()


def test_an_engine_that_reports_the_container_as_running_pings(bench: Bench) -> None:
    bench.watchdog.resume()
    for count in range(1, 2 * ASKS_PER_LIMIT):
        bench.wait(lambda count=count: bench.pings == count, "a ping")  # type: ignore[misc]
        bench.clock.turn(bench.loop, PERIOD_SEC - 0.1)
        assert bench.pings == count, "none before its time"
        bench.clock.turn(bench.loop, 0.1)


@pytest.mark.parametrize("status", ["paused", "exited", "restarting", "dead", ""])
def test_a_container_that_does_not_do_its_work_does_not_ping(bench: Bench, status: str) -> None:
    bench.container.status = status
    bench.watchdog.resume()
    for count in range(1, 4):
        bench.wait_until_asked(count)
        bench.wait_until_answered()
        bench.clock.turn(bench.loop, PERIOD_SEC)

    assert bench.pings == 0


def fails(bench: Bench, status: int) -> None:
    bench.engine.fail(ASKED, status, "no luck")


def answers(bench: Bench, answer: bytes) -> None:
    bench.engine.answer_with(ASKED, answer)


def json(text: bytes) -> bytes:
    return encode_head("200 OK", {"Content-Length": str(len(text))}) + text


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        *(pytest.param(fails, status, id=str(status)) for status in (304, 400, 404, 409, 500, 503)),
        pytest.param(answers, b"", id="hung up"),
        pytest.param(answers, json(b"{}")[:-1], id="truncated"),
        pytest.param(answers, b"nonsense\r\n\r\n", id="no HTTP"),
        pytest.param(answers, json(b"nonsense"), id="no JSON"),
        pytest.param(answers, json(b"[]"), id="an array"),
        pytest.param(answers, json(b"{}"), id="nothing in it"),
        pytest.param(answers, json(b'{"Id":"0","State":{"Status":["running"]}}'), id="another type"),
    ],
)
def test_an_answer_that_says_nothing_does_not_ping_and_the_next_one_does(
    bench: Bench, fault: Callable[[Bench, object], None], what: object
) -> None:
    fault(bench, what)
    bench.watchdog.resume()
    bench.wait_until_asked(1)
    bench.wait_until_answered()
    assert bench.pings == 0

    bench.clock.turn(bench.loop, PERIOD_SEC)
    bench.wait(lambda: bench.pings == 1, "a ping")


def test_an_engine_that_cannot_be_reached_is_asked_again(bench: Bench, logged: Callable[[], list[str]]) -> None:
    bench.engine.stop()
    bench.watchdog.resume()
    assert len(logged()) == 1
    assert "cannot ask the engine whether container 'web' runs, for WatchdogSec=: " in logged()[0]
    bench.engine.start()

    bench.clock.turn(bench.loop, PERIOD_SEC)

    bench.wait(lambda: bench.pings == 1, "a ping")


def test_an_engine_that_does_not_answer_is_not_asked_twice(bench: Bench) -> None:
    release = bench.engine.hold(ASKED)
    bench.watchdog.resume()
    bench.wait_until_asked(1)

    bench.clock.turn(bench.loop, PERIOD_SEC - 0.1)

    assert (bench.asked, bench.pings) == (1, 0)
    release()
    bench.wait(lambda: bench.pings == 1, "a ping")


def test_a_question_that_hangs_is_given_up_and_asked_again_in_time(
    bench: Bench, logged: Callable[[], list[str]]
) -> None:
    bench.watchdog.resume()
    bench.wait(lambda: bench.pings == 1, "a ping")
    bench.engine.hold(ASKED)
    bench.clock.turn(bench.loop, PERIOD_SEC)
    bench.wait_until_asked(2)

    bench.clock.turn(bench.loop, PERIOD_SEC)
    bench.wait(lambda: bench.pings == 2, "a ping")

    assert bench.asked == 3
    assert bench.pinged_at[1] - bench.pinged_at[0] < WATCHDOG_SEC
    assert [line.partition("for WatchdogSec=: ")[2] for line in logged()] == [f"no answer within {PERIOD_SEC:g} s"]


def test_an_engine_that_hangs_for_long_has_one_question_open(bench: Bench) -> None:
    for _ in range(10):
        bench.engine.hold(ASKED)
    bench.watchdog.resume()
    for count in range(1, 11):
        bench.wait_until_asked(count)
        bench.clock.turn(bench.loop, PERIOD_SEC)

    assert bench.pings == 0
    bench.wait(lambda: bench.pings == 1, "the answer to the eleventh")


# Its end, and its pauses.


def test_closed_watchdogs_do_not_ask_any_more(bench: Bench) -> None:
    for _ in range(3):
        watchdog = bench.make()
        watchdog.resume()
        watchdog.close()
        watchdog.close()
    bench.requests.close()
    assert bench.loop.is_empty

    bench.clock.turn(bench.loop, 10 * WATCHDOG_SEC)

    assert (bench.asked, bench.pings) == (0, 0)


def test_a_pause_stops_the_asking_until_it_is_over(bench: Bench) -> None:
    bench.watchdog.resume()
    bench.wait(lambda: bench.pings == 1, "a ping")

    bench.watchdog.pause()
    assert bench.loop.is_empty
    bench.clock.turn(bench.loop, 10 * WATCHDOG_SEC)
    assert bench.asked == 1

    bench.watchdog.resume()
    bench.wait(lambda: bench.pings == 2, "a ping")
    bench.clock.turn(bench.loop, PERIOD_SEC)
    bench.wait(lambda: bench.pings == 3, "a ping")


def test_a_question_that_a_pause_has_dropped_is_asked_again(bench: Bench) -> None:
    bench.engine.hold(ASKED)
    bench.watchdog.resume()
    bench.wait_until_asked(1)

    bench.watchdog.pause()
    bench.requests.close()
    assert bench.loop.is_empty
    bench.watchdog.resume()

    bench.wait(lambda: bench.pings == 1, "a ping")


def test_an_answer_that_comes_in_a_pause_does_not_ping(bench: Bench) -> None:
    release = bench.engine.hold(ASKED)
    bench.watchdog.resume()
    bench.wait_until_asked(1)

    bench.watchdog.pause()
    release()
    bench.wait_until_answered()

    assert bench.pings == 0


def test_resuming_twice_asks_once(bench: Bench) -> None:
    bench.watchdog.resume()
    bench.watchdog.resume()
    bench.wait(lambda: bench.pings == 1, "a ping")

    bench.clock.turn(bench.loop, PERIOD_SEC)
    bench.wait(lambda: bench.pings == 2, "a ping")

    assert bench.asked == 2


@pytest.mark.parametrize("source", ["", "payload", "health"])
def test_another_source_asks_nothing(bench: Bench, source: str) -> None:
    watchdog = bench.make(source)

    watchdog.resume()

    assert bench.loop.is_empty
    watchdog.close()


# The healthcheck as source.


@pytest.mark.parametrize(
    ("succeeded", "health", "count"),
    [(True, "healthy", 1), (False, "healthy", 0), (False, "unhealthy", 0), (False, "starting", 1)],
)
def test_a_good_probe_pings_and_while_it_starts_any(
    bench: Bench, *, succeeded: bool, health: str, count: int
) -> None:
    bench.make("health").probed(succeeded, health)

    assert bench.pings == count


@pytest.mark.parametrize("source", ["", "payload", "engine"])
def test_a_probe_does_not_ping_for_another_source(bench: Bench, source: str) -> None:
    bench.make(source).probed(True, "healthy")

    assert bench.pings == 0
