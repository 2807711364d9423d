"""When a machine is up: the notifications of systemd-nspawn(1), and the process that sent them."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

BOOT_TIMEOUT_SEC = 90


@contextlib.contextmanager
def notify_socket(path: Path) -> Iterator[socket.socket]:
    """Bind the socket that nspawn notifies. It exists only while it is read, for nspawn blocks on a full queue."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
        notify.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        notify.bind(str(path))
        try:
            yield notify
        finally:
            path.unlink()


def wait_until_ready(notify: socket.socket, launcher: int) -> int:
    """Return the leader's PID once the machine's own PID 1 has reported READY=1.

    launcher: the process that ends with the machine.
    The wait ends with the launcher as well, so that a machine that cannot boot does not cost the whole timeout. One
    deadline covers all messages: a booting systemd sends a STATUS= twice a second.
    """
    deadline = time.monotonic() + BOOT_TIMEOUT_SEC
    status = "none"
    with selectors.DefaultSelector() as selector, open(os.pidfd_open(launcher)) as death:
        selector.register(notify, selectors.EVENT_READ)
        selector.register(death, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            ready = {key.fileobj for key, _ in selector.select(left)}
            if notify in ready:
                sender, fields = _receive(notify)
                status = fields.get("STATUS", status)
                if fields.get("READY") == "1":
                    return _leader(sender)
            elif death in ready:
                raise ChildProcessError(f"systemd-nspawn ended before the machine was up; last status: {status}")
    raise TimeoutError(f"the machine was not up after {BOOT_TIMEOUT_SEC} s; last status: {status}")


def _receive(notify: socket.socket) -> tuple[int, dict[str, str]]:
    """Return the sender's PID in this PID namespace, and the message's fields."""
    message, ancillary, _flags, _address = notify.recvmsg(4096, socket.CMSG_SPACE(struct.calcsize("3i")))
    credentials = next(data for _level, kind, data in ancillary if kind == socket.SCM_CREDENTIALS)
    pid, _uid, _gid = struct.unpack("3i", credentials)
    lines = message.decode(errors="replace").splitlines()
    return pid, dict(line.split("=", 1) for line in lines if "=" in line)


def _leader(nspawn: int) -> int:
    """Return nspawn's child that is PID 1 inside: X_NSPAWN_LEADER_PID= is a number of nspawn's own PID namespace."""
    for child in Path(f"/proc/{nspawn}/task/{nspawn}/children").read_text().split():
        status = Path(f"/proc/{child}/status").read_text()
        pids = next(line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:"))
        if pids[-1] == "1":
            return int(child)
    raise ChildProcessError(f"systemd-nspawn {nspawn} has no machine")
