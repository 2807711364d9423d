from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from systemd_docker.engine.answers import facts_of
from systemd_docker.service.engine_requests import (
    ANSWER_TIMEOUT_SEC,
    HARMLESS_STATUSES,
    MAX_OPEN,
    EngineRequests,
    Follower,
    engine_at,
)
from tests.fakes.clock import run_until
from tests.fakes.containers import RUNS
from tests.fakes.http import encode_head
from tests.fakes.state import address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from systemd_docker.engine.client import Engine
    from systemd_docker.engine.http import Exchange
    from systemd_docker.kernel.loop import Loop
    from tests.fakes.clock import Clock
    from tests.fakes.engine import FakeEngine

WHAT = "cannot ask about container 'web'"
LOGGED = f"systemd-docker: {WHAT}: "
ASKED = "GET /containers/*/json"


class Bench:
    """answers: what then() was called with, one for each call: the container's status, or None."""

    def __init__(self, engine: FakeEngine, loop: Loop, clock: Clock) -> None:
        self.engine = engine
        self.loop = loop
        self.clock = clock
        self.container = engine.add("web", script=RUNS)
        engine.begin(self.container)
        self.requests = EngineRequests(loop, address(engine))
        self.answers: list[str | None] = []

    def ask(self, engine: Engine) -> Exchange:
        return engine.ask(self.container.id)

    def send(self, **changes: float) -> bool:
        return self.requests.send(WHAT, self.ask, self.then, **changes)

    def then(self, exchange: Exchange | None) -> None:
        self.answers.append(None if exchange is None else facts_of(exchange).status)

    def is_waiting(self) -> bool:
        return self.requests.are_open

    def wait(self, is_true: Callable[[], object], what: str) -> None:
        run_until(self.loop, lambda: bool(is_true()), what)

    def wait_until_asked(self, count: int = 1) -> None:
        self.wait(lambda: len(self.engine.matching(ASKED)) == count, f"{count} requests")

    def wait_for_answers(self, count: int = 1) -> None:
        self.wait(lambda: len(self.answers) == count, f"{count} answers")


@pytest.fixture
def bench(engine: FakeEngine, loop: Loop, clock: Clock) -> Iterator[Bench]:
    bench = Bench(engine, loop, clock)
    yield bench
    bench.requests.close()


def test_a_request_is_answered_once_and_leaves_nothing(bench: Bench, logged: Callable[[], list[str]]) -> None:
    assert bench.send()
    assert bench.is_waiting()

    bench.wait_for_answers()

    assert bench.answers == ["running"]
    assert not bench.is_waiting()
    assert bench.loop.is_empty
    bench.clock.turn(bench.loop, 2 * ANSWER_TIMEOUT_SEC)
    assert bench.answers == ["running"]
    assert logged() == []


def test_requests_are_answered_in_the_order_in_which_the_engine_answers(bench: Bench) -> None:
    release = bench.engine.hold(ASKED)
    order: list[str] = []
    for name in ("slow", "fast"):
        bench.requests.send(WHAT, bench.ask, lambda _, name=name: order.append(name))  # type: ignore[misc]
        bench.wait_until_asked(len(bench.engine.matching(ASKED)) + 1)
    bench.wait(lambda: order, "the fast one")
    release()

    bench.wait(lambda: len(order) == 2, "the slow one")

    assert order == ["fast", "slow"]


def test_a_request_without_then_is_followed_all_the_same(bench: Bench) -> None:
    assert bench.requests.send(WHAT, bench.ask)

    bench.wait(lambda: not bench.requests.are_open, "its answer")

    assert bench.loop.is_empty


@pytest.mark.parametrize("status", [400, 500, 503])
def test_an_error_of_the_engine_is_logged_in_its_words(
    bench: Bench, logged: Callable[[], list[str]], status: int
) -> None:
    bench.engine.fail(ASKED, status, "disk is full")
    bench.send()

    bench.wait_for_answers()

    assert bench.answers == [None]
    assert len(logged()) == 1
    assert logged()[0].startswith(LOGGED)
    assert "disk is full" in logged()[0]


@pytest.mark.parametrize(("status", "has_answer"), [(304, True), (404, False), (409, False)])
def test_an_engine_that_had_nothing_left_to_do_is_no_error(
    bench: Bench, logged: Callable[[], list[str]], *, status: int, has_answer: bool
) -> None:
    answers: list[bool] = []
    bench.engine.fail("POST /containers/*/stop", status, "it has stopped")
    bench.requests.send(
        WHAT,
        lambda engine: engine.stop(bench.container.id, timeout_sec=1),
        lambda exchange: answers.append(exchange is not None),
    )

    bench.wait(lambda: answers, "its answer")

    assert answers == [has_answer]
    assert status in HARMLESS_STATUSES
    assert logged() == []


