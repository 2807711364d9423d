"""inotify(7) for one directory, which the standard library does not wrap.

Imported only while systemd-docker waits for an engine that is away: ctypes costs a megabyte.
"""

from __future__ import annotations

import ctypes
import os

IN_CLOSE_WRITE, IN_MOVED_TO, IN_CREATE = 0x8, 0x80, 0x100
"""<linux/inotify.h>"""


def watch(path: str, mask: int) -> int:
    """Return a new non-blocking, close-on-exec fd that is readable once an event of mask has happened in path.

    Raises OSError: EMFILE, the user has too many inotify instances; ENOENT, there is no such path; ENOSPC, the user
    has too many watches.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    fd: int = libc.inotify_init1(ctypes.c_int(os.O_NONBLOCK | os.O_CLOEXEC))
    if fd < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"inotify_init1: {os.strerror(code)}", path)
    if libc.inotify_add_watch(ctypes.c_int(fd), os.fsencode(path), ctypes.c_uint32(mask)) < 0:
        code = ctypes.get_errno()
        os.close(fd)
        raise OSError(code, f"inotify_add_watch: {os.strerror(code)}", path)
    return fd
