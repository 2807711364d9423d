"""Pass the container's notifications on to systemd, as far as they are on a list.

Why the container never gets the real notification socket: systemd drops messages from outside the unit's cgroup,
loses one of ten messages of short-lived senders, and accepts MAINPID= from a container's root for any process of the
host, which the next stop then kills (all seen on systemd 252, 257 and 262). From systemd-docker all of them come from
the unit's own process, and none of them is one that systemd would complain about.
"""

from __future__ import annotations

import os
import select

from systemd_docker import log
from systemd_docker.frozen import frozen
from systemd_docker.sd import notify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.kernel.loop import Loop, Timer
    from systemd_docker.service.notifications.state import NotifyState
    from systemd_docker.service.notifications.status import Status

BUDGET = 4096
PASSED_COST, DROPPED_COST = 16, 1
"""The cost of messages within WINDOW_SEC: 256 that are passed on, 4096 that are not. A container that sends more
waits, as for a service manager that is busy."""

WINDOW_SEC = 1

MAX_LAST_MESSAGES = 1024
"""Of what is still in the socket when the container has ended; the kernel keeps fewer, net.unix.max_dgram_qlen."""

MAX_NUMBER_DIGITS = 19
"""A number of so many digits fits 64 bits."""

MAX_ERRNO = 4095

MAX_NAME_BYTES = 255


@frozen
class Budget:
    """The cost of messages within window_sec."""

    cost: int = BUDGET
    window_sec: float = WINDOW_SEC


class Proxy:
    """Passes on what the container sends, as far as it is allowed; close() it."""

    def __init__(
        self,
        loop: Loop,
        listener: notify.Listener,
        notifier: notify.Notifier,
        status: Status,
        reserved: tuple[bytes, ...],
        budget: Budget | None = None,
    ) -> None:
        """listener: the proxy closes it. reserved: see reserved_lines()."""
        self._loop = loop
        self._budget = budget or Budget()
        self._left = self._budget.cost
        self._listener = listener
        self._notifier = notifier
        self._status = status
        self._reserved = reserved
        self._window_begin = loop.now()
        self._timer: Timer | None = None
        self._has_complained = False
        self._watch()

    def drain(self) -> None:
        """Pass on what the container sent before it ended."""
        for _ in range(MAX_LAST_MESSAGES):
            if self._forward_next() is None:
                return

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._loop.unwatch(self._listener.fileno())
        self._listener.close()

    def _watch(self) -> None:
        self._timer = None
        self._loop.watch(self._listener.fileno(), select.POLLIN, self._forward)

    def _forward(self) -> None:
        now = self._loop.now()
        if now - self._window_begin >= self._budget.window_sec:
            self._window_begin, self._left = now, self._budget.cost
        while self._left > 0:
            passed = self._forward_next()
            if passed is None:
                return
            self._left -= PASSED_COST if passed else DROPPED_COST
        self._loop.unwatch(self._listener.fileno())
        self._timer = self._loop.after(self._budget.window_sec, self._watch)

    def _forward_next(self) -> bool | None:
        """Return whether the next message, or a part of it, was passed on; None where there was none."""
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
            # The fd itself is passed on: systemd closes it when it has acted on everything that came before.
            self._send(message.lines, message.fds)
            return True
        allowed = tuple(line for line in message.lines if is_allowed(line))
        if len(allowed) < len(message.lines):
            self._complain(next(line for line in message.lines if not is_allowed(line)))
        passed = tuple(self._status.with_details(line) for line in allowed if not line.startswith(self._reserved))
        if passed:
            self._send(passed, message.fds if b"FDSTORE=1" in passed else ())
        return bool(passed)

    def _complain(self, line: bytes) -> None:
        if not self._has_complained:
            self._has_complained = True
            shown = ascii(line[:80].decode(errors="replace"))
            log.notice(f"ignoring notification from the container, not allowed: {shown}")

    def _send(self, lines: tuple[bytes, ...], fds: tuple[int, ...]) -> None:
        assignments = notify.decode(b"\n".join(lines))
        if len(notify.encode(assignments).encode()) > notify.MAX_DATAGRAM_BYTES:
            # It has grown on the way, by replaced characters or by its health, and systemd would drop it whole.
            assignments.pop("STATUS", None)
        try:
            self._notifier.notify_text(assignments, fds)
        except OSError as error:
            log.warning(f"cannot pass the container's notification on to systemd: {error}")


def reserved_lines(state: NotifyState, watchdog: str) -> tuple[bytes, ...]:
    """Return how assignments begin that systemd-docker sends itself in this unit, and a container may not.

    watchdog: see WatchdogState.source.
    """
    ready = () if state.ready == "payload" else (b"READY=1",)
    alive = () if watchdog in ("payload", "") else (b"WATCHDOG=1", b"WATCHDOG_USEC=")
    return (*ready, *alive)


def is_allowed(line: bytes) -> bool:
    """Return whether an assignment may be passed on to systemd, which will understand it."""
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
    """Accept anything: bytes that are not UTF-8 are replaced on the way."""
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
"""The assignments that a container may send, and their form; sd_notify(3). MAINPID=, MAINPIDFD=, NOTIFYACCESS= and
unknown ones are dropped."""
