"""Descriptors that systemd has passed to this process: from socket units, or stored for a payload (FDSTORE=1).

A container cannot inherit them, because the engine starts it. So they are closed before anything else is done.
systemd keeps the stored ones until the payload takes them out (FDSTOREREMOVE=1) or the unit stops. A copy here would
keep a socket or a file alive that the payload has done with, and child processes would inherit it.
"""

from __future__ import annotations

import os

from systemd_docker import log
from systemd_docker.sd import listen_fds


def close_all() -> None:
    """Close every descriptor that systemd has passed, and report their names."""
    try:
        passed = listen_fds.passed_fds()
    except OSError as error:
        log.warning(f"cannot close the descriptors passed by systemd (LISTEN_FDS=): {error.strerror}")
        return
    for fd, _name in passed:
        os.close(fd)
    if passed:
        names = ", ".join(name for _fd, name in passed)
        log.info(f"closing descriptors passed by systemd, containers cannot inherit them: {names}")
