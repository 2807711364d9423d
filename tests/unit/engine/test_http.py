from __future__ import annotations

import errno
import itertools
import os
import socket
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from systemd_docker.engine import http

ANSWERS = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, b"hello"),
    (b"HTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\n", 200, b""),
    (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n", 200, b"hello"),
    (
        b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\n",
        404,
        b"0123456789",
    ),
    (b"HTTP/1.0 500 Oops\r\n\r\nuntil the end", 500, b"until the end"),
]


@given(case=st.sampled_from(ANSWERS), cuts=st.lists(st.integers(1, 200), max_size=8))
def test_an_answer_survives_any_chunking(case: tuple[bytes, int, bytes], cuts: list[int]) -> None:
    data, status, expected = case
    edges = [0, *sorted({cut for cut in cuts if cut < len(data)}), len(data)]
    parser = http.Parser()
    body = b""

    for start, end in itertools.pairwise(edges):
        parser.feed(data[start:end])
        body += parser.take_body()
    parser.feed_end()

    assert parser.head is not None
    assert parser.head.status == status
    assert parser.complete
    assert body + parser.take_body() == expected


@pytest.mark.parametrize("size", range(1, 70))
def test_bytes_behind_an_upgrade_are_kept(size: int) -> None:
    data = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n\x01\0\0\0\0\0\0\x03hi\n"
    parser = http.Parser()

    for start in range(0, len(data), size):
        parser.feed(data[start : start + size])

    assert parser.head is not None
    assert parser.head.is_upgrade
    assert not parser.complete
    assert parser.take_body() == b"\x01\0\0\0\0\0\0\x03hi\n"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"SSH-2.0-OpenSSH\r\n\r\n", "not an HTTP answer"),
        (b"HTTP/1.1 2x0 OK\r\n\r\n", "not an HTTP answer"),
        (b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", "not a header"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "not a length"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "not a length"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", "longer than it said"),
        (b"x" * (http.MAX_HEAD_BYTES + 1), "headers do not end"),
    ],
)
def test_what_is_no_http_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(http.ProtocolError, match=message):
        http.Parser().feed(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n",
    ],
)
def test_an_answer_that_breaks_off_is_no_answer(data: bytes) -> None:
    parser = http.Parser()
    parser.feed(data)

    with pytest.raises(http.ProtocolError, match="in the middle"):
        parser.feed_end()


@given(data=st.binary(max_size=300))
def test_noise_gives_nothing_but_protocol_errors(data: bytes) -> None:
    parser = http.Parser()
    try:
        parser.feed(data)
        parser.feed_end()
    except http.ProtocolError:
        return
    assert parser.complete


@pytest.fixture
def listener(tmp_path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(str(tmp_path / "socket"))
    sock.listen()
    return sock


def test_a_large_request_goes_out_and_its_answer_comes_in(listener: socket.socket) -> None:
    body = b"x" * 3_000_000
    request = http.format_request("POST", "/v1.41/x", body)
    exchange = http.Exchange(listener.getsockname(), request)
    peer, _ = listener.accept()
    received = b""
    while len(received) < len(request):
        exchange.advance()
        received += peer.recv(1 << 20)
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    head, text = exchange.receive(http.wait_ready, time.monotonic() + 5)

    assert received == request
    assert (head.status, text) == (200, b"ok")
    for sock in (exchange, peer, listener):
        sock.close()


def test_a_peer_that_does_not_answer_runs_into_the_deadline(listener: socket.socket) -> None:
    exchange = http.Exchange(listener.getsockname(), http.format_request("GET", "/"))

    with pytest.raises(TimeoutError):
        exchange.receive(http.wait_ready, time.monotonic() + 0.05)

    exchange.close()
    listener.close()


def test_nobody_listening_names_the_socket(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        http.Exchange(str(tmp_path / "none"), b"")

    assert missing.value.filename == str(tmp_path / "none")
    assert missing.value.errno == errno.ENOENT


@pytest.mark.parametrize(
    ("text", "quoted"),
    [("web", "web"), ("a b/c?d=1", "a%20b%2Fc%3Fd%3D1"), ("é", "%C3%A9"), (os.fsdecode(b"\xff"), "%FF")],
)
def test_quote_leaves_nothing_that_a_url_would_take_for_its_own(text: str, quoted: str) -> None:
    assert http.quote(text) == quoted


def test_a_post_without_a_body_says_so() -> None:
    assert http.format_request("POST", "/x") == (
        b"POST /x HTTP/1.1\r\nHost: docker\r\nUser-Agent: systemd-docker\r\nConnection: close\r\n"
        b"Content-Length: 0\r\n\r\n"
    )
