"""The sums of a pull's progress."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from systemd_docker.engine.pull_progress import MAX_LAYERS, PullProgress, Tally


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (PullProgress(), "Pulling nginx"),
        (PullProgress(layers=3), "Pulling nginx"),
        (PullProgress(12_345_678, 30_100_000), "Pulling nginx: 41% (12.3/30.1 MB)"),
        (PullProgress(0, 30_100_000), "Pulling nginx: 0% (0.0/30.1 MB)"),
        (PullProgress(29_999_999, 30_000_000), "Pulling nginx: 99% (30.0/30.0 MB)"),
        (PullProgress(5, 5, 2, layers=3, layers_done=1), "Pulling nginx: unpacking (1/3 layers)"),
        (PullProgress(5, 5, 5, 3, 3, finished=True), "Pulled nginx"),
    ],
)
def test_progress_reads_as_a_status_line(progress: PullProgress, text: str) -> None:
    assert progress.text("nginx") == text


def line(status: str, layer: str = "a", current: int = 0, total: int = 0, **more: object) -> dict[str, object]:
    return {"status": status, "id": layer, "progressDetail": {"current": current, "total": total, **more}}


def tally(*lines: dict[str, object]) -> PullProgress:
    tally = Tally()
    for each in lines:
        tally.add(each)  # type: ignore[arg-type]  # dict is invariant; these are JSON
    return tally.progress()


FS, DONE, HERE = line("Pulling fs layer"), line("Pull complete"), line("Already exists", "b")


@pytest.mark.parametrize(
    ("lines", "progress"),
    [
        ([], PullProgress()),
        ([line("Pulling from library/nginx", "latest"), {"status": "Digest: sha256:0"}, {}], PullProgress()),
        ([FS, line("Waiting"), line("Verifying Checksum")], PullProgress(layers=1)),
        ([FS, HERE], PullProgress(layers=2, layers_done=1)),
        ([FS, line("Downloading", current=3, total=9)], PullProgress(3, 9, layers=1)),
        ([line("Downloading", "a", 3, 9), line("Downloading", "b", 1, 4)], PullProgress(4, 13, layers=2)),
        (
            [line("Downloading", current=8, total=9), line("Downloading", current=2, total=9)],
            PullProgress(8, 9, 0, 1),
        ),
        ([line("Downloading", current=3, total=-1)], PullProgress(3, 3, layers=1)),
        ([line("Downloading", current=3, total=9), line("Download complete")], PullProgress(9, 9, layers=1)),
        ([line("Download complete")], PullProgress(layers=1)),
        ([line("Downloading", current=9, total=9), line("Extracting", current=4, total=9)], PullProgress(9, 9, 4, 1)),
        ([line("Extracting", current=7, units="s")], PullProgress(layers=1)),
        ([line("Downloading", current=9, total=9), DONE, DONE], PullProgress(9, 9, 0, 1, 1)),
        ([{"status": "Downloading", "id": "a", "progressDetail": None}], PullProgress(layers=1)),
        ([line("Pulling fs layer", str(n)) for n in range(MAX_LAYERS + 9)], PullProgress(layers=MAX_LAYERS)),
    ],
)
def test_layers_add_up(lines: list[dict[str, object]], progress: PullProgress) -> None:
    assert tally(*lines) == progress


STATUSES = [
    "Pulling fs layer",
    "Downloading",
    "Download complete",
    "Extracting",
    "Pull complete",
    "Already exists",
    "?",
]


@given(
    st.lists(
        st.builds(line, st.sampled_from(STATUSES), st.sampled_from("abc"), st.integers(0, 99), st.integers(-1, 99))
    )
)
def test_no_order_of_lines_downloads_more_than_all_or_goes_back(lines: list[dict[str, object]]) -> None:
    before = PullProgress()
    for end in range(len(lines)):
        now = tally(*lines[: end + 1])

        assert before.current_bytes <= now.current_bytes <= now.total_bytes
        assert before.layers_done <= now.layers_done <= now.layers
        before = now
