"""What the service manager is told of a running container, and what the payload may tell it.

Why the payload never gets the real notification socket: the service manager drops what comes from outside the
unit's cgroup, loses one of ten messages of short-lived senders, and takes MAINPID= from a root payload for any
process of the host, which the next stop then kills (all seen on systemd 252, 257 and 262). So the payload gets a
socket of ours, and what is on a list goes on from there; everything comes from the unit's own process then.
"""

from __future__ import annotations

import os
import select

from systemd_docker import log, sd_notify
from systemd_docker.plan import NOTIFY_SHARED_DIRECTORY, NOTIFY_SOCKET_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    import contextlib

    from systemd_docker.service.loop import Loop

PASSED_EXACTLY = frozenset(
    {
        b"READY=1",
        b"RELOADING=1",
        b"STOPPING=1",
        b"WATCHDOG=1",
        b"WATCHDOG=trigger",
        b"FDSTORE=1",
        b"FDSTOREREMOVE=1",
        b"FDPOLL=0",
        b"FDPOLL=1",
    }
)
PASSED_WITH_ANY_VALUE = frozenset(
    {
        b"STATUS",
        b"ERRNO",
        b"BUSERROR",
        b"VARLINKERROR",
        b"EXIT_STATUS",
        b"FDNAME",
        b"MONOTONIC_USEC",
        b"EXTEND_TIMEOUT_USEC",
        b"WATCHDOG_USEC",
    }
)
"""What a payload may say; sd_notify(3). MAINPID=, MAINPIDFD=, NOTIFYACCESS= and what nobody knows are dropped."""

MAX_MESSAGES_PER_ROUND = 64
"""A payload that floods us gets no more than this between two looks at the other events."""


def say_status(notifier: sd_notify.Notifier, text: str) -> None:
    """STATUS=, which `systemctl status` shows."""
    try:
        notifier.notify_text({"STATUS": text})
    except OSError as error:
        log.warning(f"cannot reach the service manager, ignoring: {error}")


def extend_timeout(notifier: sd_notify.Notifier, extension_sec: int) -> None:
    """The start may take extension_sec longer, from now, than TimeoutStartSec= says; systemd 236."""
    _tell(notifier, EXTEND_TIMEOUT_USEC=extension_sec * 1_000_000)


def make_payload_socket(directory: str, undo: contextlib.ExitStack) -> sd_notify.Listener:
    """The socket that the payload's messages come to, below directory, which does not exist yet.

    It is in a directory of its own, and that is what is mounted: a socket file of that name that is made again stays
    reachable, as a mounted file would not. The directory around it is 0700 and keeps other users of the host out;
    inside, every user that the payload may run as can write to the socket. undo gets what takes it all away again.
    Raises OSError.
    """
    shared = f"{directory}/{NOTIFY_SHARED_DIRECTORY}"
    path = f"{shared}/{NOTIFY_SOCKET_NAME}"
    os.mkdir(directory, 0o700)
    undo.callback(os.rmdir, directory)
    os.mkdir(shared)
    undo.callback(os.rmdir, shared)
    os.chmod(shared, 0o755)
    listener = sd_notify.Listener(path)
    undo.callback(listener.close)
    undo.callback(os.unlink, path)
    return listener


class Proxy:
    """What the payload says goes on to the service manager, as far as it is allowed."""

    def __init__(self, loop: Loop, listener: sd_notify.Listener, notifier: sd_notify.Notifier) -> None:
        self._listener = listener
        self._notifier = notifier
        self._has_complained = False
        loop.watch(listener.fileno(), select.POLLIN, self.forward)

    def forward(self) -> None:
        """Pass on what is there, up to MAX_MESSAGES_PER_ROUND."""
        for _ in range(MAX_MESSAGES_PER_ROUND):
            message = self._listener.receive()
            if message is None:
                return
            try:
                self._forward_one(message)
            finally:
                for fd in message.fds:
                    os.close(fd)

    def _forward_one(self, message: sd_notify.Message) -> None:
        if message.lines == (b"BARRIER=1",) and len(message.fds) == 1:
            # The fd itself goes on: the manager closes it when everything we passed on before has been acted on.
            self._send(message.lines, message.fds)
            return
        allowed = tuple(line for line in message.lines if is_allowed(line))
        if len(allowed) < len(message.lines) and not self._has_complained:
            self._has_complained = True
            dropped = next(line for line in message.lines if not is_allowed(line))
            log.notice(f"the container may not tell systemd '{dropped.decode(errors='replace')[:80]}', ignoring")
        if allowed:
            self._send(allowed, message.fds if b"FDSTORE=1" in allowed else ())

    def _send(self, lines: tuple[bytes, ...], fds: tuple[int, ...]) -> None:
        try:
            self._notifier.notify_text(sd_notify.decode(b"\n".join(lines)), fds)
        except OSError as error:
            log.warning(f"cannot pass the container's message on to systemd, ignoring: {error}")


def is_allowed(line: bytes) -> bool:
    """Whether a payload's assignment goes on to the service manager."""
    return line in PASSED_EXACTLY or line.partition(b"=")[0] in PASSED_WITH_ANY_VALUE


def _tell(notifier: sd_notify.Notifier, **assignments: str | int) -> None:
    try:
        notifier.notify(**assignments)
    except OSError as error:
        log.warning(f"cannot reach the service manager, ignoring: {error}")
