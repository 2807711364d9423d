from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from systemd_docker.engine.client import connect
from systemd_docker.engine.http import wait_ready
from systemd_docker.errors import UsageError
from systemd_docker.service.engine_requests import EngineRequests
from systemd_docker.service.notifications import health as module
from systemd_docker.service.notifications.health import MAX_PROBES, Health, require_healthcheck
from systemd_docker.service.notifications.state import HealthState
from tests.fakes.clock import run_until
from tests.fakes.http import LAST_CHUNK, chunk, encode_head
from tests.fakes.state import address, container_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from systemd_docker.kernel.loop import Loop
    from tests.fakes.clock import Clock
    from tests.fakes.containers import Container
    from tests.fakes.engine import FakeEngine

BEGIN_NSEC = 1767225600 * 10**9
"""The time of the fake engine's first event."""

CHECK = "test -e /well"

WARNING = "systemd-docker: cannot listen to the health of container 'web': "


class Bench:
    def __init__(self, engine: FakeEngine, loop: Loop, clock: Clock, *, listens_to_probes: bool = False) -> None:
        self.engine = engine
        self.loop = loop
        self.clock = clock
        self.container: Container = engine.add("web")
        self.statuses: list[str] = []
        self.probes: list[tuple[bool, str]] = []
        self.requests = EngineRequests(loop, address(engine))
        self.health = Health(
            loop,
            container_state(self.container),
            HealthState(check=CHECK, since_nsec=BEGIN_NSEC),
            self.requests,
            changed=self.statuses.append,
            probed=(lambda *probe: self.probes.append(probe)) if listens_to_probes else None,
        )

    def probe(self, exec_id: str, exit_code: int, command: str = f"/bin/sh -c {CHECK}") -> None:
        self.emit(f"exec_create: {command}", execID=exec_id)
        self.emit("exec_die", execID=exec_id, exitCode=str(exit_code))

    def emit(self, action: str, **attributes: str) -> None:
        with self.engine.changed:
            self.engine.emit(self.container, action, **attributes)

    def wait(self, is_true: Callable[[], object], what: str) -> None:
        run_until(self.loop, lambda: bool(is_true()), what)

    def close(self) -> None:
        self.health.close()
        self.requests.close()

    def wait_for_pause(self, sec: float) -> None:
        """Until a subscription has failed, and the next one is due in sec."""
        self.wait(lambda: self.left_sec == sec, f"a pause of {sec} s, not {self.left_sec}")

    def wait_until_accepted(self) -> None:
        self.wait(lambda: self.left_sec is None, "a subscription that stands")

    def wait_for_events(self) -> None:
        """Until all events have come, the last one included."""
        self.wait(lambda: self.health.since_nsec == self.engine.events[-1]["timeNano"] + 1, "the last event")

    @property
    def left_sec(self) -> float | None:
        due = self.loop.next_deadline()
        return None if due is None else due - self.clock()

    @property
    def subscriptions(self) -> int:
        return len(self.engine.matching("GET /events"))


@pytest.fixture
def plain(engine: FakeEngine, loop: Loop, clock: Clock) -> Iterator[Bench]:
    """Health without probes."""
    bench = Bench(engine, loop, clock)
    yield bench
    bench.close()


@pytest.fixture
def bench(engine: FakeEngine, loop: Loop, clock: Clock) -> Iterator[Bench]:
    bench = Bench(engine, loop, clock, listens_to_probes=True)
    yield bench
    bench.close()


def test_each_change_is_told_once(plain: Bench) -> None:
    plain.health.listen()
    for status in ("starting", "healthy", "healthy", "unhealthy", "healthy"):
        plain.engine.set_health("web", status)

    plain.wait(lambda: len(plain.statuses) == 4, "four changes")

    assert plain.statuses == ["starting", "healthy", "unhealthy", "healthy"]
    query = plain.engine.wait_for_request("GET /events").query
    assert "exec_die" not in query["filters"]
    assert query["since"] == f"{BEGIN_NSEC // 10**9}.000000000"


def test_a_status_that_was_found_counts_once(plain: Bench) -> None:
    for status in ("healthy", "healthy", "unhealthy"):
        plain.health.take(status)

    assert plain.statuses == ["healthy", "unhealthy"]
    assert plain.health.status == "unhealthy"


def test_probes_are_execs_of_the_checks_command(bench: Bench) -> None:
    bench.health.listen()
    bench.engine.set_health("web", "healthy")
    bench.probe("1", 0)
    bench.probe("2", 0, "touch /tmp/x")
    bench.probe("3", 1)

    bench.wait(lambda: len(bench.probes) == 2, "two probes")

    assert bench.probes == [(True, "healthy"), (False, "healthy")]


