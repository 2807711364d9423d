"""poll(): wait for a condition of which no event tells. Anything with an event, e.g. a boot, has its own wait."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def poll(probe: Callable[[], T | None], *, what: str, timeout_sec: float = 30) -> T:
    """Call probe until its answer is true, and return that; after timeout_sec raise a TimeoutError with what."""
    deadline = time.monotonic() + timeout_sec
    while not (answer := probe()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"gave up after {timeout_sec} s waiting for {what}")
        time.sleep(0.05)
    return answer
