"""$LISTEN_FDS: what the service manager has passed to this process, from socket units and from its descriptor store.

See sd_listen_fds(3). Of systemd-python only the C part is imported; see sd_notify.
"""

from __future__ import annotations

LISTEN_FDS_START = 3


def passed_fds() -> tuple[tuple[int, str], ...]:
    """((3, "state"), ...): descriptors with their names, open and the caller's now; () were they for another process.

    They are close-on-exec from here on. Raises OSError: EBADF, one is not open.
    """
    from systemd import _daemon

    # Not without the environment: libsystemd would take it from this process, where unit has read it already.
    _count, *names = _daemon._listen_fds_with_names(False)
    return tuple(enumerate(names, LISTEN_FDS_START))
