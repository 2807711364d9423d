from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from systemd_docker.service.output.journal_records import RECORD_BYTES, RecordSink, fields_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FIELDS = fields_of("0123456789abcdef" * 4, "web", "busybox:musl")


def parse(datagram: bytes) -> dict[str, str]:
    """The simple form of journald's native protocol."""
    assert datagram.endswith(b"\n")
    lines = datagram.removesuffix(b"\n").split(b"\n")
    return {key.decode(): value.decode("latin-1") for key, value in (line.split(b"=", 1) for line in lines)}


class Journald:
    """Both ends of a socket for records."""

    def __init__(self) -> None:
        self.end, self.ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ours.setblocking(False)
        self.end.setblocking(False)

    def sink(self, priority: int = 6) -> RecordSink:
        return RecordSink(self.ours.fileno(), FIELDS, priority)

    def received(self) -> list[dict[str, str]]:
        records = []
        while True:
            try:
                records.append(parse(self.end.recv(1 << 20)))
            except BlockingIOError:
                return records


@pytest.fixture
def journald() -> Iterator[Journald]:
    both = Journald()
    yield both
    both.end.close()
    both.ours.close()


def write(journald: Journald, pieces: Sequence[bytes]) -> list[dict[str, str]]:
    """As the relay does it: what was not taken is offered again when there is room."""
    sink = journald.sink()
    records = []
    for piece in pieces:
        rest = memoryview(piece)
        while rest:
            try:
                rest = rest[sink.write([rest]) :]
            except BlockingIOError:
                records += journald.received()
    while True:
        try:
            sink.flush()
        except BlockingIOError:
            records += journald.received()
        else:
            return records + journald.received()


def test_a_record_has_the_fields_of_dockers_driver(journald: Journald) -> None:
    assert write(journald, [b"hello\n"]) == [
        {
            "CONTAINER_ID": "0123456789ab",
            "CONTAINER_ID_FULL": "0123456789abcdef" * 4,
            "CONTAINER_NAME": "web",
            "CONTAINER_TAG": "web",
            "SYSLOG_IDENTIFIER": "web",
            "IMAGE_NAME": "busybox:musl",
            "PRIORITY": "6",
            "MESSAGE": "hello",
        }
    ]


LINES = [
    # what is written, the messages, the priorities
    ([b"a\nb\n"], ["a", "b"], "66"),
    ([b"no end"], ["no end"], "6"),
    ([b"a", b"b", b"\n"], ["ab"], "6"),
    ([b"\n\n"], ["", ""], "66"),
    ([b"<3>bad\n<7>fine\n"], ["bad", "fine"], "37"),
    ([b"<", b"3", b">cut\n"], ["cut"], "3"),
    ([b"<8>none\n<33>none\n"], ["<8>none", "<33>none"], "66"),
    ([b"terminal\r\na\rb\n"], ["terminal", "a\rb"], "66"),
    ([b"nul\0\xff\n"], ["nul\0\xff"], "6"),
    ([b"KEY=value\n"], ["KEY=value"], "6"),
]


@pytest.mark.parametrize(("pieces", "messages", "priorities"), LINES)
def test_lines(journald: Journald, pieces: list[bytes], messages: list[str], priorities: str) -> None:
    records = write(journald, pieces)

    assert [record["MESSAGE"] for record in records] == messages
    assert "".join(record["PRIORITY"] for record in records) == priorities
    assert not any("CONTAINER_PARTIAL_ID" in record for record in records)


@pytest.mark.parametrize("extra", [0, 1, RECORD_BYTES])
def test_a_long_line_is_parts_that_belong_together(journald: Journald, extra: int) -> None:
    line = b"<4>" + b"x" * (RECORD_BYTES - 3) + b"y" * extra

    records = write(journald, [line[:5000], line[5000:] + b"\n", b"next\n"])

    *parts, following = records
    assert following["MESSAGE"] == "next"
    assert "".join(record["MESSAGE"] for record in parts).encode() == line[3:]
    assert {record["PRIORITY"] for record in parts} == {"4"}
    if extra == 0:
        assert "CONTAINER_PARTIAL_ID" not in parts[0]
        return
    assert [record["CONTAINER_PARTIAL_ORDINAL"] for record in parts] == ["1", "2"]
    assert [record["CONTAINER_PARTIAL_LAST"] for record in parts] == ["false", "true"]
    assert [record.get("CONTAINER_PARTIAL_MESSAGE") for record in parts] == ["true", None]
    assert len({record["CONTAINER_PARTIAL_ID"] for record in parts}) == 1


def test_a_journald_that_is_behind_is_waited_for_and_nothing_is_lost(journald: Journald) -> None:
    lines = [b"%d" % number for number in range(2000)]

    records = write(journald, [b"\n".join(lines) + b"\n"])

    assert [record["MESSAGE"].encode() for record in records] == lines


@given(st.lists(st.binary(max_size=30)), st.integers(0, 100))
def test_another_sink_goes_on_where_one_has_stopped(pieces: list[bytes], stop: int) -> None:
    journald = Journald()
    expected = [record["MESSAGE"] for record in write(journald, pieces)]
    first = journald.sink()
    second = None
    for number, piece in enumerate(pieces):
        if number == stop:
            second = RecordSink(journald.ours.fileno(), FIELDS, 6, first.state)
        if piece:
            assert (second or first).write([memoryview(piece)]) == len(piece)
    (second or first).flush()

    assert [record["MESSAGE"] for record in journald.received()] == expected
    journald.end.close()
    journald.ours.close()
