"""While the container runs: output, signals, messages, until it has ended and its last byte is out.

A running service is mostly asleep, and what it does when it wakes up is imported then: see service.supervise.reexec.
"""

from __future__ import annotations

import os
import select
import time

from systemd_docker import log
from systemd_docker.engine import multiplex
from systemd_docker.kernel.pidfd import NO_FD
from systemd_docker.service.output.relay import ByteSink, Relay
from systemd_docker.service.supervise.reexec import REST_AFTER_SEC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from systemd_docker.engine.http import Exchange
    from systemd_docker.kernel.loop import Loop
    from systemd_docker.kernel.signals import Signals
    from systemd_docker.service.adoption.late_processes import LateProcesses
    from systemd_docker.service.notifications.main_pid import MainPid
    from systemd_docker.service.notifications.reporter import Reports
    from systemd_docker.service.output.journal_records import RecordSink
    from systemd_docker.service.output.stdin import Input
    from systemd_docker.service.supervise.state import Held
    from systemd_docker.service.supervise.stopper import Stopper

DRAIN_TIMEOUT_SEC = 10
"""How long the last output may take when the container has ended: its reader is slower than any we know, or stuck."""

SILENCE_SEC = 10
"""How long an engine may take to notice that a leader is dead; then it is taken for one that has gone away."""

LAST_SILENCE_SEC = 0.5
"""The same where all has to be over: of what STOP_MARGIN_SEC leaves."""

OUTPUT_END_SEC = 2
"""Between the end of the output and the engine's word that the container has ended; else it was another run's end."""


EARLY_SEC = 1
"""How long, on a busy host, the runtime may take to execute the payload when the engine says that it runs."""


