"""While the container runs: output, signals, messages, until it has ended and its last byte is out."""

from __future__ import annotations

import os
import select

from systemd_docker import log
from systemd_docker.engine.client import exit_of
from systemd_docker.errors import EngineUnreachableError
from systemd_docker.sd_notify import BARRIER_TIMEOUT_SEC
from systemd_docker.service.ending import Outcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.service.launch import Container
    from systemd_docker.service.loop import Loop
    from systemd_docker.service.readiness import MainPid, Proxy
    from systemd_docker.service.relay import Relay
    from systemd_docker.service.signals import Signals
    from systemd_docker.service.stop import Stopper

DRAIN_TIMEOUT_SEC = 10
"""How long the last output may take when the container has ended: its reader is slower than any we know, or stuck."""


class Supervisor:
    """The sources of events of one running container, and when it is over."""

    def __init__(
        self,
        loop: Loop,
        container: Container,
        main_pid: MainPid,
        stopper: Stopper,
        relay: Relay | None,
        proxy: Proxy | None,
    ) -> None:
        self._loop = loop
        self._container = container
        self._main_pid = main_pid
        self._stopper = stopper
        self._relay = relay
        self._proxy = proxy
        self._exit_code: int | None = None
        self._barrier = -1

    def run(self, signals: Signals) -> Outcome:
        """Raises EngineUnreachableError where the engine went away and took the container's exit code with it."""

        def on_signal() -> None:
            for signo in signals.read():
                self._stopper.handle(signo)

        loop, container = self._loop, self._container
        loop.watch(signals.fileno(), select.POLLIN, on_signal)
        loop.watch(container.exit.fileno(), select.POLLIN, self._on_exit_answer)
        if container.pidfd >= 0:
            loop.watch(container.pidfd, select.POLLIN, self._on_leader_death)
        try:
            on_signal()
            loop.run_until(self._is_over)
        finally:
            for fd in (signals.fileno(), container.exit.fileno(), container.pidfd):
                loop.unwatch(fd)
            self._drop_barrier()
        if self._proxy is not None:
            self._proxy.forward()
        assert self._exit_code is not None
        return Outcome(self._exit_code, self._stopper.stopped_by, self._stopper.killed)

    def _is_over(self) -> bool:
        return self._exit_code is not None and self._barrier < 0 and (self._relay is None or self._relay.finished)

    def _on_exit_answer(self) -> None:
        exchange = self._container.exit
        try:
            exchange.advance()
        except OSError as error:
            raise EngineUnreachableError(
                f"the engine went away while container '{self._container.name}' ran: {error}",
                hint="See 'systemctl status docker.service'.",
            ) from error
        if exchange.complete:
            self._loop.unwatch(exchange.fileno())
            self._exit_code = exit_of(exchange)
            # A leader whose death has not been seen yet is dead all the same.
            self._on_leader_death()
            self._loop.after(DRAIN_TIMEOUT_SEC, self._give_up_output)

    def _on_leader_death(self) -> None:
        self._loop.unwatch(self._container.pidfd)
        barrier = self._main_pid.take_back()
        if barrier >= 0:
            self._barrier = barrier
            self._loop.watch(barrier, 0, self._drop_barrier)
            self._loop.after(BARRIER_TIMEOUT_SEC, self._drop_barrier)

    def _drop_barrier(self) -> None:
        if self._barrier >= 0:
            self._loop.unwatch(self._barrier)
            os.close(self._barrier)
            self._barrier = -1

    def _give_up_output(self) -> None:
        if self._relay is not None and not self._relay.finished:
            log.warning(
                f"the last output of container '{self._container.name}' was not taken within"
                f" {DRAIN_TIMEOUT_SEC} s, ignoring"
            )
            self._relay.give_up()
