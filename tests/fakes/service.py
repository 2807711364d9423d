"""A running service for tests of the supervisor: a real leader, the fake engine, a clock that the test turns."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from systemd_docker.engine import client, http
from systemd_docker.frozen import replace
from systemd_docker.kernel.fd import Fd
from systemd_docker.kernel.loop import Loop
from systemd_docker.kernel.signals import Signals
from systemd_docker.service.exit_status import Ended
from systemd_docker.service.exit_wait import ExitWaitState
from systemd_docker.service.output.state import OutputState
from systemd_docker.service.stop_policy import StopPolicy
from systemd_docker.service.supervise import lifecycle as life
from systemd_docker.service.supervise import state as service_state
from systemd_docker.service.supervise.supervisor import Supervisor
from systemd_docker.unit import read_unit
from tests.fakes import state as fake_state
from tests.fakes.clock import Clock, run_until
from tests.fakes.containers import STDOUT, Script
from tests.fakes.engine import FakeEngine

STOP = StopPolicy(timeout_sec=10.0, budget_sec=88.0)


class Service:
    """A container whose leader is a real process, and its supervisor.

    leader: that process; the engine learns of its end from finish(), as dockerd does from containerd.
    """

    def __init__(self, engine: FakeEngine, loop: Loop, clock: Clock, directory: Path, *, stop: StopPolicy) -> None:
        self.engine, self.loop, self.clock = engine, loop, clock
        self._directory = directory
        self._leaders: list[subprocess.Popen[bytes]] = []
        self.signals = Signals()
        self.container = engine.add("web", script=self._script())
        asked = client.Engine(engine.path, fake_state.API, http.wait_ready)
        attached = asked.attach(self.container.id)
        exit_wait = asked.wait(self.container.id)
        engine.begin(self.container)
        exit_fd, received = exit_wait.parts()
        output = fake_state.open_output(directory, Fd(attached.stream.detach()))
        self.supervisor = self._supervisor(output, ExitWaitState(Fd(exit_fd), received), stop)

    def _supervisor(self, output: OutputState, exit_wait: ExitWaitState, stop: StopPolicy) -> Supervisor:
        state = replace(
            fake_state.PLAIN,
            engine=fake_state.address(self.engine),
            container=fake_state.container_state(self.container, self.leader.pid),
            exit_wait=exit_wait,
            output=output,
            stop=stop,
        )
        return Supervisor(self.loop, state, read_unit({}), self.signals)

    def _script(self) -> Script:
        self._leaders.append(subprocess.Popen(["sleep", "1000"]))
        return Script(output=(), exit_code=None, pid=self.leader.pid)

    @property
    def leader(self) -> subprocess.Popen[bytes]:
        return self._leaders[-1]

    @property
    def phase(self) -> str:
        return self.supervisor.phase

    def begin(self) -> None:
        self.supervisor.begin(is_new=True)

    def kill_leader(self) -> None:
        """Have the leader die, without the engine's knowledge."""
        self.leader.kill()
        self.leader.wait()

    def finish(self, exit_code: int) -> None:
        """End the container, and have the engine know."""
        self.kill_leader()
        self.engine.finish("web", exit_code)

    def start_again(self) -> None:
        """As the engine does for `docker restart`."""
        self.container.script = self._script()
        self.engine.begin(self.container)

    def stop(self, signo: int = signal.SIGTERM) -> None:
        os.kill(os.getpid(), signo)
        self.loop.step(0.0)

    def reach(self, *phases: str) -> None:
        run_until(self.loop, lambda: self.phase in phases, f"one of {phases}, in {self.phase}")

    def turn(self, sec: float) -> None:
        self.clock.turn(self.loop, sec)

    def pause(self, sec: float) -> None:
        """Wait until nothing else is waited for than a pause of sec, and let it pass."""
        run_until(self.loop, lambda: self.loop.next_deadline() == self.clock() + sec, f"a pause of {sec} s")
        self.turn(sec)

    def ended(self) -> Ended:
        self.reach(life.ENDED)
        assert self.supervisor.ended is not None
        return self.supervisor.ended

    def output(self) -> bytes:
        return fake_state.files(self._directory)[STDOUT].read_bytes()

    def close(self) -> None:
        self.supervisor.close()
        service_state.close(self.supervisor.state)
        self.signals.close()
        for leader in self._leaders:
            leader.kill()
            leader.wait()
