"""$LISTEN_FDS: descriptors that systemd passes to this process, from socket units and from its descriptor store.

See sd_listen_fds(3). Of systemd-python only the C part is imported; see notify.
"""

from __future__ import annotations

from systemd import _daemon

LISTEN_FDS_START = 3


def passed_fds() -> tuple[tuple[int, str], ...]:
    """((3, "state"), ...): descriptors with their names; () where they are for another process.

    They are open, close-on-exec, and the caller's from here on. Raises OSError: EBADF, one is not open.
    """
    # False: libsystemd leaves the environment as it is, where unit has read it already.
    _count, *names = _daemon._listen_fds_with_names(False)
    return tuple(enumerate(names, LISTEN_FDS_START))
