"""A process held by a pidfd, which no later process with the same number can be mistaken for; pidfd_open(2)."""

from __future__ import annotations

import os
import select

from systemd_docker.kernel.fd import NO_FD, Fd

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal


def open_or_none(pid: int) -> tuple[int, Fd]:
    """Return (pid, pidfd), the caller's; (0, NO_FD) where the process has ended, as a container does within 10 ms.

    pid: 0 for one that does not run.
    """
    if not pid:
        return 0, NO_FD
    try:
        return pid, Fd(os.pidfd_open(pid))
    except ProcessLookupError:
        return 0, NO_FD


def is_dead(pidfd: int) -> bool:
    """Return whether its process has ended, collected by its parent or not."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def kill(pidfd: int) -> None:
    """Send SIGKILL. Raises OSError: ESRCH, the process has ended; EPERM."""
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
