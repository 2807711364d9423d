from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from systemd_docker.engine.http import wait_ready
from systemd_docker.engine.pull_progress import PullProgress
from systemd_docker.sd.notify import Notifier
from systemd_docker.service.start import pull

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class Manager(Notifier):
    """A service manager that remembers what it was told, in order."""

    def __init__(self) -> None:
        super().__init__("")
        self.said: list[str] = []

    def notify_plain(self, **assignments: int) -> None:
        self.said += assignments

    def notify_text(self, assignments: Mapping[str, str], fds: Sequence[int] = ()) -> None:
        self.said += assignments.values()


class Pulling:
    """A pull whose reports are known beforehand; it is always ready."""

    def __init__(self, reports: Sequence[PullProgress]) -> None:
        self._reports = iter(reports)
        self.reader, self.writer = os.pipe()
        os.write(self.writer, b"x")

    def fileno(self) -> int:
        return self.reader

    def receive(self) -> PullProgress | None:
        return next(self._reports)

    def close(self) -> None:
        os.close(self.reader)
        os.close(self.writer)


@pytest.fixture
def follow() -> Iterator[Any]:
    pulls = []

    def run(*reports: PullProgress) -> list[str]:
        pulling, manager = Pulling([*reports, PullProgress(finished=True)]), Manager()
        pulls.append(pulling)
        pull._follow(pulling, "app", manager, wait_ready)  # type: ignore[arg-type]  # as much of a Pull as it uses
        return manager.said

    yield run
    for pulling in pulls:
        pulling.close()


EXTEND = "EXTEND_TIMEOUT_USEC"


def test_bytes_that_move_extend_the_timeout(follow: Any) -> None:
    said = follow(PullProgress(100, 1000), PullProgress(200, 1000), PullProgress(1000, 1000, 10))

    assert said.count(EXTEND) == 3
    assert said[:2] == [EXTEND, "Pulling app: 10% (0.0/0.0 MB)"]
    assert said[-1] == "Pulled app"


def test_what_moves_no_bytes_does_not(follow: Any) -> None:
    said = follow(
        PullProgress(0, 1000),
        PullProgress(100, 1000),
        PullProgress(100, 2000, layers=2),
        PullProgress(100, 2000, layers=2, layers_done=1),
        PullProgress(50, 2000),
    )

    assert said.count(EXTEND) == 1
