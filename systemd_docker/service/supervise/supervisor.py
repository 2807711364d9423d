"""Supervise one running container: turn what happens into events of the life cycle, and carry out what follows.

Decisions are in service.supervise.lifecycle, which is pure. Here are the sources of events (signals, the leader's
pidfd, the engine's answer, output, timers, recovery), and one method for each effect.
"""

from __future__ import annotations

import select

from systemd_docker import log
from systemd_docker.frozen import replace
from systemd_docker.kernel import pidfd
from systemd_docker.kernel.fd import NO_FD, close_fd
from systemd_docker.kernel.signals import SIGTERM
from systemd_docker.sd.notify import Notifier
from systemd_docker.service.adoption.late_processes import LateProcesses, can_appear
from systemd_docker.service.engine_requests import EngineRequests
from systemd_docker.service.exit_status import Ended, Outcome
from systemd_docker.service.exit_wait import ExitWait
from systemd_docker.service.notifications.main_pid import MainPid
from systemd_docker.service.notifications.reporter import Reporter
from systemd_docker.service.output.streams import Streams
from systemd_docker.service.recovery.judgement import KILLED, Verdict
from systemd_docker.service.recovery.recovery import Recovery
from systemd_docker.service.supervise import lifecycle as life
from systemd_docker.service.supervise import limits
from systemd_docker.service.supervise.reexec import REEXEC_AFTER_SEC, REEXEC_DELAY_FACTOR
from systemd_docker.service.supervise.restarted import take_up
from systemd_docker.service.supervise.stopper import Stopper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from systemd_docker.kernel.loop import Loop, Timer
    from systemd_docker.kernel.signals import Signals
    from systemd_docker.service.recovery.reattach import Found
    from systemd_docker.service.supervise.state import ServiceState
    from systemd_docker.unit import UnitContext


