"""The one loop of a running service: every source of events is a file descriptor, every wait has a deadline.

A handler does one bounded piece of work and returns; no handler blocks, no handler calls another. poll(2) rather than
epoll(7): the descriptors are under ten, and it takes a regular file for ready where epoll refuses it.
"""

from __future__ import annotations

import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Handler = Callable[[], None]


class Loop:
    """File descriptors and deadlines with what to do about them. Owns none of the descriptors."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._handlers: dict[int, Handler] = {}
        self._deadlines: list[tuple[float, Handler]] = []

    def watch(self, fd: int, events: int, handler: Handler) -> None:
        """Call handler whenever poll(2) events are there on fd, or it hung up; replaces what was watched before."""
        self._poll.register(fd, events)
        self._handlers[fd] = handler

    def unwatch(self, fd: int) -> None:
        """Before fd is closed. That it is not watched is fine."""
        if self._handlers.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def after(self, delay_sec: float, handler: Handler) -> None:
        """Call handler once, delay_sec from now."""
        self._deadlines.append((time.monotonic() + delay_sec, handler))

    def run_until(self, is_finished: Callable[[], bool]) -> None:
        """Run handlers until is_finished, which is asked after each round, says so."""
        while not is_finished():
            for fd, _events in self._poll.poll(self._timeout_msec()):
                # An earlier handler of this round may have given this descriptor up.
                if handler := self._handlers.get(fd):
                    handler()
            self._run_deadlines()

    def _timeout_msec(self) -> float | None:
        if not self._deadlines:
            return None
        return max(0.0, min(deadline for deadline, _ in self._deadlines) - time.monotonic()) * 1000

    def _run_deadlines(self) -> None:
        now = time.monotonic()
        due = [entry for entry in self._deadlines if entry[0] <= now]
        self._deadlines = [entry for entry in self._deadlines if entry[0] > now]
        for _, handler in due:
            handler()
