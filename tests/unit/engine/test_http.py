from __future__ import annotations

import errno
import os
import socket
import time
from pathlib import Path

import pytest

from systemd_docker.engine import http
from systemd_docker.engine.http_parser import ProtocolError


@pytest.fixture
def listener(tmp_path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(str(tmp_path / "socket"))
    sock.listen()
    return sock


def test_a_large_request_goes_out_and_its_answer_comes_in(listener: socket.socket) -> None:
    body = b"x" * 3_000_000
    request = http.format_request("POST", "/v1.41/x", body)
    exchange = http.Exchange(listener.getsockname(), request, "POST /x")
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
    exchange = http.Exchange(listener.getsockname(), http.format_request("GET", "/"), "GET /")

    with pytest.raises(TimeoutError):
        exchange.receive(http.wait_ready, time.monotonic() + 0.05)

    exchange.close()
    listener.close()


def test_a_failed_exchange_can_be_closed_more_than_once(listener: socket.socket) -> None:
    exchange = http.Exchange(listener.getsockname(), http.format_request("GET", "/"), "GET /")
    peer, _ = listener.accept()
    exchange.advance()
    peer.sendall(b"SSH-2.0-OpenSSH\r\n\r\n")

    with pytest.raises(ProtocolError):
        exchange.receive(http.wait_ready, time.monotonic() + 5)

    exchange.close()
    exchange.close()
    peer.close()
    listener.close()


def test_a_resumed_exchange_that_makes_no_sense_closes_its_descriptor() -> None:
    one, other = socket.socketpair()

    with other, pytest.raises(ProtocolError):
        http.Exchange.resumed(one.detach(), b"SSH-2.0-OpenSSH\r\n\r\n", "GET /")

    # The guard of every test finds what is left open.


def test_an_exchange_goes_on_in_another_process(listener: socket.socket) -> None:
    exchange = http.Exchange(listener.getsockname(), http.format_request("GET", "/"), "GET /")
    peer, _ = listener.accept()
    exchange.advance()
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
    exchange.receive_head(http.wait_ready, time.monotonic() + 5)

    resumed = http.Exchange.resumed(*exchange.parts(), "GET /")
    peer.sendall(b"ok")

    assert resumed.receive(http.wait_ready, time.monotonic() + 5)[1] == b"ok"
    for sock in (exchange, resumed, peer, listener):
        sock.close()


def test_a_path_that_no_socket_can_have_is_an_error_with_a_name(tmp_path: Path) -> None:
    path = str(tmp_path / ("x" * http.MAX_PATH_BYTES))

    with pytest.raises(OSError, match="name too long") as error:
        http.Exchange(path, b"", "GET /")

    assert (error.value.errno, error.value.filename) == (errno.ENAMETOOLONG, path)


def test_no_longer_than_limits_all_waits_together(listener: socket.socket) -> None:
    asked: list[float] = []
    wait = http.no_longer_than(0, lambda fd, events, deadline: asked.append(deadline))
    before = time.monotonic()

    wait(listener.fileno(), 0, before + 100)
    wait(listener.fileno(), 0, before - 100)

    assert asked[0] <= before
    assert asked[1] == before - 100
    listener.close()


def test_nobody_listening_names_the_socket(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        http.Exchange(str(tmp_path / "none"), b"", "GET /")

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
