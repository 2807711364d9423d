from __future__ import annotations

import os
import select
import socket

from systemd_docker.kernel.loop import Loop
from systemd_docker.service.output.stdin import Input


def test_an_engine_that_is_slow_gets_everything_and_little_is_held() -> None:
    engine, stream = socket.socketpair()
    stream.setblocking(False)
    reader, writer = os.pipe()
    loop = Loop()
    relayed = Input(loop, stream.fileno(), reader)
    data = os.urandom(40_000)
    received = bytearray()

    def take() -> None:
        received.extend(engine.recv(100))

    loop.watch(engine.fileno(), select.POLLIN, take)
    os.write(writer, data)
    os.close(writer)
    loop.run_until(lambda: relayed.has_ended and len(received) == len(data))

    assert received == data
    assert not relayed.is_behind
    assert engine.recv(1) == b""
    for closable in (engine, stream):
        closable.close()
    os.close(reader)


def test_a_container_that_takes_no_input_ends_it_quietly() -> None:
    engine, stream = socket.socketpair()
    stream.setblocking(False)
    reader, writer = os.pipe()
    loop = Loop()
    relayed = Input(loop, stream.fileno(), reader)
    engine.close()
    os.write(writer, b"lost")

    loop.run_until(lambda: relayed.has_ended)

    assert not relayed.is_behind
    stream.close()
    for fd in (reader, writer):
        os.close(fd)
