from __future__ import annotations

import json
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from systemd_docker.engine import answers, client, http
from systemd_docker.engine.events import MAX_LINE_BYTES, Event, EventError, EventReader
from tests.fakes.containers import RUNS

if TYPE_CHECKING:
    from tests.fakes.engine import FakeEngine


def line(action: str, **attributes: str) -> bytes:
    actor = {"ID": "c1", "Attributes": attributes}
    return json.dumps({"Type": "container", "Action": action, "Actor": actor, "timeNano": 7}).encode() + b"\n"


STREAM = line("start", name="web") + b"\n" + line("exec_start: sh -c 'a: b'") + line("health_status: healthy")
EVENTS = [
    Event("start", "", "c1", 7, {"name": "web"}),
    Event("exec_start", "sh -c 'a: b'", "c1", 7, {}),
    Event("health_status", "healthy", "c1", 7, {}),
]


@given(sizes=st.lists(st.integers(1, 60), min_size=1))
def test_events_survive_any_chunking(sizes: list[int]) -> None:
    reader, rest, found = EventReader(), STREAM, []

    for size in sizes * len(STREAM):
        found += list(reader.feed(rest[:size]))
        rest = rest[size:]

    assert found == EVENTS


@pytest.mark.parametrize("text", [b"no json\n", b"[]\n", b"{}\n", b'{"Action":3}\n', b'{"Action":"die"}\n'])
def test_what_is_no_event(text: bytes) -> None:
    with pytest.raises(EventError, match="not an event"):
        list(EventReader().feed(text))


def test_a_line_has_a_limit() -> None:
    with pytest.raises(EventError, match="longer than 4 MiB"):
        list(EventReader().feed(b" " * (MAX_LINE_BYTES + 1)))


def read_events(exchange: http.Exchange, count: int) -> list[Event]:
    reader, found, deadline = EventReader(), list[Event](), time.monotonic() + 5
    while len(found) < count:
        http.wait_ready(exchange.fileno(), exchange.events, deadline)
        exchange.advance()
        found += reader.feed(exchange.parser.take_body())
    return found


def test_a_subscription_brings_what_was_asked_for(engine: FakeEngine) -> None:
    engine.add("other", script=RUNS)
    container = engine.add("web", script=RUNS)
    engine.begin(container)
    asked = client.connect(engine.path, wait=http.wait_ready)

    with closing(asked.events(container.id, ("start", "die", "health_status"), since_nsec=1)) as exchange:
        assert [event.action for event in read_events(exchange, 1)] == ["start"]
        engine.set_health("web", "healthy")
        engine.finish("web", 3)
        found = read_events(exchange, 2)

    assert [(event.action, event.detail) for event in found] == [("health_status", "healthy"), ("die", "")]
    assert found[-1].attributes["exitCode"] == "3"
    assert {event.container_id for event in found} == {container.id}


def test_a_refused_subscription_is_the_engines_error(engine: FakeEngine) -> None:
    engine.fail("GET /events", 500, "no events today")

    with closing(client.connect(engine.path, wait=http.wait_ready).events("web")) as exchange:
        exchange.receive_head(http.wait_ready, time.monotonic() + 5)
        failure = answers.failure_of(exchange)

    assert str(failure) == "no events today"
