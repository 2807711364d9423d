from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from systemd_docker.engine.multiplex import STDERR, STDOUT
from systemd_docker.kernel.loop import Loop
from systemd_docker.service.output import relay, sinks
from systemd_docker.service.output.open_sinks import open_sink
from systemd_docker.service.output.state import Position


def frame(stream: int, data: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


class Bench:
    """A relay between a socket that the test writes as the engine does, and two files that it reads afterwards."""

    def __init__(
        self,
        directory: Path,
        position: Position | None = None,
        *,
        framed: bool = True,
        stdout: int | None = None,
        stderr: int | None = None,
        drops: bool = False,
    ) -> None:
        self.engine, self.stream = socket.socketpair()
        self.stream.setblocking(False)
        self.loop = Loop()
        self.finished = 0
        self.paths = {STDOUT: directory / "out", STDERR: directory / "err"}
        self.sinks = {
            number: os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND) for number, path in self.paths.items()
        }
        for number, fd in ((STDOUT, stdout), (STDERR, stderr)):
            if fd is not None:
                os.close(self.sinks[number])
                self.sinks[number] = fd
        made: dict[int, sinks.Sink] = {number: sinks.ByteSink(fd) for number, fd in self.sinks.items()}
        if drops:
            made = {
                number: sinks.DroppingSink(sink, self.loop, sinks.STREAM_NAMES[number])
                for number, sink in made.items()
            }
        self.relay = relay.Relay(self.loop, made, on_finished=self._count)
        self.relay.follow(self.stream.fileno(), position or Position(), framed=framed)

    def _count(self) -> None:
        self.finished += 1

    def run(self) -> None:
        self.loop.run_until(lambda: self.relay.finished)
        assert self.finished == 1

    def close(self) -> dict[int, bytes]:
        self.relay.close()
        assert self.loop.is_empty, "a watch or a timer outlives the relay"
        for closable in (self.engine, self.stream):
            closable.close()
        for fd in self.sinks.values():
            os.close(fd)
        return {number: path.read_bytes() for number, path in self.paths.items()}

    def finish(self) -> dict[int, bytes]:
        self.engine.close()
        self.run()
        return self.close()


def test_frames_go_to_their_streams_byte_for_byte(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Position(early=frame(STDOUT, b"early\n")))
    bench.engine.sendall(frame(STDERR, b"\xff\0no newline") + frame(STDOUT, b"a\r\nb"))

    assert bench.finish() == {STDOUT: b"early\na\r\nb", STDERR: b"\xff\0no newline"}


def test_a_terminals_output_has_no_frames(tmp_path: Path) -> None:
    bench = Bench(tmp_path, framed=False)
    bench.engine.sendall(b"\x01\x02raw")

    assert bench.finish() == {STDOUT: b"\x01\x02raw", STDERR: b""}


def test_a_container_that_says_nothing_is_finished_at_once(tmp_path: Path) -> None:
    assert Bench(tmp_path).finish() == {STDOUT: b"", STDERR: b""}


@pytest.mark.parametrize("cut", range(1, 20))
def test_a_relay_goes_on_where_another_has_stopped(cut: int, tmp_path: Path) -> None:
    data = frame(STDOUT, b"out\n") + frame(STDERR, b"err\n")
    first = Bench(tmp_path)
    first.engine.sendall(data[:cut])
    reached: list[bool] = []
    first.loop.after(0.01, lambda: reached.append(True))
    first.loop.run_until(lambda: bool(reached))
    position = first.relay.position
    first.close()

    second = Bench(tmp_path, position)
    second.engine.sendall(data[cut:])

    assert second.finish() == {STDOUT: b"out\n", STDERR: b"err\n"}


@pytest.fixture
def slow_reader() -> Iterator[tuple[int, int]]:
    """(our end of a pipe, what a relay writes to)."""
    reader, writer = os.pipe()
    sink = open_sink(writer)
    os.close(writer)
    yield reader, sink
    with contextlib.suppress(OSError):
        os.close(reader)


def test_a_slow_reader_gets_everything_and_little_is_held(slow_reader: tuple[int, int], tmp_path: Path) -> None:
    reader, sink = slow_reader
    bench = Bench(tmp_path, stdout=sink)
    data = os.urandom(4_000_000)
    received = bytearray()

    def write() -> None:
        with bench.engine as engine:
            engine.sendall(b"".join(frame(STDOUT, data[i : i + 5000]) for i in range(0, len(data), 5000)))

    def read() -> None:
        while piece := os.read(reader, 10_000):
            received.extend(piece)

    threads = [threading.Thread(target=write), threading.Thread(target=read)]
    for thread in threads:
        thread.start()
    bench.run()
    bench.close()
    for thread in threads:
        thread.join()

    assert received == data


