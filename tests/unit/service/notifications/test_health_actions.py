from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from systemd_docker.service.engine_requests import EngineRequests
from systemd_docker.service.notifications.health_actions import RESTART_GRACE_SEC, HealthActions
from systemd_docker.service.notifications.state import NotifyState
from systemd_docker.service.notifications.status import Status
from tests.fakes.clock import run_until
from tests.fakes.containers import RUNS
from tests.fakes.state import address, container_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from systemd_docker.kernel.loop import Loop
    from systemd_docker.sd.notify import Notifier
    from tests.fakes.clock import Clock
    from tests.fakes.engine import FakeEngine
    from tests.fakes.manager import Manager

STOP_TIMEOUT_SEC = 7.5


class Bench:
    def __init__(self, engine: FakeEngine, loop: Loop, notifier: Notifier) -> None:
        self.engine = engine
        self.loop = loop
        self.container = engine.add("web", script=RUNS)
        engine.begin(self.container)
        self.requests = EngineRequests(loop, address(engine))
        self.status = Status(notifier, NotifyState(status="web runs"), "starting")
        self.notifier = notifier

    def actions(self, *, awaits_healthy: bool = False) -> HealthActions:
        return HealthActions(
            container_state(self.container), self.requests, self.notifier, self.status, awaits_healthy=awaits_healthy
        )

    def wait_until_answered(self) -> None:
        run_until(self.loop, lambda: not self.requests.are_open, "the engine's answer")


@pytest.fixture
def bench(engine: FakeEngine, loop: Loop, notifier: Notifier) -> Iterator[Bench]:
    bench = Bench(engine, loop, notifier)
    yield bench
    bench.requests.close()


def test_ready_is_sent_at_the_first_healthy_and_only_then(bench: Bench, manager: Manager) -> None:
    actions = bench.actions(awaits_healthy=True)

    for health in ("starting", "unhealthy", "healthy", "unhealthy", "healthy"):
        actions.act(health, "none", STOP_TIMEOUT_SEC)

    assert manager.received() == [
        "STATUS=web runs (unhealthy)",
        "READY=1",
        "STATUS=web runs (healthy)",
        "STATUS=web runs (unhealthy)",
        "STATUS=web runs (healthy)",
    ]
    assert not actions.awaits_healthy


def test_ready_is_not_sent_where_it_was_sent_before(bench: Bench, manager: Manager) -> None:
    bench.actions().act("healthy", "none", STOP_TIMEOUT_SEC)

    assert manager.received() == ["STATUS=web runs (healthy)"]


ENDS = [
    # --health-on-failure=, the end of the log line, what the engine is asked, and with which query
    ("none", "", None, {}),
    ("kill", ", killing it", "kill", {"signal": "SIGKILL"}),
    ("restart", ", restarting it", "restart", {"t": "7"}),
    ("stop", ", stopping it", "stop", {"t": "7"}),
]


@pytest.mark.parametrize(("on_failure", "words", "verb", "query"), ENDS)
def test_an_unhealthy_container_is_logged_and_ended_as_wanted(
    bench: Bench,
    logged: Callable[[], list[str]],
    on_failure: str,
    words: str,
    verb: str | None,
    query: dict[str, str],
) -> None:
    actions = bench.actions()
    actions.act("healthy", on_failure, STOP_TIMEOUT_SEC)
    assert not bench.requests.are_open

    actions.act("unhealthy", on_failure, STOP_TIMEOUT_SEC)
    bench.wait_until_answered()

    assert logged() == [f"systemd-docker: container 'web' is unhealthy{words}"]
    assert [(call.path.rpartition("/")[2], call.query) for call in bench.engine.requests] == (
        [(verb, query)] if verb else []
    )


@pytest.mark.parametrize("on_failure", ["kill", "restart", "stop"])
def test_an_engine_that_refuses_to_end_it_is_logged(
    bench: Bench, logged: Callable[[], list[str]], on_failure: str
) -> None:
    bench.engine.fail(f"POST /containers/*/{on_failure}", 500, "no luck")

    bench.actions().act("unhealthy", on_failure, STOP_TIMEOUT_SEC)
    bench.wait_until_answered()

    assert len(logged()) == 2
    assert logged()[1].startswith(f"systemd-docker: cannot {on_failure} unhealthy container 'web': ")
    assert "no luck" in logged()[1]


@pytest.mark.parametrize("on_failure", ["kill", "restart", "stop"])
def test_an_engine_that_hangs_has_the_containers_time_to_stop_and_some_more(
    bench: Bench, clock: Clock, logged: Callable[[], list[str]], on_failure: str
) -> None:
    bench.engine.hold(f"POST /containers/*/{on_failure}")
    bench.actions().act("unhealthy", on_failure, STOP_TIMEOUT_SEC)
    run_until(bench.loop, lambda: bool(bench.engine.requests), "the request")

    clock.turn(bench.loop, int(STOP_TIMEOUT_SEC) + RESTART_GRACE_SEC)

    assert logged()[1:] == [f"systemd-docker: cannot {on_failure} unhealthy container 'web': no answer within 17 s"]
    assert bench.loop.is_empty
