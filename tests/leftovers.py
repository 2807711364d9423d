"""What a test may leave behind in its own process: children and open file descriptors. conftest.py compares them."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def children() -> set[int]:
    """Return the PIDs of this process's children, zombies included, of any thread; see proc_pid_task(5)."""
    pids: set[int] = set()
    for listing in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            pids.update(map(int, listing.read_text().split()))
    return pids


def open_fds() -> dict[int, str]:
    """Return this process's open descriptors with what each one refers to."""
    fds = {}
    with os.scandir("/proc/self/fd") as entries:
        for entry in entries:
            try:
                fds[int(entry.name)] = os.readlink(entry.path)
            except FileNotFoundError:
                continue
    return {fd: target for fd, target in fds.items() if target != f"/proc/{os.getpid()}/fd"}