def test_a_reader_that_went_away_does_not_stop_the_payload(
    slow_reader: tuple[int, int], tmp_path: Path, logged: Callable[[], list[str]]
) -> None:
    reader, sink = slow_reader
    bench = Bench(tmp_path, stdout=sink)
    os.close(reader)
    bench.engine.sendall(frame(STDOUT, b"lost\n") + frame(STDERR, b"kept\n") + frame(STDOUT, b"lost\n"))

    assert bench.finish()[STDERR] == b"kept\n"
    assert len(logged()) == 1
    assert "standard output" in logged()[0]


def test_a_stream_without_frames_is_given_up_with_a_warning(tmp_path: Path, logged: Callable[[], list[str]]) -> None:
    bench = Bench(tmp_path)
    bench.engine.sendall(b"this is not framed at all")

    assert bench.finish() == {STDOUT: b"", STDERR: b""}
    assert "the rest is lost" in logged()[0]


@pytest.mark.parametrize("kind", ["pipe", "socket", "file"])
def test_our_own_streams_stay_blocking_for_those_who_share_them(kind: str, tmp_path: Path) -> None:
    if kind == "pipe":
        other, fd = os.pipe()
    elif kind == "socket":
        pair = socket.socketpair()
        other, fd = pair[0].detach(), pair[1].detach()
    else:
        other, fd = os.open(os.devnull, os.O_RDONLY), os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)

    sink = open_sink(fd)

    assert sinks.ByteSink(sink).write([memoryview(b"ab"), memoryview(b"c")]) == 3
    assert os.get_blocking(fd)
    for each in (sink, fd, other):
        os.close(each)


def test_a_socket_that_is_full_does_not_block() -> None:
    reader, writer = socket.socketpair()
    sink = open_sink(writer.fileno())

    writer.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while writer.send(b"x" * 65536):
            pass
    writer.setblocking(True)

    with pytest.raises(BlockingIOError):
        sinks.ByteSink(sink).write([memoryview(b"x")])

    os.close(sink)
    reader.close()
    writer.close()


def drain(reader: int) -> bytes:
    """What is in a pipe."""
    os.set_blocking(reader, False)
    received = bytearray()
    with contextlib.suppress(BlockingIOError):
        while piece := os.read(reader, 65536):
            received += piece
    return bytes(received)


def pump(bench: Bench, data: bytes) -> None:
    """Send data as the engine would, and let the relay act on all of it."""
    reached: list[bool] = []
    bench.engine.sendall(data)
    bench.loop.after(0.01, lambda: reached.append(True))
    bench.loop.run_until(lambda: bool(reached))


