from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from systemd_docker.engine.multiplex import STDERR, STDOUT, Demultiplexer, FrameError


def encode(frames: list[tuple[int, bytes]]) -> bytes:
    return b"".join(bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data for stream, data in frames)


def feed(demultiplexer: Demultiplexer, data: bytes, sizes: list[int]) -> dict[int, bytes]:
    """What came out per stream, fed in pieces of the given sizes, the last one again and again."""
    out = {STDOUT: b"", STDERR: b""}
    position, turn = 0, 0
    while position < len(data):
        size = sizes[min(turn, len(sizes) - 1)]
        for stream, piece in demultiplexer.feed(memoryview(data[position : position + size])):
            out[stream] += piece
        position, turn = position + size, turn + 1
    return out


@given(
    frames=st.lists(st.tuples(st.sampled_from([STDOUT, STDERR]), st.binary(max_size=40)), max_size=10),
    sizes=st.lists(st.integers(1, 50), min_size=1, max_size=10),
)
def test_frames_survive_any_chunking(frames: list[tuple[int, bytes]], sizes: list[int]) -> None:
    demultiplexer = Demultiplexer(framed=True)

    out = feed(demultiplexer, encode(frames), sizes)

    for stream in (STDOUT, STDERR):
        assert out[stream] == b"".join(data for number, data in frames if number == stream)
    assert (demultiplexer.state[0], demultiplexer.state[2]) == (b"", 0)


@given(data=st.binary(max_size=200))
def test_a_terminals_bytes_are_all_output(data: bytes) -> None:
    assert feed(Demultiplexer(framed=False), data, [7])[STDOUT] == data


@pytest.mark.parametrize("header", [b"\x03\0\0\0\0\0\0\x01", b"\x01\0\x01\0\0\0\0\x01", b"HTTP/1.1"])
def test_what_is_no_header_is_refused(header: bytes) -> None:
    with pytest.raises(FrameError):
        list(Demultiplexer(framed=True).feed(memoryview(header)))
