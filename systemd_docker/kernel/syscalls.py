"""System calls the standard library does not wrap. Mechanism only: no policy, no logging.

Each wrapper is named after its call or its bpf(2) command, and raises OSError with the errno the kernel gave;
constants have their names from the kernel's headers. Imported only where it is needed: ctypes costs a megabyte.
"""

from __future__ import annotations

import ctypes
import errno
import os

BPF_CGROUP_DEVICE = 6
"""enum bpf_attach_type in <linux/bpf.h>: programs that decide which devices a cgroup may open and make."""

BPF_F_ALLOW_MULTI = 2
"""An attached program comes beside those that are there, here and above: all of them have to agree."""

_BPF_F_QUERY_EFFECTIVE = 1
_BPF_PROG_ATTACH, _BPF_PROG_GET_FD_BY_ID, _BPF_PROG_QUERY = 8, 13, 16

_SYSCALL_BPF = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "loongarch64": 280, "s390x": 351, "ppc64le": 361}
"""asm/unistd.h of each 64-bit architecture, as uname(2) names it."""

MAX_PROGRAMS = 1024
"""Of one query: 64 a cgroup (BPF_CGROUP_MAX_PROGS), over a dozen cgroups above one another."""


class _Query(ctypes.Structure):
    """bpf_attr for BPF_PROG_QUERY; the kernel wants what is behind it to be zero."""

    _fields_ = (
        ("target_fd", ctypes.c_uint32),
        ("attach_type", ctypes.c_uint32),
        ("query_flags", ctypes.c_uint32),
        ("attach_flags", ctypes.c_uint32),
        ("prog_ids", ctypes.c_uint64),
        ("prog_cnt", ctypes.c_uint32),
        ("padding", ctypes.c_uint32),
    )


class _Attach(ctypes.Structure):
    """bpf_attr for BPF_PROG_ATTACH."""

    _fields_ = (
        ("target_fd", ctypes.c_uint32),
        ("attach_bpf_fd", ctypes.c_uint32),
        ("attach_type", ctypes.c_uint32),
        ("attach_flags", ctypes.c_uint32),
    )


class _ById(ctypes.Structure):
    """bpf_attr for BPF_PROG_GET_FD_BY_ID."""

    _fields_ = (("prog_id", ctypes.c_uint32), ("next_id", ctypes.c_uint32), ("open_flags", ctypes.c_uint32))


def prog_query(cgroup_fd: int, attach_type: int, *, effective: bool = True) -> tuple[int, ...]:
    """IDs of the programs attached to a cgroup (Linux 4.15); effective: those attached above it as well.

    Raises OSError: EPERM, only CAP_SYS_ADMIN may ask; ENOSYS, this architecture is not known here.
    """
    ids = (ctypes.c_uint32 * MAX_PROGRAMS)()
    flags = _BPF_F_QUERY_EFFECTIVE if effective else 0
    query = _Query(cgroup_fd, attach_type, flags, 0, ctypes.addressof(ids), MAX_PROGRAMS, 0)
    _bpf(_BPF_PROG_QUERY, query)
    return tuple(ids[: query.prog_cnt])


def prog_get_fd_by_id(prog_id: int) -> int:
    """An fd, the caller's, close-on-exec, that holds a program (Linux 4.13). OSError: ENOENT, it is gone."""
    return _bpf(_BPF_PROG_GET_FD_BY_ID, _ById(prog_id, 0, 0))


def prog_attach(cgroup_fd: int, prog_fd: int, attach_type: int, flags: int) -> None:
    """Attach a program to a cgroup for as long as the cgroup lives.

    Raises OSError: EPERM, a cgroup above forbids it or we have no CAP_NET_ADMIN or CAP_SYS_ADMIN; EINVAL, it is
    attached already; E2BIG, there are too many.
    """
    _bpf(_BPF_PROG_ATTACH, _Attach(cgroup_fd, prog_fd, attach_type, flags))


def _bpf(command: int, attr: ctypes.Structure) -> int:
    number = _SYSCALL_BPF.get(os.uname().machine)
    if number is None or ctypes.sizeof(ctypes.c_void_p) != 8:
        raise OSError(errno.ENOSYS, f"bpf: {os.strerror(errno.ENOSYS)}")
    libc = ctypes.CDLL(None, use_errno=True)
    result: int = libc.syscall(
        ctypes.c_long(number), ctypes.c_int(command), ctypes.byref(attr), ctypes.c_uint(ctypes.sizeof(attr))
    )
    return _checked("bpf", result)


IN_CLOSE_WRITE, IN_MOVED_TO, IN_CREATE = 0x8, 0x80, 0x100
"""<linux/inotify.h>"""


def inotify_init1(flags: int) -> int:
    """An fd, the caller's; flags: os.O_NONBLOCK, os.O_CLOEXEC. OSError: EMFILE, the user has too many. inotify(7)."""
    return _checked("inotify_init1", ctypes.CDLL(None, use_errno=True).inotify_init1(ctypes.c_int(flags)))


def inotify_add_watch(fd: int, path: str, mask: int) -> int:
    """The watch's number. Raises OSError: ENOENT, there is no such path; ENOSPC, the user has too many watches."""
    libc = ctypes.CDLL(None, use_errno=True)
    return _checked("inotify_add_watch", libc.inotify_add_watch(fd, os.fsencode(path), ctypes.c_uint32(mask)))


def _checked(call: str, result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{call}: {os.strerror(code)}")
    return result
