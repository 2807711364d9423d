"""Act on the signals that systemd-docker gets while the container runs: stop, abort, pass on.

The payload is signalled once. With KillMode=control-group systemd has done it already, when its signal is the one
that
the container wants: then only the deadline is watched. Everything else goes through the engine, which knows the
container's stop signal and reaches the payload in every namespace.

Which process sent a signal is unknown: Python has no signalfd(2). But with the signal of a stop systemd sends SIGCONT
to each process (unit_kill_context() in its unit.c), which neither kill(1) nor `systemctl kill` does. So where no
SIGCONT came and the payload still runs when its time is over, the engine is asked to stop it, if the unit leaves
time.
"""

from __future__ import annotations

from systemd_docker import log
from systemd_docker.kernel.signals import ABORT_SIGNAL, CONTINUE_SIGNAL, STOP_SIGNALS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from systemd_docker.engine.client import Engine
    from systemd_docker.engine.http import Exchange
    from systemd_docker.kernel.loop import Handler, Loop, Timer
    from systemd_docker.service.container_state import ContainerState
    from systemd_docker.service.engine_requests import EngineRequests
    from systemd_docker.service.stop_policy import StopPolicy

ENGINE_GRACE_SEC = 2
"""How much later than asked for the engine may be with its SIGKILL before systemd-docker sends one, if there is
time."""

CONTINUE_SEC = 1
"""By how much systemd's SIGCONT may come before its stop signal: after a suspend both arrive at once."""

KILL_GRACE_SEC = 0.5
"""How long the engine may take to kill before systemd-docker does: it may be frozen, and accept every request."""


class Stopper:
    """Stops one container; close() cancels what is left of that.

    stopped_by: the first signal to stop, or 0.
    killed:     whether SIGKILL was this unit's, because the payload did not stop in time.
    """

    def __init__(
        self,
        loop: Loop,
        container: ContainerState,
        policy: StopPolicy,
        requests: EngineRequests,
        *,
        kill_leader: Callable[[], None],
    ) -> None:
        """kill_leader: kills the container's first process without the engine."""
        self.stopped_by = 0
        self.killed = False
        self._loop = loop
        self._id = container.id
        self._name = container.name
        self._policy = policy
        self._requests = requests
        self._kill_leader = kill_leader
        self._deadline: float | None = None
        self._continued_at: float | None = None
        self._timers: list[Timer] = []

    def handle(self, signo: int) -> None:
        if signo == CONTINUE_SIGNAL:
            self._continued_at = self._loop.now()
        if signo == ABORT_SIGNAL:
            self._abort(signo)
        elif signo not in STOP_SIGNALS:
            if self._policy.forwards:
                what = f"cannot pass signal {signo} on to container '{self._name}'"
                self._requests.send(what, lambda engine: engine.kill(self._id, str(signo)))
        elif self.stopped_by:
            self._kill()
        else:
            self.stopped_by = signo
            self._deadline = self._loop.now() + self._policy.budget_sec
            self._stop()

    def left_sec(self, longest_sec: float, *, at_least_sec: float = 0.0) -> float:
        """Return longest_sec or, once there is a deadline, what is left until then."""
        if self._deadline is None:
            return longest_sec
        return max(at_least_sec, min(longest_sec, self._deadline - self._loop.now()))

    def note_stopped_elsewhere(self, signo: int) -> None:
        """Note that another client of the engine had the container stopped, and killed: a stop all the same."""
        self.stopped_by = self.stopped_by or signo
        self.killed = True

    def close(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def _after(self, delay_sec: float, handler: Handler) -> None:
        self._timers.append(self._loop.after(delay_sec, handler))

    def _stop(self) -> None:
        timeout_sec = self._policy.timeout_sec
        if not self._policy.stops_payload:
            self._stop_by_engine(timeout_sec)
            return
        earliest = self._loop.now() - CONTINUE_SEC
        self._after(timeout_sec, lambda: self._end_manager_stop(earliest))

    def _end_manager_stop(self, earliest: float) -> None:
        """earliest: when systemd's SIGCONT can have come."""
        left_sec = self.left_sec(self._policy.timeout_sec)
        if left_sec < 1 or (self._continued_at is not None and self._continued_at >= earliest):
            self._kill()
        else:
            log.notice(f"systemd has not signalled container '{self._name}', asking the engine to stop it")
            self._stop_by_engine(left_sec)

    def _stop_by_engine(self, timeout_sec: float) -> None:
        limit_sec = timeout_sec + ENGINE_GRACE_SEC
        self._after(self.left_sec(limit_sec), self._kill)
        # The engine's SIGKILL is this unit's as well: it comes by the deadline that was set here.
        self._after(timeout_sec, self._expect_kill)
        self._ask("stop", lambda engine: engine.stop(self._id, timeout_sec=int(timeout_sec)), limit_sec)

    def _abort(self, signo: int) -> None:
        """systemd's watchdog has expired. A payload that hangs may not even act on SIGABRT, nor does one without a
        handler that is PID 1 of its namespace: so it has as long as for a stop, and no longer."""
        self.stopped_by = self.stopped_by or signo
        if self._deadline is None:
            self._deadline = self._loop.now() + self._policy.budget_sec
        self._after(self._policy.timeout_sec, self._kill)
        if not self._policy.reaches_payload:
            self._ask("abort", lambda engine: engine.kill(self._id, str(signo)), ENGINE_GRACE_SEC)

    def _expect_kill(self) -> None:
        self.killed = True

    def _kill(self) -> None:
        if not self.killed:
            log.notice(f"container '{self._name}' has not stopped in time, killing it")
        self.killed = True
        if not self._ask("kill", lambda engine: engine.kill(self._id, "SIGKILL"), ENGINE_GRACE_SEC):
            self._kill_leader()
        self._after(KILL_GRACE_SEC, self._kill_leader)

    def _ask(self, verb: str, ask: Callable[[Engine], Exchange], limit_sec: float) -> bool:
        return self._requests.send(f"cannot {verb} container '{self._name}'", ask, limit_sec=limit_sec)
