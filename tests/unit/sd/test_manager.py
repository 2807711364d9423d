from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from systemd_docker import unit
from systemd_docker.sd import manager

OK = b"OK 093d5127cabb4fd2a7963e451086b26c\r\n"


def field(code: int, signature: str, value: bytes) -> bytes:
    return bytes((code, 1)) + signature.encode() + b"\0" + value


def answer(serial: int, type_: str, value: bytes) -> bytes:
    """As systemd 257 answers: the call's serial, its name, the signature; then the value in a variant."""
    sender = field(7, "s", b"\x18\0\0\0org.freedesktop.systemd1\0")
    fields = (field(5, "u", serial.to_bytes(4, "little")), sender, field(8, "g", b"\x01v\0"))
    return message(2, *fields, body=b"\x01" + type_.encode() + b"\0" + b"\0" + value)


def message(kind: int, *made: bytes, body: bytes) -> bytes:
    *before, last = made
    fields = b"".join(one + bytes(-len(one) % 8) for one in before) + last
    header = b"l" + bytes((kind, 1, 1)) + len(body).to_bytes(4, "little") + b"\x09\0\0\0"
    return header + len(fields).to_bytes(4, "little") + fields + bytes(-len(fields) % 8) + body


UNKNOWN = message(
    3,
    field(5, "u", b"\x03\0\0\0"),
    field(4, "s", b"\x05\0\0\0x.y.z\0"),
    field(8, "g", b"\x01s\0"),
    body=b"\x02\0\0\0No\0",
)
SIGNAL = message(4, field(1, "o", b"\x01\0\0\0/\0"), field(3, "s", b"\x03\0\0\0New\0"), body=b"")

ANSWERS = (
    OK
    + answer(1, "s", b"\x05\0\0\0mixed\0")
    + SIGNAL
    + answer(2, "t", bytes(4) + (90_000_000).to_bytes(8, "little"))
    + UNKNOWN
    + answer(4, "b", b"\x01\0\0\0")
    + answer(5, "i", b"\x0f\0\0\0")
)
KNOWN = [(1, "mixed"), (2, "90000000us"), (3, ""), (4, "yes"), (5, "15")]


def test_answers_are_read_as_systemctl_prints_them() -> None:
    assert list(manager.replies(ANSWERS)) == KNOWN


def test_a_time_span_is_understood_as_systemctls() -> None:
    assert unit.parse_timespan_usec("90000000us") == 90_000_000
    assert unit.parse_timespan_usec(f"{2**64 - 1}us") == unit.INFINITY_USEC


@given(st.integers(0, len(ANSWERS)))
def test_as_much_is_known_as_has_come(length: int) -> None:
    known = list(manager.replies(ANSWERS[:length]))

    assert known == KNOWN[: len(known)]


@given(st.binary(max_size=200))
def test_no_answer_is_more_than_not_understood(data: bytes) -> None:
    try:
        list(manager.replies(OK + data))
    except manager.NotUnderstoodError:
        return


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("web.service", "web_2eservice"),
        ("web@1.service", "web_401_2eservice"),
        ("1.service", "_31_2eservice"),
        ("a\\x2db.service", "a_5cx2db_2eservice"),
        ("a_b-c:d.service", "a_5fb_2dc_3ad_2eservice"),
    ],
)
def test_a_unit_is_an_object_whose_path_has_letters_and_digits(name: str, escaped: str) -> None:
    assert manager.escape_label(name) == escaped


def test_a_call_is_what_the_specification_says() -> None:
    assert manager.get(7, "a.service", "Unit", "Id") == (
        b"l\x01\0\x01\x2b\0\0\0\x07\0\0\0\x78\0\0\0"
        b"\x01\x01o\0\x2a\0\0\0/org/freedesktop/systemd1/unit/a_2eservice\0\0\0\0\0\0"
        b"\x02\x01s\0\x1f\0\0\0org.freedesktop.DBus.Properties\0"
        b"\x03\x01s\0\x03\0\0\0Get\0\0\0\0\0"
        b"\x08\x01g\0\x02ss\0"
        b"\x1d\0\0\0org.freedesktop.systemd1.Unit\0\0\0"
        b"\x02\0\0\0Id\0"
    )


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.fspath(tmp_path / "private"))
        made.listen()
        yield made


PROPERTIES = {"KillMode": "Service", "TimeoutStopUSec": "Service", "New": "Service", "Transient": "Unit", "N": "Unit"}


def test_all_is_asked_at_once_and_what_is_known_comes_back(listener: socket.socket) -> None:
    question = manager.Question(listener.getsockname(), "web.service", PROPERTIES)
    peer, _ = listener.accept()
    with peer:
        begin, _, calls = peer.recv(65536).partition(b"\r\nBEGIN\r\n")
        peer.sendall(ANSWERS)
        known = question.answer(time.monotonic() + 10)

    assert begin == b"\0AUTH EXTERNAL " + str(os.geteuid()).encode().hex().encode()
    assert calls == b"".join(
        manager.get(number, "web.service", interface, name)
        for number, (name, interface) in enumerate(PROPERTIES.items(), 1)
    )
    assert known == {"KillMode": "mixed", "TimeoutStopUSec": "90000000us", "Transient": "yes", "N": "15"}


@pytest.mark.parametrize("said", [b"", b"REJECTED EXTERNAL\r\n", ANSWERS[:-1], OK + b"nonsense" * 4])
def test_a_manager_that_does_not_answer_all_is_not_understood(listener: socket.socket, said: bytes) -> None:
    question = manager.Question(listener.getsockname(), "web.service", PROPERTIES)
    peer, _ = listener.accept()
    peer.recv(65536)
    peer.sendall(said)
    peer.close()

    with pytest.raises(ConnectionError):
        question.answer(time.monotonic() + 10)


def test_a_manager_that_hangs_is_given_up(listener: socket.socket) -> None:
    question = manager.Question(listener.getsockname(), "web.service", PROPERTIES)

    with pytest.raises(TimeoutError):
        question.answer(time.monotonic())


def test_no_manager_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        manager.Question(f"{tmp_path}/private", "web.service", PROPERTIES)
