from __future__ import annotations

import itertools

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from systemd_docker.engine.http_parser import MAX_BODY_BYTES, MAX_HEAD_BYTES, Parser, ProtocolError

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

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
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, b"ok"),
]


@given(case=st.sampled_from(ANSWERS), cuts=st.lists(st.integers(1, 200), max_size=8))
def test_an_answer_survives_any_chunking(case: tuple[bytes, int, bytes], cuts: list[int]) -> None:
    data, status, expected = case
    edges = [0, *sorted({cut for cut in cuts if cut < len(data)}), len(data)]
    parser = Parser()
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
    parser = Parser()

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
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", "longer than its size"),
        (b"HTTP/1.1 099 OK\r\n\r\n", "not an HTTP answer"),
        (b"HTTP/2.0 200 OK\r\n\r\n", "not an HTTP answer"),
        (b"HTTP/1.1 200 OK\n\r\n\r\n", "line break that is not CR LF"),
        (b"HTTP/1.1 200 OK\r\nA: b\r\n folded: c\r\n\r\n", "not a header"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 60_000 + b"\r\n\r\n", "not a length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n", "body is longer than 16 MiB"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "two different content-length"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "unsupported transfer encoding"),
        (CHUNKED + b"f" * 60_000 + b"\r\n", "not a length"),
        (CHUNKED + b"1;" + b"x" * MAX_HEAD_BYTES, "line is longer than 64 KiB"),
        (CHUNKED + b"0\r\n" + b"X: y\r\n" * 20_000, "trailers are longer than 64 KiB"),
        (b"x" * (MAX_HEAD_BYTES + 1), "headers are longer than 64 KiB"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000 + b"\r\n", "headers are longer than 64 KiB"),
    ],
)
def test_what_is_no_http_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        Parser().feed(data)


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
    parser = Parser()
    parser.feed(data)

    with pytest.raises(ConnectionResetError, match="in the middle"):
        parser.feed_end()


@given(data=st.binary(max_size=300))
def test_noise_gives_nothing_but_protocol_errors(data: bytes) -> None:
    parser = Parser()
    try:
        parser.feed(data)
        parser.feed_end()
    except (ProtocolError, ConnectionResetError):
        return
    assert parser.complete


PIECE = b"x" * 65536
ENDLESS = [
    (b"HTTP/1.1 200 OK\r\n\r\n", PIECE),
    (CHUNKED, b"10000\r\n" + PIECE + b"\r\n"),
    (CHUNKED + b"fffffffffff\r\n", PIECE),
]


@pytest.mark.parametrize(("head", "piece"), ENDLESS)
def test_a_body_that_does_not_end_is_refused_and_forgotten(head: bytes, piece: bytes) -> None:
    parser = Parser()
    parser.feed(head)

    for _ in range(MAX_BODY_BYTES // len(PIECE)):
        parser.feed(piece)

    with pytest.raises(ProtocolError, match="body is longer than 16 MiB"):
        parser.feed(piece)

    assert parser.take_body() == b""
    with pytest.raises(ProtocolError):
        parser.feed(piece)
    with pytest.raises(ConnectionResetError):
        parser.feed_end()


@pytest.mark.parametrize(("head", "piece"), ENDLESS)
def test_a_stream_may_be_longer_than_any_body(head: bytes, piece: bytes) -> None:
    parser = Parser()
    parser.feed(head)
    taken = 0

    while taken <= 2 * MAX_BODY_BYTES:
        parser.feed(piece)
        taken += len(parser.take_body())

    assert not parser.complete


def test_bytes_after_the_answer_are_not_kept() -> None:
    parser = Parser()

    parser.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n")
    parser.feed(b"more")

    assert (parser.complete, parser.take_body()) == (True, b"ok")


NAMES = st.sampled_from(["Api-Version", "Content-Type", "Date", "Server", "X"])
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12)
NOISE = [b"", b"0", b"\r", b"\n", b":", b" ", b"a", b"\0"]
BODIES = st.lists(st.binary(max_size=40), max_size=5)


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """An answer as a server may send it, by length, in chunks or until the connection ends."""
    status = draw(st.sampled_from([200, 201, 204, 304, 400, 404, 500]))
    headers = draw(st.dictionaries(NAMES, VALUES, max_size=4))
    pieces = draw(BODIES)
    match draw(st.sampled_from(["length", "chunks", "close"])):
        case "length":
            headers["Content-Length"] = str(sum(map(len, pieces)))
            body = b"".join(pieces)
        case "chunks":
            headers["Transfer-Encoding"] = "chunked"
            extension = draw(st.sampled_from([b"", b";a=b"]))
            chunks = [b"%x%s\r\n%s\r\n" % (len(piece), extension, piece) for piece in pieces if piece]
            body = b"".join(chunks) + b"0\r\n" + draw(st.sampled_from([b"", b"T: x\r\n"])) + b"\r\n"
        case _:
            body = b"".join(pieces)
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    continued = draw(st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n"]))
    return continued + f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + (b"" if status in (204, 304) else body)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """The same with a few bytes changed, taken out, or put in."""
    data = bytearray(draw(answers()))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 2))] = draw(
            st.sampled_from([b"", b"0", b"\r", b"\n", b":", b" ", b"a", b"\0"])
        )
    return bytes(data)


def by_parser(data: bytes, cuts: list[int]) -> tuple[int, bytes] | None:
    """Status and body of a whole answer; None for what is none."""
    edges = [0, *sorted({cut for cut in cuts if cut < len(data)}), len(data)]
    parser, body = Parser(), b""
    try:
        for start, end in itertools.pairwise(edges):
            parser.feed(data[start:end])
            body += parser.take_body()
        parser.feed_end()
    except (ProtocolError, ConnectionResetError):
        return None
    assert parser.head is not None
    return parser.head.status, body


def by_h11(data: bytes) -> tuple[int, bytes] | None:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "docker"), ("Connection", "close")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    connection.receive_data(b"")
    status, body = 0, b""
    try:
        while not isinstance(event := connection.next_event(), h11.EndOfMessage | h11.ConnectionClosed):
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif event in (h11.NEED_DATA, h11.PAUSED):
                return None
    except h11.RemoteProtocolError:
        return None
    return (status, body) if isinstance(event, h11.EndOfMessage) else None


@given(answers(), st.lists(st.integers(1, 300), max_size=6))
def test_what_a_server_may_send_is_read_as_h11_reads_it(data: bytes, cuts: list[int]) -> None:
    found = by_parser(data, cuts)

    assert found is not None
    assert found == by_h11(data)


@given(mutated(), st.lists(st.integers(1, 300), max_size=6))
def test_what_both_read_they_read_alike_and_cuts_do_not_matter(data: bytes, cuts: list[int]) -> None:
    found, whole, expected = by_parser(data, cuts), by_parser(data, []), by_h11(data)

    assert found == whole
    assert found is None or expected is None or found == expected


@given(answers(), st.data())
def test_no_beginning_of_an_answer_with_a_length_is_an_answer(data: bytes, draw: st.DataObject) -> None:
    beginning = data[: draw.draw(st.integers(0, len(data) - 1))]
    found, whole = by_parser(beginning, []), by_parser(data, [])

    if b"Content-Length" in data or b"Transfer-Encoding" in data:
        assert found is None or found == whole
