from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from systemd_docker.engine.client import connect
from systemd_docker.engine.http import wait_ready
from systemd_docker.engine.models import ContainerFacts
from systemd_docker.frozen import replace
from systemd_docker.kernel.loop import Loop
from systemd_docker.plan.launch_plan import choose_watchdog
from systemd_docker.sd.notify import Notifier
from systemd_docker.service.engine_requests import Requests
from systemd_docker.service.notifications.watchdog import Watchdog, source_of
from systemd_docker.unit import read_unit
from tests.fakes.containers import Script
from tests.fakes.held import held

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from systemd_docker.sd.notify import Assignments
    from tests.fakes.engine import FakeEngine

SEC = 10**9
USEC = 10**6


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
def test_who_is_ready_by_itself_pings_by_itself(wanted: str, ready: str, watchdog: str, tmp_path: Path) -> None:
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


def test_a_healthcheck_that_runs_too_seldom_is_told(
    facts: Callable[..., ContainerFacts], logged: Callable[[], list[str]]
) -> None:
    found = facts(healthcheck="true", healthcheck_interval_nsec=30 * SEC)

    assert source_of("health", 20 * USEC, found) == "health"
    assert "every 30 s, which is too seldom for WatchdogSec=20, ignoring" in logged()[0]


class Pings(Notifier):
    """A notifier that counts."""

    def __init__(self) -> None:
        super().__init__("")
        self.said: list[Assignments] = []

    def notify_text(self, assignments: Assignments, fds: Sequence[int] = ()) -> None:
        self.said.append(assignments)


@pytest.mark.parametrize(("action", "pings"), [("", True), ("pause", False)])
def test_an_engine_that_sees_the_container_run_pings(engine: FakeEngine, action: str, pings: bool) -> None:  # noqa: FBT001  a table's column
    container = engine.add("web", script=Script(exit_code=None))
    engine.begin(container)
    if action:
        container.status = "paused"
    loop, notifier = Loop(), Pings()
    requests = Requests(loop, engine.path, (1, 45))

    Watchdog(loop, held(id=container.id, watchdog="engine", watchdog_usec=40_000), requests, notifier)
    loop.run_until(lambda: len(engine.matching("GET /containers/*/json")) >= 4)
    requests.close()

    assert bool(notifier.said) == pings
    assert all(assignments == {"WATCHDOG": "1"} for assignments in notifier.said)


def test_an_engine_that_does_not_answer_is_not_asked_twice(engine: FakeEngine) -> None:
    container = engine.add("web", script=Script(exit_code=None))
    engine.begin(container)
    release = engine.hold("GET /containers/*/json")
    loop, notifier = Loop(), Pings()
    requests = Requests(loop, engine.path, (1, 45))
    over: list[bool] = []

    Watchdog(loop, held(id=container.id, watchdog="engine", watchdog_usec=20_000), requests, notifier)
    loop.after(0.2, lambda: over.append(True))
    loop.run_until(lambda: bool(over))

    assert len(engine.matching("GET /containers/*/json")) == 1
    assert notifier.said == []
    release()
    loop.run_until(lambda: bool(notifier.said))
    requests.close()


@pytest.mark.parametrize(
    ("succeeded", "health", "count"),
    [(True, "healthy", 1), (False, "healthy", 0), (False, "unhealthy", 0), (False, "starting", 1)],
)
def test_a_good_probe_pings_and_while_it_starts_any(*, succeeded: bool, health: str, count: int) -> None:
    loop, notifier = Loop(), Pings()
    watchdog = Watchdog(loop, held(watchdog="health"), Requests(loop, "", (1, 45)), notifier)

    watchdog.probed(succeeded, health)

    assert len(notifier.said) == count
