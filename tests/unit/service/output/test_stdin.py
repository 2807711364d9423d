from __future__ import annotations

import contextlib
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


def test_a_terminal_that_has_gone_is_the_end_of_the_input() -> None:
    """Reading from it fails with EIO once its other end is closed."""
    engine, stream = socket.socketpair()
    stream.setblocking(False)
    master, terminal = os.openpty()
    loop = Loop()
    relayed = Input(loop, stream.fileno(), master)
    os.close(terminal)

    loop.run_until(lambda: relayed.has_ended)

    assert loop.is_empty
    assert engine.recv(1) == b""
    for closable in (engine, stream):
        closable.close()
    os.close(master)


def test_a_source_without_data_is_not_its_end() -> None:
    """Another reader of the same pipe was quicker: a descriptor that does not block, and has nothing any more."""
    engine, stream = socket.socketpair()
    stream.setblocking(False)
    reader, writer = os.pipe2(os.O_NONBLOCK)
    quicker = os.dup(reader)
    loop = Loop()

    def take() -> None:
        os.read(quicker, 100)
        loop.unwatch(quicker)

    loop.watch(quicker, select.POLLIN, take)
    relayed = Input(loop, stream.fileno(), reader)
    os.write(writer, b"taken")
    loop.step(1.0)
    assert not relayed.has_ended

    os.write(writer, b"kept")
    loop.step(1.0)

    assert engine.recv(100).endswith(b"kept")
    relayed.close()
    assert loop.is_empty
    for closable in (engine, stream):
        closable.close()
    for fd in (reader, writer, quicker):
        os.close(fd)


def test_a_close_while_the_engine_is_behind_leaves_no_watch() -> None:
    engine, stream = socket.socketpair()
    stream.setblocking(False)
    reader, writer = os.pipe()
    loop = Loop()
    relayed = Input(loop, stream.fileno(), reader)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(stream.fileno(), bytes(65536))
    os.write(writer, b"held")
    loop.run_until(lambda: relayed.is_behind)

    relayed.close()

    assert loop.is_empty
    for closable in (engine, stream):
        closable.close()
    for fd in (reader, writer):
        os.close(fd)
