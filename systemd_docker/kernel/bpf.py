"""bpf(2) for the device programs of a cgroup, which the standard library does not wrap.

Each function is named after its bpf(2) command, and raises OSError with the errno the kernel gave; constants have
their names from the kernel's headers. Imported only by a start that moves processes: ctypes costs a megabyte.
"""

from __future__ import annotations

import ctypes
import errno
import os

BPF_CGROUP_DEVICE = 6
"""enum bpf_attach_type in <linux/bpf.h>: programs that decide which devices a cgroup may open and make."""

BPF_F_ALLOW_MULTI = 2
"""Attach beside the programs that are there, here and above: all of them have to agree."""

_BPF_F_QUERY_EFFECTIVE = 1
_BPF_PROG_ATTACH, _BPF_PROG_GET_FD_BY_ID, _BPF_PROG_QUERY = 8, 13, 16

_SYSCALL_BPF = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "loongarch64": 280, "s390x": 351, "ppc64le": 361}
"""asm/unistd.h of each 64-bit architecture, as uname(2) names it."""

MAX_PROGRAMS = 1024
"""Of one query: 64 a cgroup (BPF_CGROUP_MAX_PROGS), over a dozen cgroups above one another."""


class _Query(ctypes.Structure):
    """bpf_attr for BPF_PROG_QUERY; the kernel demands zeros behind the last field."""

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
    """Return the IDs of the programs attached to a cgroup (Linux 4.15); effective: those attached above it as well.

    Raises OSError: EPERM, only CAP_SYS_ADMIN may ask; ENOSYS, this architecture is not known here.
    """
    ids = (ctypes.c_uint32 * MAX_PROGRAMS)()
    flags = _BPF_F_QUERY_EFFECTIVE if effective else 0
    query = _Query(cgroup_fd, attach_type, flags, 0, ctypes.addressof(ids), MAX_PROGRAMS, 0)
    _bpf(_BPF_PROG_QUERY, query)
    return tuple(ids[: query.prog_cnt])


def prog_get_fd_by_id(prog_id: int) -> int:
    """Return a new close-on-exec fd that holds a program (Linux 4.13). Raises OSError: ENOENT, it is gone."""
    return _bpf(_BPF_PROG_GET_FD_BY_ID, _ById(prog_id, 0, 0))


def prog_attach(cgroup_fd: int, prog_fd: int, attach_type: int, flags: int) -> None:
    """Attach a program to a cgroup for as long as the cgroup lives.

    Raises OSError: EPERM, a cgroup above forbids it, or CAP_NET_ADMIN or CAP_SYS_ADMIN is missing; EINVAL, it is
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
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"bpf: {os.strerror(code)}")
    return result
