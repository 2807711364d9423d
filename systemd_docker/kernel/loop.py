"""The event loop of a running service: file descriptors and timers, one poll(2) at a time.

A handler does one bounded piece of work and returns; no handler blocks. poll(2) rather than epoll(7): there are fewer
than twenty descriptors, and poll(2) reports a regular file as ready where epoll(7) refuses it.
"""

from __future__ import annotations

import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Handler = Callable[[], None]


class Timer:
    """One deadline. cancel() before it is due, and its handler never runs."""

    __slots__ = ("_loop", "deadline", "handler")

    def __init__(self, loop: Loop, deadline: float, handler: Handler) -> None:
        self._loop = loop
        self.deadline = deadline
        self.handler = handler

    def cancel(self) -> None:
        """Forget the handler. Cancelling a timer that has run, or was cancelled before, is fine."""
        self._loop.drop(self)


class Loop:
    """File descriptors and timers with their handlers. Owns none of the descriptors.

    clock: monotonic seconds; tests turn one by hand.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.now = clock
        self._poll = select.poll()
        self._handlers: dict[int, Handler] = {}
        self._given_up: set[int] = set()
        self._timers: list[Timer] = []

    @property
    def is_empty(self) -> bool:
        """Return whether nothing is watched and no timer is set: every owner has closed."""
        return not (self._handlers or self._timers)

    def watch(self, fd: int, events: int, handler: Handler) -> None:
        """Call handler whenever poll(2) reports events, or a hang-up, on fd; replaces an earlier watch of fd."""
        self._poll.register(fd, events)
        self._handlers[fd] = handler

    def unwatch(self, fd: int) -> None:
        """Stop watching fd, before fd is closed. An fd that is not watched is fine."""
        if self._handlers.pop(fd, None) is not None:
            self._poll.unregister(fd)
            self._given_up.add(fd)

    def after(self, delay_sec: float, handler: Handler) -> Timer:
        """Call handler once, delay_sec from now. The caller cancels the timer when it closes."""
        timer = Timer(self, self.now() + delay_sec, handler)
        self._timers.append(timer)
        return timer

    def drop(self, timer: Timer) -> None:
        """Forget a timer; Timer.cancel() calls this."""
        if timer in self._timers:
            self._timers.remove(timer)

    def next_deadline(self) -> float | None:
        """When the earliest timer is due, on this loop's clock; None without timers."""
        return min((timer.deadline for timer in self._timers), default=None)

    def run_until(self, is_finished: Callable[[], bool]) -> None:
        """Run handlers until is_finished, asked after each round, returns true."""
        while not is_finished():
            self.step()

    def step(self, longest_sec: float | None = None) -> None:
        """Wait for descriptors and timers once, for longest_sec at most, and run the handlers that are due."""
        self._given_up.clear()
        for fd, _events in self._poll.poll(self._timeout_msec(longest_sec)):
            # An earlier handler of this round may have given this descriptor up. The kernel uses its number again for
            # the next one, which has no event yet.
            if fd not in self._given_up:
                self._handlers[fd]()
        self._run_timers()

    def _timeout_msec(self, longest_sec: float | None) -> float | None:
        due = self.next_deadline()
        waits = [] if due is None else [due - self.now()]
        if longest_sec is not None:
            waits.append(longest_sec)
        return max(0.0, min(waits)) * 1000 if waits else None

    def _run_timers(self) -> None:
        now = self.now()
        for timer in [timer for timer in self._timers if timer.deadline <= now]:
            # An earlier handler of this round may have cancelled it.
            if timer in self._timers:
                self._timers.remove(timer)
                timer.handler()