def test_probes_that_never_end_do_not_add_up(bench: Bench) -> None:
    bench.health.listen()
    for number in range(MAX_PROBES * 2):
        bench.emit(f"exec_create: {CHECK}", execID=str(number))
    for number in range(MAX_PROBES * 2):
        bench.emit("exec_die", execID=str(number), exitCode="0")
    bench.engine.set_health("web", "healthy")

    bench.wait(lambda: bench.statuses, "the event behind them")

    assert len(bench.probes) == MAX_PROBES


def test_probes_whose_end_was_lost_leave_room_for_others(bench: Bench) -> None:
    bench.health.listen()
    for number in range(MAX_PROBES):
        bench.emit(f"exec_create: {CHECK}", execID=f"lost {number}")
    bench.probe("new", 0)
    bench.engine.set_health("web", "healthy")

    bench.wait(lambda: bench.statuses, "the event behind them")

    assert bench.probes == [(True, "")]


def test_listening_again_misses_nothing_and_repeats_nothing(bench: Bench) -> None:
    bench.health.listen()
    bench.engine.set_health("web", "healthy")
    bench.wait(lambda: bench.statuses, "the first change")
    bench.engine.hang_up()
    bench.wait_for_pause(1)
    bench.engine.set_health("web", "unhealthy")

    bench.clock.turn(bench.loop, 1)
    bench.wait_for_events()

    assert bench.statuses == ["healthy", "unhealthy"]


PROBES = [0, 1, 1, 0, 0]
"""Exit codes."""


@pytest.mark.parametrize("after_bytes", [1, 150, *range(200, 4000, 380)])
def test_a_stream_of_events_that_is_cut_anywhere_loses_none_and_repeats_none(bench: Bench, after_bytes: int) -> None:
    bench.engine.cut("GET /events", after_bytes)
    for number, exit_code in enumerate(PROBES):
        bench.probe(str(number), exit_code)

    bench.health.listen()
    bench.wait_for_pause(1)
    bench.clock.turn(bench.loop, 1)
    bench.engine.set_health("web", "healthy")
    bench.wait_for_events()

    assert [succeeded for succeeded, _ in bench.probes] == [exit_code == 0 for exit_code in PROBES]


def test_an_owner_that_closes_in_the_middle_of_an_event_gets_no_more(
    engine: FakeEngine, loop: Loop, clock: Clock
) -> None:
    bench = Bench(engine, loop, clock)
    seen: list[str] = []

    def close(status: str) -> None:
        seen.append(status)
        health.close()

    state = HealthState(check=CHECK, since_nsec=BEGIN_NSEC)
    health = Health(loop, container_state(bench.container), state, bench.requests, changed=close, probed=None)
    health.listen()
    engine.set_health("web", "healthy")

    bench.wait(lambda: seen, "the change")

    assert loop.is_empty


# An engine that does not do as it should. Every fault ends the subscription; left_sec tells how it goes on.

OK = encode_head("200 OK", {"Content-Type": "application/json", "Transfer-Encoding": "chunked"})

ENDS = {
    "ended": OK + LAST_CHUNK,
    "hung up": b"",
    "cut in the head": OK[:40],
    "cut in an event": OK + b"400\r\n" + b'{"Action":"health_sta',
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "no event": OK + chunk(b"nonsense\n"),
    "an event without a time": OK + chunk(b'{"Action":"health_status: healthy","Actor":{"ID":"0"}}\n'),
    "an array": OK + chunk(b"[1]\n"),
    "moved": encode_head("301 Moved Permanently", {"Content-Length": "0"}),
    "refused without a word": encode_head("503 Service Unavailable", {"Content-Length": "0"}),
}


def ends(bench: Bench, name: str, times: int) -> None:
    bench.engine.answer_with("GET /events", ENDS[name], times=times)


def refuses(bench: Bench, status: int, times: int) -> None:
    bench.engine.fail("GET /events", status, "context deadline exceeded", times=times)


FAULTS = [
    *(pytest.param(ends, name, id=name) for name in ENDS),
    *(pytest.param(refuses, status, id=f"refused, {status}") for status in (400, 403, 404, 429, 500, 503)),
]