BROKEN = {
    "hung up": b"",
    "cut in the head": encode_head("200 OK", {"Content-Length": "5"})[:20],
    "cut in the body": encode_head("200 OK", {"Content-Length": "5"}) + b"{",
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_answer_that_is_not_whole_is_logged(bench: Bench, logged: Callable[[], list[str]], name: str) -> None:
    bench.engine.answer_with(ASKED, BROKEN[name])
    bench.send()

    bench.wait_for_answers()

    assert bench.answers == [None]
    assert len(logged()) == 1
    assert logged()[0].startswith(LOGGED)
    assert bench.loop.is_empty


def test_an_engine_that_cannot_be_reached_is_logged_and_answers_nothing(
    bench: Bench, logged: Callable[[], list[str]]
) -> None:
    bench.engine.stop()

    assert not bench.send()

    assert bench.answers == []
    assert not bench.is_waiting()
    assert logged()[0].startswith(LOGGED)
    assert bench.engine.path in logged()[0]


# Engines that hang.


@pytest.mark.parametrize("limits", [{}, {"limit_sec": 2.5}])
def test_a_request_that_hangs_is_dropped_when_its_time_is_over(
    bench: Bench, logged: Callable[[], list[str]], limits: dict[str, float]
) -> None:
    limit_sec = limits.get("limit_sec", ANSWER_TIMEOUT_SEC)
    bench.engine.hold(ASKED)
    bench.send(**limits)
    bench.wait_until_asked()

    bench.clock.turn(bench.loop, limit_sec - 0.1)
    assert bench.answers == []
    bench.clock.turn(bench.loop, 0.1)

    assert bench.answers == [None]
    assert logged() == [f"{LOGGED}no answer within {limit_sec:g} s"]
    assert bench.loop.is_empty
    assert not bench.is_waiting()


def test_an_answer_that_never_ends_is_dropped_too(bench: Bench) -> None:
    bench.engine.answer_with(ASKED, encode_head("200 OK", {"Content-Length": "1000"}) + b"{", hangs_up=False)
    bench.send()
    bench.wait_until_asked()

    bench.clock.turn(bench.loop, ANSWER_TIMEOUT_SEC)

    assert bench.answers == [None]


def test_each_request_has_a_limit_of_its_own(bench: Bench) -> None:
    for _ in range(2):
        bench.engine.hold(ASKED)
    bench.send()
    bench.wait_until_asked(1)
    bench.clock.turn(bench.loop, 10)
    bench.send()
    bench.wait_until_asked(2)

    bench.clock.turn(bench.loop, ANSWER_TIMEOUT_SEC - 10)
    assert bench.answers == [None]
    bench.clock.turn(bench.loop, 10)
    assert bench.answers == [None, None]


def test_an_engine_that_hangs_gets_no_more_than_so_many_requests(
    bench: Bench, logged: Callable[[], list[str]]
) -> None:
    releases = [bench.engine.hold(ASKED) for _ in range(MAX_OPEN)]
    for count in range(1, MAX_OPEN + 1):
        assert bench.send()
        bench.wait_until_asked(count)

    assert not bench.send()

    assert logged() == [f"{LOGGED}the engine has not answered {MAX_OPEN} earlier requests"]
    releases[0]()
    bench.wait_for_answers()
    assert bench.send()
    bench.clock.turn(bench.loop, ANSWER_TIMEOUT_SEC)
    bench.wait_for_answers(MAX_OPEN + 1)
    for release in releases:
        release()
    assert bench.loop.is_empty


# Ends.


def test_closing_with_requests_open_leaves_nothing_and_calls_nothing(
    bench: Bench, logged: Callable[[], list[str]]
) -> None:
    for _ in range(3):
        bench.engine.hold(ASKED)
        bench.send()
    bench.wait_until_asked(3)

    bench.requests.close()

    assert bench.loop.is_empty
    assert not bench.is_waiting()
    bench.clock.turn(bench.loop, ANSWER_TIMEOUT_SEC)
    bench.requests.close()
    assert bench.answers == []
    assert logged() == []


def test_requests_can_be_sent_after_they_were_closed(bench: Bench) -> None:
    bench.requests.close()

    bench.send()

    bench.wait_for_answers()
    assert bench.answers == ["running"]


def test_an_answer_may_close_all_requests(bench: Bench) -> None:
    calls: list[bool] = []

    def close(exchange: Exchange | None) -> None:
        calls.append(exchange is not None)
        bench.requests.close()

    release = bench.engine.hold(ASKED)
    bench.engine.hold("POST /containers/*/kill")
    bench.requests.send(WHAT, bench.ask, close)
    bench.requests.send(WHAT, lambda engine: engine.kill(bench.container.id, "SIGHUP"), close)
    bench.wait(lambda: len(bench.engine.requests) == 2, "both requests")
    release()

    bench.wait(lambda: calls, "the first answer")

    assert calls == [True]
    assert bench.loop.is_empty


def test_an_answer_may_send_the_next_request(bench: Bench) -> None:
    def send_again(exchange: Exchange | None) -> None:
        bench.then(exchange)
        bench.send()

    bench.requests.send(WHAT, bench.ask, send_again)

    bench.wait_for_answers(2)

    assert bench.answers == ["running", "running"]


# One exchange.


def test_a_released_exchange_stays_open(bench: Bench) -> None:
    done: list[str] = []
    exchange = bench.ask(engine_at(address(bench.engine)))
    follower = Follower(bench.loop, exchange, 5)
    follower.follow(
        lambda exchange: exchange.parser.head is not None,
        lambda: done.append("done"),
        lambda reason: done.append(reason),
    )

    bench.wait(lambda: done, "the head")

    assert done == ["done"]
    assert bench.loop.is_empty
    assert exchange.fileno() >= 0, "what follows is the owner's"
    follower.close()
    follower.close()
    assert exchange.fileno() < 0


def test_a_closed_follower_calls_nothing(bench: Bench) -> None:
    done: list[str] = []
    follower = Follower(bench.loop, bench.ask(engine_at(address(bench.engine))), 5)
    follower.follow(
        lambda exchange: exchange.complete, lambda: done.append("done"), lambda reason: done.append(reason)
    )

    follower.close()

    assert bench.loop.is_empty
    bench.clock.turn(bench.loop, 10)
    assert done == []
