"""service.supervise.lifetime: from a running container to how this process has to end."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from systemd_docker import log
from systemd_docker.errors import EngineUnreachableError
from systemd_docker.frozen import replace
from systemd_docker.kernel.fd import NO_FD, Fd
from systemd_docker.kernel.signals import Signals
from systemd_docker.service.exit_status import Ending
from systemd_docker.service.exit_wait import ExitWaitState
from systemd_docker.service.notifications.state import NotifyState
from systemd_docker.service.stop_policy import StopPolicy
from systemd_docker.service.supervise.clean_up import CleanUp
from systemd_docker.service.supervise.lifetime import resume, supervise
from systemd_docker.service.supervise.state import ServiceState
from systemd_docker.unit import read_unit
from tests.fakes import state as fake_state
from tests.fakes.containers import Script
from tests.fakes.engine import FakeEngine

UNIT = read_unit({})


@pytest.fixture
def state(engine: FakeEngine, leader: subprocess.Popen[bytes]) -> ServiceState:
    """A running container whose engine has been lost: the supervisor looks for it at once."""
    container = engine.add("web", script=Script(output=(), exit_code=None, pid=leader.pid))
    engine.begin(container)
    return replace(
        fake_state.state_of(engine, container),
        container=fake_state.container_state(container, leader.pid),
        stop=StopPolicy(timeout_sec=1.0, budget_sec=2.0),
        clean_up=CleanUp(removes=True),
    )


def end(engine: FakeEngine, leader: subprocess.Popen[bytes], exit_code: int) -> None:
    engine.finish("web", exit_code)
    leader.kill()
    leader.wait()


def test_an_ended_container_is_removed_with_all_that_it_leaves(
    engine: FakeEngine, leader: subprocess.Popen[bytes], state: ServiceState, signals: Signals, tmp_path: Path
) -> None:
    pid_file, socket_file, directory = tmp_path / "pid", tmp_path / "n" / "notify", tmp_path / "n"
    pid_file.write_text(str(leader.pid))
    directory.mkdir()
    socket_file.touch()
    guard, guard_fd = os.pipe()
    clean_up = CleanUp(True, str(pid_file), (str(socket_file),), (str(directory),))
    state = replace(state, clean_up=clean_up, notify=NotifyState(guard_fd=Fd(guard_fd)))
    end(engine, leader, 3)

    ending = supervise(state, UNIT, signals, is_new=True)

    assert ending == Ending(3)
    assert not engine.containers
    assert not pid_file.exists()
    assert not directory.exists()
    assert os.read(guard, 10) == b"\n", "the guard was dismissed"
    os.close(guard)


def test_a_container_that_is_to_stay_stays(
    engine: FakeEngine, leader: subprocess.Popen[bytes], state: ServiceState, signals: Signals
) -> None:
    end(engine, leader, 143)

    ending = supervise(replace(state, as_code=True, clean_up=CleanUp()), UNIT, signals, is_new=False)

    assert ending == Ending(143)
    assert engine.find("web").status == "exited"


def test_a_stop_whose_exit_code_the_engine_cannot_tell_counts_as_its_signal(
    engine: FakeEngine,
    leader: subprocess.Popen[bytes],
    state: ServiceState,
    signals: Signals,
    logged: Callable[[], list[str]],
) -> None:
    engine.stop()
    leader.kill()
    os.kill(os.getpid(), signal.SIGTERM)

    assert supervise(state, UNIT, signals, is_new=False) == Ending(143, signal.SIGTERM)

    assert any("no exit status for container 'web' from the engine, assuming signal 15" in line for line in logged())
    assert engine.containers, "an engine that is away removes nothing"


def test_an_end_that_the_engine_cannot_tell_is_an_error(
    engine: FakeEngine, leader: subprocess.Popen[bytes], state: ServiceState, signals: Signals
) -> None:
    engine.remove(engine.find("web"))
    leader.kill()

    with pytest.raises(EngineUnreachableError, match="container 'web' has ended, and the engine cannot tell"):
        supervise(state, UNIT, signals, is_new=False)


def test_a_failure_of_the_supervisor_leaves_the_container_and_closes_everything(
    engine: FakeEngine, state: ServiceState, signals: Signals, logged: Callable[[], list[str]]
) -> None:
    """Its descriptors are none: a bug, as far as the supervisor can tell. Here it fails once it watches."""
    os.close(state.container.pidfd)
    broken = replace(state, container=replace(state.container, pidfd=NO_FD), exit_wait=ExitWaitState(Fd(2**20)))

    with pytest.raises(OSError, match="Bad file descriptor"):
        supervise(broken, UNIT, signals, is_new=False)

    assert engine.find("web").is_running
    assert any("stops supervising container 'web', which is left as it is" in line for line in logged())


def test_a_new_image_continues_with_its_log_level_and_ends_the_same_way(
    engine: FakeEngine, leader: subprocess.Popen[bytes], state: ServiceState, logged: Callable[[], list[str]]
) -> None:
    end(engine, leader, 5)

    assert resume(replace(state, log_level=log.LEVELS["error"]), UNIT) == Ending(5)

    assert log.messages.threshold == log.LEVELS["error"]
    assert logged() == []