class Supervisor:
    """The sources of events of one running container, and when it is over.

    was_stopped_early: whether a signal to stop came within EARLY_SEC, or before there was anybody to supervise it.
    """

    def __init__(self, loop: Loop, held: Held, main_pid: MainPid, stopper: Stopper) -> None:
        """Raises EngineUnreachableError."""
        self._loop = loop
        self._held = held
        self._main_pid = main_pid
        self._stopper = stopper
        self._requests = stopper.requests
        self._rest: Callable[[Held], None] | None = None
        self._is_rest_due = False
        self._reports = self._make_reports()
        self._relay = _relay(loop, held) if held.output_fd != NO_FD else None
        self._input = _input(loop, held) if held.stdin_fd != NO_FD else None
        self._strays = _strays(loop, held)
        self._exit: Exchange | None = None
        self._exit_code: int | None = None
        self._is_lost = False
        self._is_dead = False
        self._has_output_ended = False
        self._has_ended = False
        self.was_stopped_early = False

    def run(self, signals: Signals, rest: Callable[[Held], None], *, rests_soon: bool) -> int | None:
        """The container's exit code; None where the engine went away, or does not answer, before it could tell.

        rest: called with what is held when nothing is going on, see service.supervise.reexec: soon, or only
        after something was.
        """

        def on_signal() -> None:
            for signo in signals.read():
                self._stopper.handle(signo)
                if held.passes_signals_on and not self._stopper.stopped_by:
                    # The engine was asked to, with all that it takes to ask.
                    self._rest_later()
            if self._stopper.stopped_by and time.monotonic() < early:
                self.was_stopped_early = True
            if self._is_dead and self._stopper.stopped_by:
                self._limit_silence()

        loop, held = self._loop, self._held
        early = time.monotonic() + EARLY_SEC
        self._rest = rest
        loop.watch(signals.fileno(), select.POLLIN, on_signal)
        loop.watch(held.exit_fd, select.POLLIN, self._on_exit_answer)
        if held.pidfd != NO_FD:
            loop.watch(held.pidfd, select.POLLIN, self._on_leader_death)
        if rests_soon:
            self._rest_later()
        try:
            on_signal()
            loop.run_until(self._is_over)
        finally:
            for fd in (signals.fileno(), held.exit_fd, held.pidfd):
                loop.unwatch(fd)
            self._has_ended = True
            self._requests.close()
            if self._exit is not None:
                self._exit.close()
            if self._reports is not None:
                self._reports.drain()
                self._reports.close()
            if self._relay is not None:
                self._relay.close()
            if self._input is not None:
                self._input.close()
            if self._strays is not None:
                self._strays.close()
        return self._exit_code

    def _make_reports(self) -> Reports | None:
        """None where nothing is to be told of the container, or by it: who has no use for that does not pay."""
        held = self._held
        if held.notify_fd == NO_FD and not held.healthcheck and held.watchdog != "engine":
            return None
        from systemd_docker.service.notifications.reporter import Reports

        return Reports(self._loop, held, self._requests, stirred=self._rest_later)

    def _is_over(self) -> bool:
        if self._relay is not None and self._relay.finished and not self._has_output_ended:
            self._has_output_ended = True
            self._loop.after(OUTPUT_END_SEC, self._expect_answer)
        if self._is_lost and self._exit_code is None:
            # What an engine that is silent has not sent yet, its log has.
            return self._main_pid.settled and (self._relay is None or not self._relay.is_behind)
        return (
            self._exit_code is not None and self._main_pid.settled and (self._relay is None or self._relay.finished)
        )

    def _is_idle(self) -> bool:
        """Whether everything that we know is in what we hold, and the leader lives."""
        is_behind = self._relay is not None and (self._relay.is_behind or self._relay.finished)
        is_behind = is_behind or (self._input is not None and self._input.is_behind)
        is_busy = self._exit is not None or self._is_dead or self._stopper.stopped_by
        return not (is_busy or is_behind or self._requests.are_open)

    def now_held(self) -> Held:
        """What is held, as far as output has come."""
        from systemd_docker.frozen import replace

        now, relay = self._held, self._relay
        if relay is not None:
            is_log = now.output_is_log and relay.is_searching
            now = replace(now, frame=relay.frame, early_output=b"", unfinished=relay.unfinished)
            now = replace(now, tails=relay.tails, output_is_log=is_log)
        return self._reports.now_held(now) if self._reports else now

    def _rest_later(self) -> None:
        if not self._is_rest_due:
            self._is_rest_due = True
            self._loop.after(REST_AFTER_SEC, self._rest_if_idle)

    def _rest_if_idle(self) -> None:
        self._is_rest_due = False
        if self._has_ended or self._rest is None:
            return
        if not self._is_idle():
            self._rest_later()
            return
        held = self.now_held()
        self._rest(self._reports.resting(held) if self._reports else held)

    def _on_exit_answer(self) -> None:
        from systemd_docker.engine.answers import exit_of
        from systemd_docker.engine.http import Exchange

        if self._exit is None:
            # The exchange's own descriptor, so that what we hold stays ours to close.
            self._exit = Exchange.resumed(
                os.dup(self._held.exit_fd), self._held.exit_received, f"POST /containers/{self._held.name}/wait"
            )
        had_head = self._exit.parser.head is not None
        try:
            self._exit.advance()
        except OSError as error:
            log.debug(f"the engine went away while container '{self._held.name}' ran: {error}")
            self._loop.unwatch(self._held.exit_fd)
            self._is_lost = True
            return
        if self._exit.complete:
            self._loop.unwatch(self._held.exit_fd)
            self._exit_code = exit_of(self._exit)
            # A leader whose death has not been seen yet is dead all the same.
            self._on_leader_death()
            self._loop.after(DRAIN_TIMEOUT_SEC, self._give_up_output)
        elif self._exit.parser.head is not None and not had_head:
            self._hold_head(self._exit)

    def _hold_head(self, exchange: Exchange) -> None:
        """The answer's beginning, which comes at once where somebody else has started the container: what we hold
        from the start otherwise, and nothing that would be going on."""
        from systemd_docker.frozen import replace

        fd, received = exchange.parts()
        os.close(fd)
        self._held = replace(self._held, exit_received=received)
        self._exit = None

    def _on_leader_death(self) -> None:
        if self._is_dead:
            return
        self._is_dead = True
        self._loop.unwatch(self._held.pidfd)
        if self._reports is not None:
            self._reports.forget()
        self._main_pid.take_back()
        self._limit_silence()

    def _limit_silence(self) -> None:
        longest_sec = min(SILENCE_SEC, self._held.patience_sec)
        self._loop.after(self._stopper.left_sec(longest_sec, at_least_sec=LAST_SILENCE_SEC), self._expect_answer)

    def _expect_answer(self) -> None:
        if self._exit_code is None:
            self._is_lost = True

    def _give_up_output(self) -> None:
        if self._relay is not None and not self._relay.finished:
            log.warning(
                f"the last output of container '{self._held.name}' was not taken"
                f" within {DRAIN_TIMEOUT_SEC} s, ignoring"
            )
            self._relay.give_up()


def _input(loop: Loop, held: Held) -> Input:
    from systemd_docker.service.output.stdin import Input

    return Input(loop, held.stdin_fd)


def _strays(loop: Loop, held: Held) -> LateProcesses | None:
    """None where nobody was moved, or systemd has collected the emptied scope: nobody comes there then."""
    if not held.moved or not os.path.isdir("".join(held.moved[:2])):
        return None
    from systemd_docker.service.adoption.late_processes import LateProcesses

    return LateProcesses(loop, held.moved)


def _relay(loop: Loop, held: Held) -> Relay:
    demultiplexer = multiplex.Demultiplexer(framed=held.framed, state=held.frame)
    return Relay(
        loop,
        held.output_fd,
        demultiplexer,
        _sinks(held),
        held.early_output,
        held.tails,
        drops=held.drops_output,
        is_log=held.output_is_log,
    )


def _sinks(held: Held) -> Mapping[int, ByteSink | RecordSink]:
    fds = {multiplex.STDOUT: held.stdout_fd, multiplex.STDERR: held.stderr_fd}
    if not held.record_fields:
        return {stream: ByteSink(fd) for stream, fd in fds.items()}
    from systemd_docker.service.output.journal_records import RecordSink

    states = zip(fds.items(), held.priorities, held.unfinished, strict=True)
    return {stream: RecordSink(fd, held.record_fields, priority, state) for (stream, fd), priority, state in states}
