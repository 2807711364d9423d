from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from systemd_docker.engine.client import Attachment
from systemd_docker.engine.frames import STDERR, STDOUT
from systemd_docker.service import relay
from systemd_docker.service.loop import Loop


def frame(stream: int, data: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


class Bench:
    """A relay between a socket that we write as the engine does, and two files that we read afterwards."""

    def __init__(self, directory: Path, *, framed: bool = True, early: bytes = b"") -> None:
        self.engine, stream = socket.socketpair()
        stream.setblocking(False)
        self.loop = Loop()
        self.paths = {STDOUT: directory / "out", STDERR: directory / "err"}
        sinks = {number: relay.Sink(os.open(path, os.O_WRONLY | os.O_CREAT)) for number, path in self.paths.items()}
        self.relay = relay.Relay(self.loop, Attachment(stream, early), framed=framed, sinks=sinks)

    def finish(self) -> dict[int, bytes]:
        self.engine.close()
        self.loop.run_until(lambda: self.relay.finished)
        self.relay.close()
        return {number: path.read_bytes() for number, path in self.paths.items()}


def test_frames_go_to_their_streams_byte_for_byte(tmp_path: Path) -> None:
    bench = Bench(tmp_path, early=frame(STDOUT, b"early\n"))
    bench.engine.sendall(frame(STDERR, b"\xff\0no newline") + frame(STDOUT, b"a\r\nb"))

    assert bench.finish() == {STDOUT: b"early\na\r\nb", STDERR: b"\xff\0no newline"}


def test_a_terminals_output_has_no_frames(tmp_path: Path) -> None:
    bench = Bench(tmp_path, framed=False)
    bench.engine.sendall(b"\x01\x02raw")

    assert bench.finish() == {STDOUT: b"\x01\x02raw", STDERR: b""}


def test_a_container_that_says_nothing_is_finished_at_once(tmp_path: Path) -> None:
    assert Bench(tmp_path).finish() == {STDOUT: b"", STDERR: b""}


@pytest.fixture
def slow_reader() -> Iterator[tuple[int, relay.Sink]]:
    reader, writer = os.pipe()
    sink = relay.open_sink(writer)
    os.close(writer)
    yield reader, sink
    with contextlib.suppress(OSError):
        os.close(reader)


def test_a_slow_reader_gets_everything_and_little_is_held(
    slow_reader: tuple[int, relay.Sink], tmp_path: Path
) -> None:
    reader, sink = slow_reader
    engine, stream = socket.socketpair()
    stream.setblocking(False)
    loop = Loop()
    other = relay.Sink(os.open(tmp_path / "err", os.O_WRONLY | os.O_CREAT))
    output = relay.Relay(loop, Attachment(stream, b""), framed=True, sinks={STDOUT: sink, STDERR: other})
    data = os.urandom(4_000_000)
    received = bytearray()

    def write() -> None:
        with engine:
            engine.sendall(b"".join(frame(STDOUT, data[i : i + 5000]) for i in range(0, len(data), 5000)))

    def read() -> None:
        while piece := os.read(reader, 10_000):
            received.extend(piece)

    threads = [threading.Thread(target=write), threading.Thread(target=read)]
    for thread in threads:
        thread.start()
    loop.run_until(lambda: output.finished)
    output.close()
    for thread in threads:
        thread.join()

    assert received == data


def test_a_reader_that_went_away_does_not_stop_the_payload(
    slow_reader: tuple[int, relay.Sink], tmp_path: Path, logged: Callable[[], list[str]]
) -> None:
    reader, sink = slow_reader
    engine, stream = socket.socketpair()
    stream.setblocking(False)
    loop = Loop()
    other = relay.Sink(os.open(tmp_path / "err", os.O_WRONLY | os.O_CREAT))
    output = relay.Relay(loop, Attachment(stream, b""), framed=True, sinks={STDOUT: sink, STDERR: other})
    os.close(reader)
    engine.sendall(frame(STDOUT, b"lost\n") + frame(STDERR, b"kept\n") + frame(STDOUT, b"lost\n"))
    engine.close()

    loop.run_until(lambda: output.finished)
    output.close()

    assert (tmp_path / "err").read_bytes() == b"kept\n"
    assert len(logged()) == 1
    assert "standard output" in logged()[0]


def test_a_stream_without_frames_is_given_up_with_a_warning(tmp_path: Path, logged: Callable[[], list[str]]) -> None:
    bench = Bench(tmp_path)
    bench.engine.sendall(b"this is not framed at all")

    assert bench.finish() == {STDOUT: b"", STDERR: b""}
    assert "cannot be followed" in logged()[0]


@pytest.mark.parametrize("kind", ["pipe", "socket", "file"])
def test_our_own_streams_stay_blocking_for_those_who_share_them(kind: str, tmp_path: Path) -> None:
    if kind == "pipe":
        other, fd = os.pipe()
    elif kind == "socket":
        pair = socket.socketpair()
        other, fd = pair[0].detach(), pair[1].detach()
    else:
        other, fd = os.open(os.devnull, os.O_RDONLY), os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)

    sink = relay.open_sink(fd)

    assert sink.write([memoryview(b"ab"), memoryview(b"c")]) == 3
    assert os.get_blocking(fd)
    sink.close()
    os.close(fd)
    os.close(other)
