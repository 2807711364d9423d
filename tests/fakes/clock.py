"""A clock that a test turns by hand, for loop.Loop: timers are due when the test says so; no test waits for one."""

from __future__ import annotations

import time

from systemd_docker.kernel.loop import Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_SEC = 10
"""Real time that a test waits for a descriptor before it fails."""


class Clock:
    """Monotonic seconds that stand still until turn()."""

    def __init__(self) -> None:
        self._now = 1000.0

    def __call__(self) -> float:
        return self._now

    def turn(self, loop: Loop, sec: float) -> None:
        """Let sec pass, timer after timer, as they would come due; descriptors that are ready are handled, too."""
        end = self._now + sec
        while (due := loop.next_deadline()) is not None and due <= end:
            self._now = max(self._now, due)
            loop.step(0.0)
        self._now = end
        loop.step(0.0)


def run_until(loop: Loop, is_finished: Callable[[], bool], what: str) -> None:
    """Run the loop in real time for its descriptors, not its timers, until is_finished; what: for the failure."""
    deadline = time.monotonic() + PATIENCE_SEC
    while not is_finished():
        assert time.monotonic() < deadline, f"gave up waiting for {what}"
        loop.step(0.02)