@pytest.mark.parametrize(("fault", "what"), FAULTS)
def test_a_subscription_that_fails_is_made_again_after_pauses_that_grow(
    plain: Bench,
    logged: Callable[[], list[str]],
    fault: Callable[[Bench, str | int, int], None],
    what: str | int,
) -> None:
    fault(plain, what, 3)
    plain.health.listen()
    for pause_sec in (1, 2, 4):
        plain.wait_for_pause(pause_sec)
        before = plain.subscriptions
        plain.clock.turn(plain.loop, pause_sec - 0.5)
        assert plain.subscriptions == before, "it is not asked before its time"
        plain.clock.turn(plain.loop, 0.5)

    plain.wait_until_accepted()
    plain.engine.set_health("web", "healthy")
    plain.wait(lambda: plain.statuses, "the health that came afterwards")

    assert plain.statuses == ["healthy"]
    assert plain.subscriptions == 4
    warnings = [line for line in logged() if line.startswith(WARNING)]
    assert len(warnings) == len(logged()) == 1
    assert warnings[0].endswith("; asking again")


def test_a_refusal_is_logged_in_the_engines_words(plain: Bench, logged: Callable[[], list[str]]) -> None:
    refuses(plain, 500, 1)
    plain.health.listen()

    plain.wait_for_pause(1)

    assert "context deadline exceeded" in logged()[0]


def test_an_engine_that_was_away_once_is_no_warning(plain: Bench, logged: Callable[[], list[str]]) -> None:
    plain.health.listen()
    plain.wait_until_accepted()
    plain.engine.hang_up()
    plain.wait_for_pause(1)
    plain.clock.turn(plain.loop, 1)
    plain.engine.set_health("web", "healthy")

    plain.wait(lambda: plain.statuses, "the health that came afterwards")

    assert logged() == []


def test_an_engine_that_cannot_be_reached_is_asked_again(plain: Bench, logged: Callable[[], list[str]]) -> None:
    plain.engine.stop()
    plain.health.listen()
    assert plain.left_sec == 1
    plain.clock.turn(plain.loop, 1)
    assert plain.left_sec == 2
    plain.engine.start()
    plain.engine.set_health("web", "healthy")

    plain.clock.turn(plain.loop, 2)
    plain.wait(lambda: plain.statuses, "the health that came afterwards")

    assert len(logged()) == 1
    assert plain.engine.path in logged()[0]


def test_a_subscription_that_is_not_answered_is_given_up_and_made_again(
    plain: Bench, logged: Callable[[], list[str]]
) -> None:
    plain.engine.hold("GET /events")
    plain.health.listen()
    plain.wait(lambda: plain.subscriptions == 1, "the request")
    plain.engine.set_health("web", "healthy")

    plain.clock.turn(plain.loop, module.ANSWER_TIMEOUT_SEC)
    assert plain.left_sec == 1
    plain.clock.turn(plain.loop, 1)
    plain.wait(lambda: plain.statuses, "the health")

    assert logged() == [f"{WARNING}no answer within {module.ANSWER_TIMEOUT_SEC} s; asking again"]


def test_a_refusal_whose_text_does_not_come_is_given_up(plain: Bench) -> None:
    head = encode_head("500 Internal Server Error", {"Content-Length": "1000"})
    plain.engine.answer_with("GET /events", head, hangs_up=False)
    plain.health.listen()
    plain.wait(lambda: plain.subscriptions == 1, "the request")

    plain.clock.turn(plain.loop, module.ANSWER_TIMEOUT_SEC)

    assert plain.left_sec == 1


def test_a_subscription_that_stands_has_no_limit(plain: Bench) -> None:
    plain.health.listen()
    plain.wait_until_accepted()

    plain.clock.turn(plain.loop, 10**6)

    assert plain.subscriptions == 1
    assert plain.left_sec is None


def test_pauses_grow_to_a_minute(plain: Bench, logged: Callable[[], list[str]]) -> None:
    refuses(plain, 500, 100)
    plain.health.listen()
    for pause_sec in (1, 2, 4, 8, 16, 32, 60, 60, 60):
        plain.wait_for_pause(pause_sec)
        plain.clock.turn(plain.loop, pause_sec)

    assert len(logged()) == 1


def test_an_event_ends_a_series_of_failures(plain: Bench, logged: Callable[[], list[str]]) -> None:
    refuses(plain, 500, 2)
    plain.health.listen()
    for pause_sec in (1, 2):
        plain.wait_for_pause(pause_sec)
        plain.clock.turn(plain.loop, pause_sec)
    plain.engine.set_health("web", "healthy")
    plain.wait_for_events()
    plain.wait(lambda: not plain.requests.are_open, "the engine's word")

    plain.engine.hang_up()
    plain.wait_for_pause(1)
    refuses(plain, 500, 1)
    plain.clock.turn(plain.loop, 1)
    plain.wait_for_pause(2)

    assert len(logged()) == 2, "one for each series"


