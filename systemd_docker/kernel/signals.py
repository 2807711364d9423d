"""Signals as a readable pipe, in arrival order; and a Wait that a signal to stop ends.

From the first moment on no signal kills this process by itself: a supervisor that dies of SIGTERM before its
container leaves systemd waiting for TimeoutStopSec= (seen in one to three of ten stops).

Signals are plain numbers in every module of a running service. The module signal makes enums of them, and enum with
its imports is 0.8 MB; the C module behind it, CPython's own, has everything else.
"""

from __future__ import annotations

import os
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from types import FrameType
else:
    import _signal as signal

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
"""What asks for the end: systemd's KillSignal= unless told otherwise, and Ctrl-C."""

ABORT_SIGNAL = signal.SIGABRT
"""What the service manager sends when no WATCHDOG=1 came in time; systemd.kill(5), WatchdogSignal=."""

CONTINUE_SIGNAL = signal.SIGCONT

SIGTERM, SIGKILL = signal.SIGTERM, signal.SIGKILL

PASSED_ON = (
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
    signal.SIGALRM,
    CONTINUE_SIGNAL,
    signal.SIGPWR,
)
"""What is the payload's business; docker-run(1), --sig-proxy."""

HANDLED = (*STOP_SIGNALS, ABORT_SIGNAL, *PASSED_ON)

_READ_BYTES = 64

_NEVER = float("inf")


class StopRequestedError(Exception):
    """A signal to stop came while there was nothing yet that could be stopped."""

    def __init__(self, signo: int) -> None:
        super().__init__(f"signal {signo}")
        self.signo = signo


class Signals:
    """Owns the pipe and the handlers until close(), which restores the handlers that were there before.

    patience_sec: how long a wait() may go on after a signal to stop.
    """

    def __init__(self) -> None:
        """Signals that were blocked until now arrive now."""
        self._reader, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._pending: list[int] = []
        self.patience_sec = 0.0
        self._give_up = _NEVER
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._before = {signo: signal.getsignal(signo) for signo in (*HANDLED, signal.SIGPIPE)}
        for signo in HANDLED:
            signal.signal(signo, _ignore)
        # A reader of the output that went away is an error of write(2), and not this process's end.
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)

    def fileno(self) -> int:
        return self._reader

    def has_caught(self) -> bool:
        """Return whether read() would give one."""
        poll = select.poll()
        poll.register(self._reader, select.POLLIN)
        return bool(self._pending or poll.poll(0))

    def read(self) -> list[int]:
        """Return every signal since the last call, those that came during a wait() included."""
        try:
            self._pending += os.read(self._reader, _READ_BYTES)
        except BlockingIOError:
            # Only those that a wait() has kept.
            pass
        taken, self._pending = self._pending, []
        return taken

    def wait(self, fd: int, events: int, deadline: float) -> None:
        """A wire.Wait. Raises StopRequestedError patience_sec after a signal to stop; no signal is lost."""
        poll = select.poll()
        poll.register(fd, events)
        poll.register(self._reader, select.POLLIN)
        while True:
            now = time.monotonic()
            if signo := self._stop_signal(now):
                raise StopRequestedError(signo)
            if now >= deadline:
                raise TimeoutError(f"nothing came on fd {fd}")
            left_sec = min(deadline, self._give_up) - now
            ready = {ready_fd for ready_fd, _ in poll.poll(left_sec * 1000 + 1)}
            if self._reader in ready:
                # Left in the pipe, they would end every poll at once.
                self._pending = self.read()
            elif ready:
                return

    def _stop_signal(self, now: float) -> int:
        """Return the first signal to stop that was not read, if patience_sec is over since it came; else 0."""
        signo = next((signo for signo in self._pending if signo in (*STOP_SIGNALS, ABORT_SIGNAL)), 0)
        if signo:
            self._give_up = min(self._give_up, now + self.patience_sec)
        return signo if now >= self._give_up else 0

    def close(self) -> None:
        signal.set_wakeup_fd(-1)
        for signo, handler in self._before.items():
            signal.signal(signo, handler)
        os.close(self._reader)
        os.close(self._writer)


def signal_number(name: str) -> int:
    """Return the number of a container's stop signal as docker-run(1) has it; SIGTERM for "".

    name: "SIGQUIT", "quit", "3", "SIGRTMIN+3". 0 where it names no known signal: none was sent then.
    """
    word = name.upper().removeprefix("SIG")
    if not word:
        return SIGTERM
    if word.isdecimal():
        return int(word)
    base, sign, offset = word.partition("+")
    if sign and base == "RTMIN" and offset.isdecimal():
        return signal.SIGRTMIN + int(offset)
    base, sign, offset = word.partition("-")
    if sign and base == "RTMAX" and offset.isdecimal():
        return signal.SIGRTMAX - int(offset)
    known = 0 if word.startswith("_") else getattr(signal, f"SIG{word}", 0)  # SIG_DFL and its like are no signals
    return known if isinstance(known, int) else 0


def _ignore(signo: int, frame: FrameType | None) -> None:
    """The wake-up descriptor carries the signal; a Python handler is only what keeps the kernel's default away."""
