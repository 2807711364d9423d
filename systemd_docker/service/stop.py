"""SIGTERM, SIGHUP and their like: what the payload and the engine are asked to do.

The payload is signalled once. With KillMode=control-group the service manager has done it already, when the signal is
the one that the container wants: then only the deadline is watched. Everything else goes through the engine, which
knows the container's stop signal and reaches the payload in every namespace.
"""

from __future__ import annotations

import signal

from systemd_docker import log
from systemd_docker.plan import stop_timeout_sec
from systemd_docker.service.signals import STOP_SIGNALS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from systemd_docker.engine.client import Engine
    from systemd_docker.engine.wire import Exchange
    from systemd_docker.plan import LaunchPlan
    from systemd_docker.service.launch import Container
    from systemd_docker.service.loop import Loop
    from systemd_docker.service.requests import Requests
    from systemd_docker.unit import UnitProperties

ENGINE_GRACE_SEC = 2
"""How much later than asked for the engine may be with its SIGKILL before we ask for it ourselves."""


class Stopper:
    """What becomes of the signals that reach us while the container runs.

    stopped_by: the first signal to stop, or 0.
    killed:     whether we had to ask for SIGKILL.
    """

    def __init__(
        self,
        loop: Loop,
        engine: Engine,
        requests: Requests,
        container: Container,
        plan: LaunchPlan,
        properties: UnitProperties,
    ) -> None:
        self.stopped_by = 0
        self.killed = False
        self._loop = loop
        self._engine = engine
        self._requests = requests
        self._container = container
        self._timeout_sec = stop_timeout_sec(container.facts.stop_timeout_sec, properties)
        self._passes_on = plan.passes_signals_on
        self._is_signalled_by_manager = is_signalled_by_manager(plan, properties, container.facts.stop_signal)

    def handle(self, signo: signal.Signals) -> None:
        if signo not in STOP_SIGNALS:
            if self._passes_on:
                self._ask(lambda: self._engine.kill(self._container.id, signo.name))
        elif self.stopped_by:
            self._kill()
        else:
            self.stopped_by = signo
            self._stop()

    def _stop(self) -> None:
        if self._is_signalled_by_manager:
            self._loop.after(self._timeout_sec, self._kill)
            return
        self._loop.after(self._timeout_sec + ENGINE_GRACE_SEC, self._kill)
        # The engine's SIGKILL is as much ours as one that we ask for: it comes by the deadline we set.
        self._loop.after(self._timeout_sec, self._expect_kill)
        self._ask(lambda: self._engine.stop(self._container.id, timeout_sec=self._timeout_sec))

    def _expect_kill(self) -> None:
        self.killed = True

    def _kill(self) -> None:
        if not self.killed:
            log.notice(f"container '{self._container.name}' has not stopped in time and is killed")
        self.killed = True
        if not self._ask(lambda: self._engine.kill(self._container.id, "SIGKILL")):
            self._container.kill_leader()

    def _ask(self, ask: Callable[[], Exchange]) -> bool:
        return self._requests.send("the engine does not pass a signal on", ask)


def is_signalled_by_manager(plan: LaunchPlan, properties: UnitProperties, stop_signal: str) -> bool:
    """Whether `systemctl stop` signals the payload itself with what the container wants to be stopped with."""
    return (
        plan.adoption.strategy != "none"
        and properties.kill_mode == "control-group"
        and signal_number(stop_signal) == properties.kill_signal
    )


def signal_number(name: str) -> int:
    """Of a container's stop signal as docker-run(1) has it: "SIGQUIT", "quit", "3", "SIGRTMIN+3"; SIGTERM for "".

    0 where it names none that we know: nobody has sent it then.
    """
    word = name.upper().removeprefix("SIG")
    if not word:
        return signal.SIGTERM
    if word.isdecimal():
        return int(word)
    base, sign, offset = word.partition("+")
    if sign and base == "RTMIN" and offset.isdecimal():
        return signal.SIGRTMIN + int(offset)
    base, sign, offset = word.partition("-")
    if sign and base == "RTMAX" and offset.isdecimal():
        return signal.SIGRTMAX - int(offset)
    known = getattr(signal, f"SIG{word}", 0)
    return int(known) if isinstance(known, signal.Signals) else 0