@pytest.mark.parametrize("size", range(1, 40))
def test_frames_may_be_cut_anywhere(size: int, tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    data = frame(STDOUT, b"first\n") + frame(STDERR, b"") + frame(STDERR, b"second") + frame(STDOUT, b"third\n")
    for begin in range(0, len(data), size):
        bench.engine.sendall(data[begin : begin + size])

    assert bench.finish() == {STDOUT: b"first\nthird\n", STDERR: b"second"}


def test_what_a_slow_reader_does_not_take_is_dropped_by_whole_lines_and_counted(
    slow_reader: tuple[int, int], tmp_path: Path, logged: Callable[[], list[str]]
) -> None:
    reader, sink = slow_reader
    bench = Bench(tmp_path, stdout=sink, drops=True)
    lines = [b"%07d" % number + b"x" * 92 + b"\n" for number in range(3000)]

    def write() -> None:
        with bench.engine as engine:
            for begin in range(0, len(lines), 70):
                engine.sendall(frame(STDOUT, b"".join(lines[begin : begin + 70])[:-50]))
                engine.sendall(frame(STDOUT, b"".join(lines[begin : begin + 70])[-50:]))

    thread = threading.Thread(target=write)
    thread.start()
    bench.run()
    thread.join()
    bench.close()
    received = drain(reader)

    taken = received.splitlines(keepends=True)
    assert 100 < len(taken) < 1000
    whole = set(taken) & set(lines)
    cut = [line for line in taken if line not in whole]
    assert all(any(line.startswith(one.rstrip(b"\n")) for line in lines) for one in cut)
    told = [[int(word.strip("(")) for word in line.split() if word.strip("(").isdigit()] for line in logged()]
    lost_lines, lost_bytes = map(sum, zip(*told, strict=True))
    assert lost_lines == len(lines) - len(whole)
    # A line that was cut is ended with a newline of ours, where there was room for one.
    assert lost_bytes + len(received) - sum(map(len, lines)) == sum(one.endswith(b"\n") for one in cut)


def test_after_a_loss_the_next_line_is_whole_again(
    slow_reader: tuple[int, int], tmp_path: Path, logged: Callable[[], list[str]]
) -> None:
    reader, sink = slow_reader
    bench = Bench(tmp_path, stdout=sink, drops=True)
    with contextlib.suppress(BlockingIOError):
        while os.write(sink, b"x" * 4096):
            pass
    os.read(reader, 4096)
    pump(bench, frame(STDOUT, b"a" * 5000 + b"\nlost\nlost again"))
    drain(reader)
    pump(bench, frame(STDOUT, b" to its end\nkept\n"))
    bench.engine.close()
    bench.run()

    assert drain(reader) == b"\nkept\n"
    assert "3 lines" in logged()[0]
    bench.close()


def fill(fd: int) -> None:
    """Write to a pipe until it takes no more."""
    with contextlib.suppress(BlockingIOError):
        while os.write(fd, b"x" * 4096):
            pass


def test_two_slow_readers_cost_nothing_while_they_are_slow_and_nothing_afterwards(tmp_path: Path) -> None:
    """The reader that had caught up stayed watched, and was always writable: 176 000 calls a second, for ever."""
    pipes = [os.pipe(), os.pipe()]
    stdout, stderr = (open_sink(writer) for _, writer in pipes)
    for _, writer in pipes:
        os.close(writer)
    bench = Bench(tmp_path, stdout=stdout, stderr=stderr)
    for fd in (stdout, stderr):
        fill(fd)
    pump(bench, frame(STDOUT, b"out\n") + frame(STDERR, b"err\n"))
    drain(pipes[0][0])
    pump(bench, b"")

    assert rounds_without_events(bench) == 0
    drain(pipes[1][0])
    pump(bench, b"")
    assert rounds_without_events(bench) == 0
    assert not bench.relay.is_behind
    bench.engine.close()
    bench.run()
    bench.close()
    for reader, _ in pipes:
        os.close(reader)


def rounds_without_events(bench: Bench) -> int:
    """Return in how many of ten rounds of the loop something was ready although nothing happens."""
    ready = 0
    for _ in range(10):
        before = bench.loop.now()
        bench.loop.step(0.005)
        ready += bench.loop.now() - before < 0.004
    return ready


def test_a_stream_that_is_left_is_not_read_and_what_is_held_of_it_is_written(
    slow_reader: tuple[int, int], tmp_path: Path
) -> None:
    reader, sink = slow_reader
    bench = Bench(tmp_path, stdout=sink)
    fill(sink)
    pump(bench, frame(STDOUT, b"held\n"))
    flushed: list[str] = []

    bench.relay.stop_reading()
    bench.relay.when_flushed(lambda: flushed.append("first"))
    bench.engine.sendall(frame(STDOUT, b"unread\n"))
    pump(bench, b"")
    assert flushed == []
    first = drain(reader)
    bench.loop.run_until(lambda: bool(flushed))

    assert (first + drain(reader)).endswith(b"xheld\n")
    bench.relay.when_flushed(lambda: flushed.append("second"))
    assert flushed == ["first", "second"]
    assert not bench.finished
    bench.engine.close()
    bench.close()


def test_another_stream_is_followed_from_where_the_output_stood(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    pump(bench, frame(STDOUT, b"1\n2\n"))
    log, other = socket.socketpair()
    log.setblocking(False)
    log_text = b"".join(frame(STDOUT, b"%d\n" % number) for number in (1, 2, 3))

    bench.relay.stop_reading()
    position = Position(recent=bench.relay.position.recent, is_log=True)
    bench.relay.follow(log.fileno(), position, framed=True)
    other.sendall(log_text)
    other.close()
    bench.run()
    log.close()
    bench.engine.close()

    assert bench.close()[STDOUT] == b"1\n2\n3\n"


def test_output_that_is_given_up_ends_once(slow_reader: tuple[int, int], tmp_path: Path) -> None:
    _, sink = slow_reader
    bench = Bench(tmp_path, stdout=sink)
    fill(sink)
    pump(bench, frame(STDOUT, b"lost\n"))

    bench.relay.give_up()
    bench.relay.give_up()

    assert bench.relay.finished
    assert bench.finished == 1
    bench.engine.close()
    bench.close()


def test_an_engine_that_resets_the_stream_ends_it(tmp_path: Path) -> None:
    """Data that it has not read makes the kernel reset the connection when the engine closes it."""
    bench = Bench(tmp_path)
    bench.engine.sendall(frame(STDOUT, b"kept\n"))
    bench.loop.step(1.0)
    bench.stream.send(b"never read")

    assert bench.finish()[STDOUT] == b"kept\n"
