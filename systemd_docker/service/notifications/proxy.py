"""What the payload may tell the service manager: it speaks to a socket of ours, and what is on a list goes on.

Why the payload never gets the real notification socket: the service manager drops what comes from outside the
unit's cgroup, loses one of ten messages of short-lived senders, and takes MAINPID= from a root payload for any
process of the host, which the next stop then kills (all seen on systemd 252, 257 and 262). Through us everything
comes from the unit's own process, and nothing that the manager would not understand and complain of.
"""

from __future__ import annotations

import os
import select
import time

from systemd_docker import log
from systemd_docker.sd import notify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.kernel.loop import Loop
    from systemd_docker.service.notifications.status import Status
    from systemd_docker.service.supervise.state import Held

BUDGET = 4096
PASSED_COST, DROPPED_COST = 16, 1
"""What messages may cost within WINDOW_SEC: 256 that go on, 4096 that do not. Who sends more waits, as for a service
manager that is busy."""

WINDOW_SEC = 1

MAX_LAST_MESSAGES = 1024
"""Of what is still in the socket when the container has ended; the kernel keeps fewer, net.unix.max_dgram_qlen."""

MAX_NUMBER_DIGITS = 19
"""What surely fits 64 bits."""

MAX_ERRNO = 4095

MAX_NAME_BYTES = 255


class Proxy:
    """What the payload says goes on to the service manager, as far as it is allowed."""

    def __init__(
        self,
        loop: Loop,
        held: Held,
        listener: notify.Listener,
        notifier: notify.Notifier,
        status: Status,
        *,
        budget: int = BUDGET,
        window_sec: float = WINDOW_SEC,
    ) -> None:
        self._loop = loop
        self._budget = self._left = budget
        self._window_sec = window_sec
        self._listener = listener
        self._notifier = notifier
        self._status = status
        self._ours = ours_to_say(held)
        self._window_begin = 0.0
        self._has_complained = False
        self._watch()

    def drain(self) -> None:
        """Pass on what the container said before it ended."""
        for _ in range(MAX_LAST_MESSAGES):
            if self._forward_next() is None:
                return

    def close(self) -> None:
        self._loop.unwatch(self._listener.fileno())
        self._listener.close()

    def _watch(self) -> None:
        self._loop.watch(self._listener.fileno(), select.POLLIN, self._forward)

    def _forward(self) -> None:
        now = time.monotonic()
        if now - self._window_begin >= self._window_sec:
            self._window_begin, self._left = now, self._budget
        while self._left > 0:
            passed = self._forward_next()
            if passed is None:
                return
            self._left -= PASSED_COST if passed else DROPPED_COST
        self._loop.unwatch(self._listener.fileno())
        self._loop.after(self._window_sec, self._watch)

    def _forward_next(self) -> bool | None:
        """Whether the next message, or a part of it, went on; None where there was none."""
        message = self._listener.receive()
        if message is None:
            return None
        try:
            return self._forward_one(message)
        finally:
            for fd in message.fds:
                os.close(fd)

    def _forward_one(self, message: notify.Message) -> bool:
        if message.lines == (b"BARRIER=1",) and len(message.fds) == 1:
            # The fd itself goes on: the manager closes it when everything we passed on before has been acted on.
            self._send(message.lines, message.fds)
            return True
        allowed = tuple(line for line in message.lines if is_allowed(line))
        if len(allowed) < len(message.lines):
            self._complain(next(line for line in message.lines if not is_allowed(line)))
        passed = tuple(self._status.of_payload(line) for line in allowed if not line.startswith(self._ours))
        if passed:
            self._send(passed, message.fds if b"FDSTORE=1" in passed else ())
        return bool(passed)

    def _complain(self, line: bytes) -> None:
        if not self._has_complained:
            self._has_complained = True
            shown = ascii(line[:80].decode(errors="replace"))
            log.notice(f"the container may not tell systemd {shown}, ignoring")

    def _send(self, lines: tuple[bytes, ...], fds: tuple[int, ...]) -> None:
        assignments = notify.decode(b"\n".join(lines))
        if len(notify.encode(assignments).encode()) > notify.MAX_DATAGRAM_BYTES:
            # It has grown on the way, by characters that were none or by its health, and nobody would take it now.
            assignments.pop("STATUS", None)
        try:
            self._notifier.notify_text(assignments, fds)
        except OSError as error:
            log.warning(f"cannot pass the container's message on to systemd, ignoring: {error}")


def ours_to_say(held: Held) -> tuple[bytes, ...]:
    """How lines begin that a payload may say in general, but not this one: we say it, as WatchdogSec= asks."""
    ready = () if held.payload_says_ready else (b"READY=1",)
    alive = () if held.watchdog in ("payload", "") else (b"WATCHDOG=1", b"WATCHDOG_USEC=")
    return (*ready, *alive)


def is_allowed(line: bytes) -> bool:
    """Whether a payload's assignment goes on to the service manager, which will understand it."""
    name, equals, value = line.partition(b"=")
    check = PASSED.get(name)
    return bool(equals) and check is not None and check(value)


def _is_one(value: bytes) -> bool:
    return value == b"1"


def _is_number(value: bytes) -> bool:
    return value.isdigit() and len(value) <= MAX_NUMBER_DIGITS


def _is_errno(value: bytes) -> bool:
    return _is_number(value) and int(value) <= MAX_ERRNO


def _is_text(value: bytes) -> bool:
    """Anything: what is not UTF-8 is replaced on the way."""
    return True


def _is_name(value: bytes) -> bool:
    """Of a descriptor; sd_pid_notify_with_fds(3), FDNAME=."""
    return 0 < len(value) <= MAX_NAME_BYTES and all(32 <= byte < 127 and byte != ord(":") for byte in value)


def _is_error_name(value: bytes) -> bool:
    """ "org.freedesktop.DBus.Error.TimedOut"; D-Bus Specification, "Error names"."""
    parts = value.decode(errors="replace").split(".")
    return len(parts) > 1 and len(value) <= MAX_NAME_BYTES and all(_is_word(part) for part in parts)


def _is_word(text: str) -> bool:
    return text.isascii() and text.isidentifier()


PASSED = {
    b"READY": _is_one,
    b"RELOADING": _is_one,
    b"STOPPING": _is_one,
    b"STATUS": _is_text,
    b"ERRNO": _is_errno,
    b"BUSERROR": _is_error_name,
    b"VARLINKERROR": _is_error_name,
    b"EXIT_STATUS": _is_name,
    b"MONOTONIC_USEC": _is_number,
    b"EXTEND_TIMEOUT_USEC": _is_number,
    b"WATCHDOG_USEC": _is_number,
    b"WATCHDOG": (b"1", b"trigger").__contains__,
    b"FDSTORE": _is_one,
    b"FDSTOREREMOVE": _is_one,
    b"FDNAME": _is_name,
    b"FDPOLL": (b"0", b"1").__contains__,
}
"""What a payload may say, and what it has to look like; sd_notify(3). MAINPID=, MAINPIDFD=, NOTIFYACCESS= and what
nobody knows are dropped."""
