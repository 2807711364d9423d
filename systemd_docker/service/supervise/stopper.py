"""SIGTERM, SIGHUP and their like: what the payload and the engine are asked to do.

The payload is signalled once. With KillMode=control-group the service manager has done it already, when the signal is
the one that the container wants: then only the deadline is watched. Everything else goes through the engine, which
knows the container's stop signal and reaches the payload in every namespace.

Who sends a signal we cannot see: Python has no signalfd(2). But with that of a stop systemd sends SIGCONT, to each
process (unit_kill_context() in its unit.c), which neither kill(1) nor `systemctl kill` does. So where there was none
and the payload still runs when its time is over, it may not have been asked: it is now, if the unit leaves time.
"""

from __future__ import annotations

import time

from systemd_docker import log
from systemd_docker.kernel.pidfd import NO_FD
from systemd_docker.kernel.signals import ABORT_SIGNAL, CONTINUE_SIGNAL, STOP_SIGNALS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from systemd_docker.engine.client import Engine
    from systemd_docker.engine.http import Exchange
    from systemd_docker.kernel.loop import Loop
    from systemd_docker.service.engine_requests import Requests
    from systemd_docker.service.supervise.state import Held

ENGINE_GRACE_SEC = 2
"""How much later than asked for the engine may be with its SIGKILL before we do, if there is time."""

CONTINUE_SEC = 1
"""By how much the manager's SIGCONT may come before its signal to stop: who sleeps long gets both at once."""

KILL_GRACE_SEC = 0.5
"""How long it may take to act on that before we do it without it: it may be frozen, and take every request."""


class Stopper:
    """What becomes of the signals that reach us while the container runs.

    held:       what is to be stopped.
    stopped_by: the first signal to stop, or 0.
    deadline:   when all has to be over, monotonic, once there was one: STOP_MARGIN_SEC before the unit's.
    killed:     whether we had to ask for SIGKILL.
    """

    def __init__(self, loop: Loop, held: Held, requests: Requests) -> None:
        self.stopped_by = 0
        self.killed = False
        self._loop = loop
        self.deadline = 0.0
        self._continued_at = 0.0
        self.held = held
        self.requests = requests

    def handle(self, signo: int) -> None:
        if signo == CONTINUE_SIGNAL:
            self._continued_at = time.monotonic()
        if signo == ABORT_SIGNAL:
            self._abort(signo)
        elif signo not in STOP_SIGNALS:
            if self.held.passes_signals_on:
                self._ask(lambda engine: engine.kill(self.held.id, str(signo)))
        elif self.stopped_by:
            self._kill()
        else:
            self.stopped_by = signo
            self.deadline = time.monotonic() + self.held.patience_sec
            self._stop()

    def left_sec(self, longest_sec: float, *, at_least_sec: float = 0.0) -> float:
        """longest_sec or, once there is a deadline, what is left until then."""
        if not self.deadline:
            return longest_sec
        return max(at_least_sec, min(longest_sec, self.deadline - time.monotonic()))

    def _stop(self) -> None:
        timeout_sec = self.held.stop_timeout_sec
        if not self.held.manager_signals_payload:
            self._stop_by_engine(timeout_sec)
            return
        earliest = time.monotonic() - CONTINUE_SEC
        self._loop.after(timeout_sec, lambda: self._end_manager_stop(earliest))

    def _end_manager_stop(self, earliest: float) -> None:
        """earliest: when the manager's SIGCONT can have come, monotonic."""
        left_sec = int(self.left_sec(self.held.stop_timeout_sec))
        if self._continued_at >= earliest or left_sec < 1:
            self._kill()
        else:
            log.notice(f"systemd does not stop container '{self.held.name}', so the engine is asked to")
            self._stop_by_engine(left_sec)

    def _stop_by_engine(self, timeout_sec: int) -> None:
        self._loop.after(self.left_sec(timeout_sec + ENGINE_GRACE_SEC), self._kill)
        # The engine's SIGKILL is as much ours as one that we ask for: it comes by the deadline we set.
        self._loop.after(timeout_sec, self._expect_kill)
        self._ask(lambda engine: engine.stop(self.held.id, timeout_sec=timeout_sec))

    def _abort(self, signo: int) -> None:
        """The watchdog has had enough. A payload that hangs may not even take SIGABRT, nor does one without handler
        that is its namespace's PID 1: so it has as long as for a stop, and no longer."""
        self.stopped_by = self.stopped_by or signo
        self.deadline = self.deadline or time.monotonic() + self.held.patience_sec
        self._loop.after(self.held.stop_timeout_sec, self._kill)
        if not self.held.shares_manager_signals:
            self._ask(lambda engine: engine.kill(self.held.id, str(signo)))

    def _expect_kill(self) -> None:
        self.killed = True

    def _kill(self) -> None:
        if not self.killed:
            log.notice(f"container '{self.held.name}' has not stopped in time and is killed")
        self.killed = True
        if not self._ask(lambda engine: engine.kill(self.held.id, "SIGKILL")):
            self._kill_leader()
        self._loop.after(KILL_GRACE_SEC, self._kill_leader)

    def _kill_leader(self) -> None:
        """SIGKILL without the engine's help; the kernel ends the rest of the PID namespace with it."""
        if self.held.pidfd != NO_FD:
            import signal

            try:
                signal.pidfd_send_signal(self.held.pidfd, signal.SIGKILL)
            except OSError as error:
                log.debug(f"cannot kill the leader: {error.strerror}")

    def _ask(self, ask: Callable[[Engine], Exchange]) -> bool:
        return self.requests.send("the engine does not pass a signal on", ask)
