"""service.exit_wait: one answer or one loss for each wait, whatever the engine sends."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from systemd_docker.kernel.fd import NO_FD, Fd
from systemd_docker.service.exit_wait import ExitWait, ExitWaitState
from tests.fakes.clock import run_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from systemd_docker.kernel.loop import Loop

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
BODY = b'11\r\n{"StatusCode":7}\n\r\n0\r\n\r\n'


class Bench:
    """outcomes: what was reported, exit codes and reasons."""

    def __init__(self, loop: Loop, received: bytes = b"") -> None:
        self.loop = loop
        self.outcomes: list[int | str] = []
        self.engine, mine = socket.socketpair()
        mine.setblocking(False)
        self.fd = Fd(mine.detach())
        self.wait = ExitWait(loop, "web", on_exit=self.outcomes.append, on_lost=self.outcomes.append)
        self.wait.follow(ExitWaitState(self.fd, received))

    def feed(self, data: bytes) -> None:
        if data:
            self.engine.sendall(data)
        self.loop.step(0.0)
        self.loop.step(0.0)

    def close(self) -> None:
        self.wait.close()
        self.engine.close()
        os.close(self.fd)


@pytest.fixture
def bench(loop: Loop) -> Iterator[Bench]:
    made = Bench(loop)
    yield made
    made.close()


@pytest.mark.parametrize("cut", range(len(HEAD + BODY)))
def test_an_answer_is_understood_however_it_is_cut(cut: int, bench: Bench) -> None:
    data = HEAD + BODY

    bench.feed(data[:cut])
    assert bench.outcomes == []
    bench.feed(data[cut:])

    assert bench.outcomes == [7]
    assert bench.wait.state.fd == NO_FD


@pytest.mark.parametrize("cut", range(len(HEAD + BODY)))
def test_an_answer_that_is_cut_off_is_lost_and_never_an_exit_code(cut: int, bench: Bench) -> None:
    bench.feed((HEAD + BODY)[:cut])
    bench.engine.close()
    run_until(bench.loop, lambda: bool(bench.outcomes), "the loss")

    (reason,) = bench.outcomes
    assert isinstance(reason, str)


@pytest.mark.parametrize(
    "answer",
    [
        b'HTTP/1.1 500 Internal Server Error\r\nContent-Length: 18\r\n\r\n{"message":"busy"}',
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{"StatusCode":[]}',
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\xff\xff\xff\xff",
        b"garbage\r\n\r\n",
    ],
)
def test_an_answer_that_is_no_exit_code_is_lost_with_a_reason(answer: bytes, bench: Bench) -> None:
    bench.feed(answer)

    (reason,) = bench.outcomes
    assert isinstance(reason, str)
    assert reason


def test_the_head_alone_is_kept_for_a_new_image_and_is_no_business(loop: Loop, bench: Bench) -> None:
    bench.feed(HEAD[:10])
    was_busy = bench.wait.is_busy
    bench.feed(HEAD[10:])
    assert (was_busy, bench.wait.is_busy) == (True, False)
    state = bench.wait.state
    assert state.received == HEAD

    bench.wait.close()
    resumed: list[int | str] = []
    later = ExitWait(loop, "web", on_exit=resumed.append, on_lost=resumed.append)
    later.follow(state)
    bench.engine.sendall(BODY)
    run_until(loop, lambda: bool(resumed), "the exit code")

    assert resumed == [7]
    later.close()
