"""Signals as a readable pipe, in arrival order; and a Wait that a signal to stop ends.

From the first moment on no signal kills this process by itself: whoever dies of SIGTERM before its container does
leaves systemd waiting for TimeoutStopSec= (seen in one to three of ten stops).

Signals are plain numbers here and in the other rooms of a resting service. The module signal makes enums of them, and
enum with what it imports is 0.8 MB; the C module behind it, CPython's own, has everything else.
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
"""What the service manager sends when nobody has said WATCHDOG=1 in time; systemd.kill(5), WatchdogSignal=."""

PASSED_ON = (
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
    signal.SIGALRM,
    signal.SIGCONT,
    signal.SIGPWR,
)
"""What is the payload's business; docker-run(1), --sig-proxy."""

HANDLED = (*STOP_SIGNALS, ABORT_SIGNAL, *PASSED_ON)

_READ_BYTES = 64


class StopRequestedError(Exception):
    """A signal to stop came while there was nothing yet that could be stopped."""

    def __init__(self, signo: int) -> None:
        super().__init__(f"signal {signo}")
        self.signo = signo


class Signals:
    """Owns the pipe and the handlers until close().

    can_interrupt: whether a signal to stop ends a wait().
    """

    def __init__(self, *, can_interrupt: bool = True) -> None:
        """Signals that were blocked until now arrive now."""
        self._reader, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._pending: list[int] = []
        self.can_interrupt = can_interrupt
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for signo in HANDLED:
            signal.signal(signo, _ignore)
        # A reader of our output that went away is an error of write(2), not our end.
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)

    def fileno(self) -> int:
        return self._reader

    def read(self) -> list[int]:
        """Every signal since the last call, those that came during a wait() included."""
        try:
            self._pending += os.read(self._reader, _READ_BYTES)
        except BlockingIOError:
            # Only those that a wait() has kept.
            pass
        taken, self._pending = self._pending, []
        return taken

    def wait(self, fd: int, events: int, deadline: float) -> None:
        """A wire.Wait. Raises StopRequestedError at a signal to stop while can_interrupt; other signals are kept."""
        poll = select.poll()
        poll.register(fd, events)
        poll.register(self._reader, select.POLLIN)
        while True:
            left_sec = deadline - time.monotonic()
            ready = {ready_fd for ready_fd, _ in poll.poll(max(0.0, left_sec) * 1000)}
            if self._reader in ready:
                self._pending = self.read()
                self._raise_if_stopped()
                # Until somebody reads them again they would end every poll at once.
                continue
            if ready:
                return
            raise TimeoutError(f"nothing came on fd {fd}")

    def _raise_if_stopped(self) -> None:
        for signo in self._pending:
            if self.can_interrupt and signo in (*STOP_SIGNALS, ABORT_SIGNAL):
                raise StopRequestedError(signo)

    def close(self) -> None:
        signal.set_wakeup_fd(-1)
        for signo in (*HANDLED, signal.SIGPIPE):
            signal.signal(signo, signal.SIG_DFL)
        os.close(self._reader)
        os.close(self._writer)


def _ignore(signo: int, frame: FrameType | None) -> None:
    """The wake-up descriptor carries the signal; a Python handler is only what keeps the kernel's default away."""