class Supervisor:
    """Supervises one container until it has ended; close() it. Owns the descriptors in state from the beginning.

    state: as it is now, except for what snapshot() adds.
    phase: see lifecycle.
    ended: how it ended, in the phase ENDED.
    """

    def __init__(self, loop: Loop, state: ServiceState, unit: UnitContext, signals: Signals) -> None:
        self.state = state
        self.phase = life.RUNNING
        self.ended: Ended | None = None
        self._loop = loop
        self._unit = unit
        self._signals = signals
        self._events: list[str] = []
        self._is_handling = False
        self._timers: list[Timer] = []
        self._reexec_timer: Timer | None = None
        self._exit_code: int | None = None
        self._verdict = Verdict()
        self._early_until = loop.now()
        self._was_stopped_early = False
        self._requests = EngineRequests(loop, state.engine)
        notifier = Notifier(state.notify.manager_socket)
        self._main_pid = MainPid(
            loop, notifier, is_leader=state.notify.leader_is_main, on_settled=lambda: self._fire_if_settled()
        )
        self.stopper = Stopper(loop, state.container, state.stop, self._requests, kill_leader=self._kill_leader)
        self._reporter = Reporter(loop, state, self._requests, notifier)
        self._streams = Streams(loop, state.output, on_finished=self.on_output_finished)
        self._late = self._make_late_processes()
        self._exit_wait = ExitWait(loop, state.container.name, on_exit=self.on_exit, on_lost=self.on_exit_lost)
        self._recovery = Recovery(loop, state.engine)

    def run(self, *, is_new: bool, reexec: Callable[[ServiceState], None] | None) -> Ended:
        """Supervise until the container has ended.

        is_new: the container has just been started. reexec: called once, with the state, when nothing is under way.
        """
        self.begin(is_new=is_new)
        if reexec is not None:
            self.reexec_later(reexec)
        self._loop.run_until(lambda: self.ended is not None)
        assert self.ended is not None
        return self.ended

    def begin(self, *, is_new: bool) -> None:
        """Watch everything from now on."""
        if is_new:
            self._early_until = self._loop.now() + limits.EARLY_SEC
        self._loop.watch(self._signals.fileno(), select.POLLIN, self.on_signals)
        self._watch_container()
        self._streams.begin()
        self._reporter.begin()
        # Signals that came while the container was started.
        self.on_signals()

    def close(self) -> None:
        """Stop watching, and close every descriptor of the state."""
        self._cancel_timers()
        if self._reexec_timer is not None:
            self._reexec_timer.cancel()
        self._loop.unwatch(self._signals.fileno())
        self._loop.unwatch(self.state.container.pidfd)
        self._recovery.close()
        self._exit_wait.close()
        self._requests.close()
        self.stopper.close()
        self._reporter.drain()
        self._reporter.close()
        self._main_pid.close()
        self._streams.close()
        if self._late is not None:
            self._late.close()

    def snapshot(self) -> ServiceState:
        """Return the state with how far everything has come; complete where is_idle."""
        notify, health = self._reporter.snapshot()
        notify = replace(notify, leader_is_main=self._main_pid.is_leader)
        exit_wait = self._exit_wait.state
        return replace(self.state, notify=notify, health=health, output=self._streams.snapshot(), exit_wait=exit_wait)

    @property
    def is_idle(self) -> bool:
        """Return whether the container runs, and nothing is under way that a snapshot does not have."""
        is_busy = self._exit_wait.is_busy or self._requests.are_open or bool(self.stopper.stopped_by)
        return self.phase == life.RUNNING and self._streams.is_idle and not (is_busy or self._timers)

    # Events.

    def fire(self, event: str) -> None:
        """Let event happen: change the phase, and carry out what follows. Events of effects are queued."""
        self._events.append(event)
        if self._is_handling:
            return
        self._is_handling = True
        try:
            while self._events:
                self._handle(self._events.pop(0))
        finally:
            self._is_handling = False

    def _handle(self, event: str) -> None:
        transition = life.transition(self.phase, event)
        if transition.to != self.phase:
            log.debug(f"container '{self.state.container.name}': {event}: {self.phase} -> {transition.to}")
            self._cancel_timers()
            self.phase = transition.to
        for effect in transition.effects:
            EFFECTS[effect](self)
        if event in life.RECOVERY_EVENTS and not transition.effects:
            self._recovery.discard()

    def _after(self, delay_sec: float, event: str) -> None:
        """Set a timer of this phase: it is cancelled when the phase is left."""
        self._timers.append(self._loop.after(delay_sec, lambda: self.fire(event)))

    def _cancel_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def on_signals(self) -> None:
        for signo in self._signals.read():
            was_stopping = bool(self.stopper.stopped_by)
            self.stopper.handle(signo)
            if self.stopper.stopped_by and not was_stopping:
                self._was_stopped_early = self._loop.now() < self._early_until
                self.fire(life.STOP)

    def on_leader_death(self) -> None:
        self._loop.unwatch(self.state.container.pidfd)
        self.fire(life.LEADER_DIED)

    def on_exit(self, exit_code: int) -> None:
        self._exit_code = exit_code
        self.fire(life.EXIT_KNOWN)

    def on_exit_lost(self, reason: str) -> None:
        log.debug(f"the engine will not report the exit of container '{self.state.container.name}': {reason}")
        self.fire(life.EXIT_LOST)

    def on_output_finished(self) -> None:
        self.fire(life.OUTPUT_ENDED)
        self._fire_if_drained()

    def on_found(self, found: Found) -> None:
        """Take what was found once the old output is written: the new one is read from behind it."""
        self._recovery.keep(found)
        self._streams.when_flushed(self._fire_found)

    def _fire_found(self) -> None:
        found = self._recovery.found
        if found is None:
            return
        if found.exit_code is not None:
            self._exit_code = found.exit_code
            self.fire(life.FOUND_ENDED)
        elif found.container.leader == self.state.container.leader and self.phase == life.LOST:
            self.fire(life.FOUND_RUNNING)
        else:
            self.fire(life.FOUND_RESTARTED)

    def on_nothing_found(self) -> None:
        self.fire(life.FOUND_NOTHING)

    def on_verdict(self, verdict: Verdict) -> None:
        self._verdict = verdict
        if verdict.ran_out_of_memory and not self.stopper.stopped_by:
            log.error(f"container '{self.state.container.name}' ran out of memory and was killed")
            log.info("Its limits are --memory of docker-run(1) and MemoryMax= of the unit.")
        is_open = verdict.stopped_nsec and not self.stopper.stopped_by
        self.fire(life.VERDICT_STOPPED if is_open else life.VERDICT_FINAL)

    # Effects, by their names in lifecycle.

    def take_main_back(self) -> None:
        self._reporter.forget_leader()
        self._main_pid.take_back()

    def say_stopping(self) -> None:
        """The unit does not claim to run while nothing does."""
        self._main_pid.take_back(STOPPING=1)

    def await_answer(self) -> None:
        longest_sec = min(limits.SILENCE_SEC, self.state.stop.budget_sec)
        left_sec = self.stopper.left_sec(longest_sec, at_least_sec=limits.LAST_SILENCE_SEC)
        self._after(left_sec, life.ANSWER_OVERDUE)

    def await_answer_soon(self) -> None:
        self._after(limits.OUTPUT_END_SEC, life.ANSWER_OVERDUE)

    def recover(self) -> None:
        """Look for the container; nothing else is asked of the engine, nor read from it, meanwhile."""
        self._exit_wait.close()
        self._reporter.pause()
        self._requests.close()
        self._streams.stop_reading()
        self._recovery.look(
            self.state.container,
            self._streams.recent,
            is_restart=self.phase == life.REJOINING,
            on_found=self.on_found,
            on_nothing=self.on_nothing_found,
        )

    def await_return(self) -> None:
        limit_sec = limits.STOPPED_RETURN_TIMEOUT_SEC if self.stopper.stopped_by else limits.RETURN_TIMEOUT_SEC
        longest_sec = min(limit_sec, self.state.stop.budget_sec)
        self._after(self.stopper.left_sec(longest_sec, at_least_sec=limits.LAST_SILENCE_SEC), life.RETURN_OVERDUE)

    def resume(self) -> None:
        """The same leader runs: the engine was away, and the container was not."""
        log.info(f"the engine is back; container '{self.state.container.name}' kept running meanwhile")
        self._take_found(restarted=False)

    def restart(self) -> None:
        """The container runs with another leader."""
        self._was_stopped_early = False
        self._early_until = self._loop.now() + limits.EARLY_SEC
        self._verdict = Verdict()
        self._take_found(restarted=True)

    def drain(self) -> None:
        """Let the last output out; what recovery has found of it, too."""
        if self._recovery.found is not None:
            self._take_output(self._recovery.take())
        self._recovery.stop()
        self._after(
            self.stopper.left_sec(limits.DRAIN_TIMEOUT_SEC, at_least_sec=limits.LAST_SILENCE_SEC), life.DRAIN_OVERDUE
        )
        self._fire_if_drained()

    def give_up_output(self) -> None:
        if not self._streams.has_ended:
            log.warning(
                f"dropped the last output of container '{self.state.container.name}': its reader did not take it"
                f" within {limits.DRAIN_TIMEOUT_SEC} s"
            )
            self._streams.give_up()

    def judge(self) -> None:
        assert self._exit_code is not None
        self._recovery.judge(self.state.container, self._exit_code, self.state.stop, self.on_verdict)
        if self.stopper.stopped_by:
            self.hurry()

    def hurry(self) -> None:
        self._recovery.hurry()

    def await_restart(self) -> None:
        self._recovery.await_restart(
            self.state.container,
            self._verdict.stopped_nsec + 1,
            on_started=lambda: self.fire(life.STARTED),
            on_not_restarted=lambda: self.fire(life.NOT_RESTARTED),
        )

    def settle(self) -> None:
        self._recovery.stop()
        self._fire_if_settled()

    def finish(self) -> None:
        if self._verdict.was_killed:
            self.stopper.note_stopped_elsewhere(SIGTERM)
        outcome = None
        if self._exit_code is not None:
            outcome = Outcome(self._exit_code, self.stopper.stopped_by, self.stopper.killed, self._was_stopped_early)
        may_remove = outcome is not None or self._recovery.has_reached_engine
        self.ended = Ended(outcome, self.stopper.stopped_by, may_remove)

    # What the effects are made of.

    def _fire_if_drained(self) -> None:
        if self.phase != life.DRAINING or not self._streams.has_ended:
            return
        is_final = self.stopper.stopped_by and (self._exit_code != KILLED or self.stopper.killed)
        self.fire(life.DRAINED_FINAL if is_final else life.DRAINED_OPEN)

    def _fire_if_settled(self) -> None:
        if self.phase == life.ENDING and self._main_pid.is_settled:
            self.fire(life.SETTLED)

    def _take_found(self, *, restarted: bool) -> None:
        found = self._recovery.take()
        self._recovery.stop()
        self._loop.unwatch(self.state.container.pidfd)
        close_fd(self.state.container.pidfd)
        close_fd(self.state.exit_wait.fd)
        self._exit_code = None
        self.state = replace(self.state, container=found.container, exit_wait=found.exit_wait)
        if restarted:
            self.state = take_up(self.state, self._unit, self._main_pid)
            self._reporter.restart()
            self._make_late_processes_again()
        self._take_output(found)
        self._reporter.resume(found.health)
        self._watch_container()

    def _take_output(self, found: Found) -> None:
        """Read the output that recovery has found, instead of what there was."""
        self._streams.switch(found.output_fd, found.early, is_log=found.is_log)
        self.state = replace(self.state, output=self._streams.state)

    def _watch_container(self) -> None:
        """The exit first: a container that ended meanwhile has both."""
        if self.state.exit_wait.fd != NO_FD:
            self._exit_wait.follow(self.state.exit_wait)
        if self.state.container.pidfd != NO_FD:
            self._loop.watch(self.state.container.pidfd, select.POLLIN, self.on_leader_death)

    def _kill_leader(self) -> None:
        """SIGKILL without the engine; the kernel ends the rest of the PID namespace with it."""
        if self.state.container.pidfd != NO_FD:
            try:
                pidfd.kill(self.state.container.pidfd)
            except OSError as error:
                log.debug(f"cannot kill the container's first process: {error.strerror}")

    def _make_late_processes(self) -> LateProcesses | None:
        moved = self.state.adoption.moved
        return LateProcesses(self._loop, moved) if can_appear(moved) else None

    def _make_late_processes_again(self) -> None:
        if self._late is not None:
            self._late.close()
        self._late = self._make_late_processes()

    def reexec_later(self, reexec: Callable[[ServiceState], None], delay_sec: float = REEXEC_AFTER_SEC) -> None:
        # The delays grow: the watchdog's question, every 2 s with WatchdogSec=6, must not meet every try.
        def try_now() -> None:
            if self.is_idle:
                reexec(self.snapshot())
                self._reexec_timer = None  # It returned: this image supervises to the end.
            elif self.phase == life.RUNNING:
                self.reexec_later(reexec, delay_sec * REEXEC_DELAY_FACTOR)

        self._reexec_timer = self._loop.after(delay_sec, try_now)


EFFECTS = {
    life.TAKE_MAIN_BACK: Supervisor.take_main_back,
    life.SAY_STOPPING: Supervisor.say_stopping,
    life.AWAIT_ANSWER: Supervisor.await_answer,
    life.AWAIT_ANSWER_SOON: Supervisor.await_answer_soon,
    life.RECOVER: Supervisor.recover,
    life.AWAIT_RETURN: Supervisor.await_return,
    life.RESUME: Supervisor.resume,
    life.RESTART: Supervisor.restart,
    life.DRAIN: Supervisor.drain,
    life.GIVE_UP_OUTPUT: Supervisor.give_up_output,
    life.JUDGE: Supervisor.judge,
    life.HURRY: Supervisor.hurry,
    life.AWAIT_RESTART: Supervisor.await_restart,
    life.SETTLE: Supervisor.settle,
    life.FINISH: Supervisor.finish,
}
