"""Waiting for what nobody tells of."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def poll(probe: Callable[[], T | None], *, what: str, timeout_sec: float = 30) -> T:
    """Call probe until it answers, neither None nor False; fail with what was being waited for."""
    deadline = time.monotonic() + timeout_sec
    while not (answer := probe()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"gave up after {timeout_sec} s waiting for {what}")
        time.sleep(0.05)
    return answer
