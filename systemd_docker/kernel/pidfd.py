"""A container's first process, held by a pidfd: the kernel may give its PID to another process; pidfd_open(2)."""

from __future__ import annotations

import os
import select

NO_FD = -1
"""Stands for no descriptor."""


def hold(pid: int) -> tuple[int, int]:
    """Return (pid, a new pidfd), or (0, NO_FD) where it has ended, which is no error: a container may live for 10 ms.

    pid: 0 for one that does not run.
    """
    if not pid:
        return 0, NO_FD
    try:
        return pid, os.pidfd_open(pid)
    except ProcessLookupError:
        return 0, NO_FD


def is_dead(pidfd: int) -> bool:
    """Whether its process has ended, be it a zombie still."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))