@pytest.mark.parametrize(("missing_sec", "pause_sec"), [(1, 2), (0, 1)])
def test_a_subscription_that_stood_for_long_ends_a_series_too(
    plain: Bench, missing_sec: float, pause_sec: float
) -> None:
    refuses(plain, 500, 1)
    plain.health.listen()
    plain.wait_for_pause(1)
    plain.clock.turn(plain.loop, 1)
    plain.wait_until_accepted()
    plain.clock.turn(plain.loop, module.LONGEST_PAUSE_SEC - missing_sec)

    plain.engine.hang_up()

    plain.wait_for_pause(pause_sec)


def test_closing_during_a_pause_leaves_nothing_and_forgets_the_failures(plain: Bench) -> None:
    refuses(plain, 500, 3)
    plain.health.listen()
    plain.wait_for_pause(1)
    plain.clock.turn(plain.loop, 1)
    plain.wait_for_pause(2)

    plain.health.close()

    assert plain.loop.is_empty
    plain.clock.turn(plain.loop, 1000)
    assert plain.subscriptions == 2
    plain.health.listen()
    plain.wait_for_pause(1)


# Events that the engine has dropped: it keeps a few, of all containers.


def test_a_first_subscription_is_enough(plain: Bench) -> None:
    plain.health.listen()
    plain.wait_until_accepted()

    assert [str(call) for call in plain.engine.requests] == ["GET /events"]


def change_without_event(bench: Bench, health: str) -> None:
    with bench.engine.changed:
        bench.container.health = health


def listens_after_a_failure(bench: Bench) -> None:
    """Up to the moment in which the engine is asked for its word."""
    refuses(bench, 500, 1)
    bench.health.listen()
    bench.wait_for_pause(1)
    bench.clock.turn(bench.loop, 1)


def test_a_change_whose_event_was_dropped_is_found(plain: Bench) -> None:
    change_without_event(plain, "healthy")

    listens_after_a_failure(plain)
    plain.wait(lambda: plain.statuses, "the engine's word")

    assert plain.statuses == ["healthy"]


def test_an_event_is_newer_than_the_answer_to_an_earlier_question(plain: Bench) -> None:
    change_without_event(plain, "healthy")
    release = plain.engine.hold("GET /containers/*/json")
    listens_after_a_failure(plain)
    plain.wait(lambda: plain.engine.matching("GET /containers/*/json"), "the question")
    plain.engine.set_health("web", "unhealthy")
    plain.wait(lambda: plain.statuses, "the event")
    change_without_event(plain, "healthy")

    release()
    plain.wait(lambda: not plain.requests.are_open, "the answer")

    assert plain.statuses == ["unhealthy"]


def test_an_answer_that_comes_after_the_end_is_not_acted_on(plain: Bench) -> None:
    change_without_event(plain, "healthy")
    release = plain.engine.hold("GET /containers/*/json")
    listens_after_a_failure(plain)
    plain.wait(lambda: plain.engine.matching("GET /containers/*/json"), "the question")

    plain.health.close()
    release()
    plain.wait(lambda: not plain.requests.are_open, "the answer")

    assert plain.statuses == []
    assert plain.loop.is_empty


@pytest.mark.parametrize("answer", [b"", encode_head("200 OK", {"Content-Length": "1"}) + b"x"])
def test_an_answer_that_says_nothing_is_logged_and_events_count(
    plain: Bench, logged: Callable[[], list[str]], answer: bytes
) -> None:
    plain.engine.answer_with("GET /containers/*/json", answer)
    listens_after_a_failure(plain)
    plain.wait(lambda: len(logged()) == 2, "the second warning")
    assert "cannot ask for the health of container 'web': " in logged()[1]

    plain.engine.set_health("web", "healthy")
    plain.wait(lambda: plain.statuses, "the event")

    assert plain.statuses == ["healthy"]


# The healthcheck itself.


@pytest.mark.parametrize("test", [["CMD-SHELL", CHECK], ["CMD", "true"]])
def test_a_container_with_a_healthcheck_is_taken(engine: FakeEngine, test: list[str]) -> None:
    container = engine.add("web", request={"Healthcheck": {"Test": test}})

    require_healthcheck(connect(engine.path, wait=wait_ready), "--sdnotify=healthy", "busybox:musl", container.id)


@pytest.mark.parametrize("healthcheck", [{"Test": ["NONE"]}, {"Test": []}, {}, None])
def test_a_container_without_one_is_refused(engine: FakeEngine, healthcheck: object) -> None:
    container = engine.add("web", request={"Healthcheck": healthcheck})

    with pytest.raises(UsageError, match=r"--sdnotify=healthy needs a healthcheck, .* image 'busybox:musl' has one"):
        require_healthcheck(connect(engine.path, wait=wait_ready), "--sdnotify=healthy", "busybox:musl", container.id)
