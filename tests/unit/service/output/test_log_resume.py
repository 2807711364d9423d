from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from systemd_docker.service.output import log_resume
from systemd_docker.service.output.log_resume import RecentOutput, ResumePoint

Pieces = list[tuple[int, bytes]]


def views(pieces: Pieces) -> list[tuple[int, memoryview]]:
    return [(stream, memoryview(data)) for stream, data in pieces]


def joined(pieces: list[tuple[int, memoryview]]) -> dict[int, bytes]:
    output: dict[int, bytes] = {}
    for stream, piece in pieces:
        output[stream] = output.get(stream, b"") + bytes(piece)
    return output


def cut(pieces: Pieces, sizes: list[int]) -> Pieces:
    """The same output in other pieces."""
    cutter, result = itertools.cycle(sizes), Pieces()
    for stream, data in pieces:
        while data:
            size = next(cutter)
            result.append((stream, data[:size]))
            data = data[size:]
    return result


LINES = st.lists(st.tuples(st.sampled_from([1, 2]), st.integers(0, 10**6)), max_size=400)


@given(numbers=LINES, split=st.integers(0, 400), sizes=st.lists(st.integers(1, 900), min_size=1, max_size=5))
def test_nothing_is_lost_and_nothing_comes_twice(
    numbers: list[tuple[int, int]], split: int, sizes: list[int]
) -> None:
    lines = [(stream, b"%d %d\n" % (index, number)) for index, (stream, number) in enumerate(numbers)]
    recent = RecentOutput(())
    for second, piece in enumerate(cut(lines[:split], sizes), start=100):
        recent.add(views([piece]), float(second))
    kept = RecentOutput(recent.plain()).plain()
    since = log_resume.since_sec(kept)
    resume = ResumePoint(kept)
    beginning = 0 if not since else max(0, min(split, len(lines)) - 2000)

    again = [piece for one in cut(lines[beginning:], sizes) for piece in resume.feed(views([one]))]

    assert joined(again) == joined(views(lines[split:]))


def test_the_log_is_read_from_where_the_tail_began() -> None:
    recent = RecentOutput(())
    for second in range(100, 100 + 3 * log_resume.RECENT_BYTES):
        recent.add([(1, memoryview(b"x"))], float(second))

    since, data = recent.plain()[0][1:]

    assert len(data) == log_resume.RECENT_BYTES
    assert since == 100 + 2 * log_resume.RECENT_BYTES
    assert log_resume.since_sec(recent.plain()) == since - log_resume.MARGIN_SEC


def test_what_is_known_whole_is_looked_for_from_the_beginning() -> None:
    recent = RecentOutput(())
    recent.add([(1, memoryview(b"hello\n"))], 100.0)

    assert recent.plain() == ((1, 0.0, b"hello\n"),)
    assert log_resume.since_sec(recent.plain()) == 0.0


def test_one_large_piece_is_not_the_whole() -> None:
    recent = RecentOutput(())
    recent.add([(1, memoryview(b"a" * 5000))], 100.0)

    since, data = recent.plain()[0][1:]

    assert (since, len(data)) == (100.0, log_resume.RECENT_BYTES)


def test_another_log_is_passed_on_in_the_end() -> None:
    resume = ResumePoint(((1, 1.0, b"never there"),))

    count = log_resume.MAX_SEARCHED_BYTES // 2**20 + 1
    fed = [list(resume.feed([(1, memoryview(b"y" * 2**20))])) for _ in range(count)]

    assert not any(fed[:-1])
    assert fed[-1]
    assert resume.found
