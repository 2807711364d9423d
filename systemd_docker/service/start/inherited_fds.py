"""Descriptors that the service manager has passed to us, from socket units or from what a payload had it store.

A container cannot have them: the engine starts it, and not we. So we let go of them before anything else is done.
What systemd stores it goes on storing, until the payload takes it out (FDSTOREREMOVE=1) or the unit is stopped; a
copy of ours would keep a socket or a file alive that the payload has done with, and our children would inherit it.
"""

from __future__ import annotations

import os

from systemd_docker import log
from systemd_docker.sd import listen_fds


def let_go() -> None:
    try:
        passed = listen_fds.passed_fds()
    except OSError as error:
        log.warning(f"cannot tell which descriptors systemd has passed, ignoring: {error}")
        return
    for fd, _name in passed:
        os.close(fd)
    if passed:
        log.info(f"the container does not get what systemd has passed: {', '.join(name for _fd, name in passed)}")
