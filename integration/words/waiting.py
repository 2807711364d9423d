"""Wait until a unit is in a state, or longer than poll() where the machine is slow."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from integration.harness.machine import Machine, poll

T = TypeVar("T")


def wait_until(machine: Machine, name: str, state: str) -> None:
    """Wait for a unit's ActiveState=."""
    poll(lambda: machine.show(name, "ActiveState") == state, what=f"{name} to be {state}")


def wait_for(machine: Machine, probe: Callable[[], T | None], what: str, *, timeout_sec: int = 30) -> T:
    """Call poll() with a timeout as long as the machine is slow."""
    return poll(probe, what=what, timeout_sec=timeout_sec * machine.slowness)
