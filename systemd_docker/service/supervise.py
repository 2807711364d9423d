"""While the container runs: output, signals, messages, until it has ended and its last byte is out.

A running service is mostly asleep, and what it does when it wakes up is imported then: see service.rest.
"""

from __future__ import annotations

import os
import select

from systemd_docker import log
from systemd_docker.engine import frames
from systemd_docker.service.ending import Outcome
from systemd_docker.service.held import NO_FD
from systemd_docker.service.relay import ByteSink, Relay
from systemd_docker.service.requests import Requests
from systemd_docker.service.rest import REST_AFTER_SEC
from systemd_docker.service.stop import Stopper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from systemd_docker.engine.wire import Exchange
    from systemd_docker.service.held import Held
    from systemd_docker.service.loop import Loop
    from systemd_docker.service.mainpid import MainPid
    from systemd_docker.service.records import RecordSink
    from systemd_docker.service.reports import Reports
    from systemd_docker.service.signals import Signals

DRAIN_TIMEOUT_SEC = 10
"""How long the last output may take when the container has ended: its reader is slower than any we know, or stuck."""


class Supervisor:
    """The sources of events of one running container, and when it is over."""

    def __init__(self, loop: Loop, held: Held, main_pid: MainPid) -> None:
        """Raises EngineUnreachableError."""
        self._loop = loop
        self._held = held
        self._main_pid = main_pid
        self._requests = Requests(loop, held.socket_path, held.api)
        self._stopper = Stopper(loop, held, self._requests)
        self._reports = _reports(loop, held, self._requests)
        self._relay = _relay(loop, held) if held.output_fd != NO_FD else None
        self._exit: Exchange | None = None
        self._exit_code: int | None = None
        self._barrier = NO_FD

    def run(self, signals: Signals, *, rest: Callable[[Held], None] | None = None) -> Outcome:
        """rest: called with what is held, once, when nothing is going on; see service.rest.

        Raises EngineUnreachableError where the engine went away and took the container's exit code with it.
        """

        def on_signal() -> None:
            for signo in signals.read():
                self._stopper.handle(signo)

        def rest_if_idle() -> None:
            assert rest is not None
            if self._is_idle():
                rest(self._now_held())
            else:
                self._loop.after(REST_AFTER_SEC, rest_if_idle)

        loop, held = self._loop, self._held
        loop.watch(signals.fileno(), select.POLLIN, on_signal)
        loop.watch(held.exit_fd, select.POLLIN, self._on_exit_answer)
        if held.pidfd != NO_FD:
            loop.watch(held.pidfd, select.POLLIN, self._on_leader_death)
        if rest is not None:
            loop.after(REST_AFTER_SEC, rest_if_idle)
        try:
            on_signal()
            loop.run_until(self._is_over)
        finally:
            for fd in (signals.fileno(), held.exit_fd, held.pidfd):
                loop.unwatch(fd)
            self._drop_barrier()
            self._requests.close()
            if self._reports is not None:
                self._reports.drain()
                self._reports.close()
            if self._relay is not None:
                self._relay.close()
        assert self._exit_code is not None
        return Outcome(self._exit_code, self._stopper.stopped_by, self._stopper.killed)

    def _is_over(self) -> bool:
        return (
            self._exit_code is not None and self._barrier == NO_FD and (self._relay is None or self._relay.finished)
        )

    def _is_idle(self) -> bool:
        """Whether everything that we know is in what we hold, and the leader lives."""
        is_behind = self._relay is not None and (self._relay.is_behind or self._relay.finished)
        is_busy = self._exit is not None or self._main_pid.was_leader or self._stopper.stopped_by
        return not (is_busy or is_behind or self._requests.are_open)

    def _now_held(self) -> Held:
        from systemd_docker.record import replace

        now = self._held
        if self._relay is not None:
            now = replace(now, frame=self._relay.frame, early_output=b"", unfinished=self._relay.unfinished)
        return self._reports.now_held(now) if self._reports else now

    def _on_exit_answer(self) -> None:
        from systemd_docker.engine.client import exit_of
        from systemd_docker.engine.wire import Exchange
        from systemd_docker.errors import EngineUnreachableError

        if self._exit is None:
            # The exchange's own descriptor, so that what we hold stays ours to close.
            self._exit = Exchange.resumed(os.dup(self._held.exit_fd), self._held.exit_received)
        try:
            self._exit.advance()
        except OSError as error:
            raise EngineUnreachableError(
                f"the engine went away while container '{self._held.name}' ran: {error}",
                hint="See 'systemctl status docker.service'.",
            ) from error
        if self._exit.complete:
            self._loop.unwatch(self._held.exit_fd)
            self._exit.close()
            self._exit_code = exit_of(self._exit)
            # A leader whose death has not been seen yet is dead all the same.
            self._on_leader_death()
            self._loop.after(DRAIN_TIMEOUT_SEC, self._give_up_output)

    def _on_leader_death(self) -> None:
        from systemd_docker.sd_notify import BARRIER_TIMEOUT_SEC

        self._loop.unwatch(self._held.pidfd)
        barrier = self._main_pid.take_back()
        if barrier != NO_FD:
            self._barrier = barrier
            self._loop.watch(barrier, 0, self._drop_barrier)
            self._loop.after(BARRIER_TIMEOUT_SEC, self._drop_barrier)

    def _drop_barrier(self) -> None:
        if self._barrier != NO_FD:
            self._loop.unwatch(self._barrier)
            os.close(self._barrier)
            self._barrier = NO_FD

    def _give_up_output(self) -> None:
        if self._relay is not None and not self._relay.finished:
            log.warning(
                f"the last output of container '{self._held.name}' was not taken"
                f" within {DRAIN_TIMEOUT_SEC} s, ignoring"
            )
            self._relay.give_up()


def _reports(loop: Loop, held: Held, requests: Requests) -> Reports | None:
    """None where nothing is to be told of the container, or by it: who has no use for that does not pay for it."""
    if held.notify_fd == NO_FD and not held.healthcheck and held.watchdog != "engine":
        return None
    from systemd_docker.service.reports import Reports

    return Reports(loop, held, requests)


def _relay(loop: Loop, held: Held) -> Relay:
    demultiplexer = frames.Demultiplexer(framed=held.framed, state=held.frame)
    return Relay(loop, held.output_fd, demultiplexer, _sinks(held), held.early_output, drops=held.drops_output)


def _sinks(held: Held) -> Mapping[int, ByteSink | RecordSink]:
    fds = {frames.STDOUT: held.stdout_fd, frames.STDERR: held.stderr_fd}
    if not held.record_fields:
        return {stream: ByteSink(fd) for stream, fd in fds.items()}
    from systemd_docker.service.records import RecordSink

    states = zip(fds.items(), held.priorities, held.unfinished, strict=True)
    return {stream: RecordSink(fd, held.record_fields, priority, state) for (stream, fd), priority, state in states}
