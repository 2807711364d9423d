"""service.supervise.restarted: a new leader becomes what the old one was: in the PID file, the unit, and MAINPID=."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from systemd_docker.frozen import replace
from systemd_docker.kernel.fd import Fd
from systemd_docker.kernel.loop import Loop
from systemd_docker.sd.notify import Notifier
from systemd_docker.service.adoption.state import AdoptionState
from systemd_docker.service.container_state import ContainerState
from systemd_docker.service.notifications.main_pid import MainPid
from systemd_docker.service.notifications.state import NotifyState
from systemd_docker.service.supervise.clean_up import CleanUp
from systemd_docker.service.supervise.restarted import take_up
from systemd_docker.service.supervise.state import ServiceState
from systemd_docker.unit import read_unit
from tests.fakes import state as fake_state
from tests.fakes.manager import Manager


@pytest.fixture
def main_pid(loop: Loop, manager: Manager) -> Iterator[MainPid]:
    made = MainPid(loop, Notifier(manager.path), is_leader=False, on_settled=lambda: None)
    yield made
    made.close()


@pytest.fixture
def state(leader: subprocess.Popen[bytes]) -> Iterator[ServiceState]:
    pidfd = os.pidfd_open(leader.pid)
    container = ContainerState("ab" * 32, "web", leader.pid, Fd(pidfd))
    yield replace(fake_state.PLAIN, container=container)
    os.close(pidfd)


def test_a_container_without_a_leader_changes_nothing(main_pid: MainPid, logged: Callable[[], list[str]]) -> None:
    assert take_up(fake_state.PLAIN, read_unit({}), main_pid) is fake_state.PLAIN
    assert logged() == []


def test_the_new_leader_is_logged_and_is_the_main_process_where_the_old_one_was(
    state: ServiceState, main_pid: MainPid, manager: Manager, logged: Callable[[], list[str]]
) -> None:
    state = replace(state, notify=NotifyState(manager.path, leader_is_main=True))

    taken = take_up(state, read_unit({}), main_pid)

    assert taken.adoption == state.adoption
    assert main_pid.is_leader
    assert f"MAINPID={state.container.leader}" in manager.received()
    assert logged()[0].endswith(f"container 'web' was started again, with process {state.container.leader}")


def test_the_new_leader_is_no_main_process_where_the_old_one_was_none(
    state: ServiceState, main_pid: MainPid, manager: Manager
) -> None:
    take_up(state, read_unit({}), main_pid)

    assert not main_pid.is_leader


def test_the_pid_file_names_the_new_leader(state: ServiceState, main_pid: MainPid, tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text("1")
    state = replace(state, clean_up=CleanUp(pid_file=str(path)))

    take_up(state, read_unit({}), main_pid)

    assert path.read_text() == str(state.container.leader)


def test_a_pid_file_that_cannot_be_written_is_a_warning_and_no_more(
    state: ServiceState, main_pid: MainPid, tmp_path: Path, logged: Callable[[], list[str]]
) -> None:
    state = replace(state, clean_up=CleanUp(pid_file=str(tmp_path / "gone" / "pid")))

    assert take_up(state, read_unit({}), main_pid).container == state.container

    assert any("it names the process of the container's last run" in line for line in logged())


def test_a_leader_that_cannot_become_part_of_the_unit_is_killed(
    state: ServiceState,
    leader: subprocess.Popen[bytes],
    main_pid: MainPid,
    logged: Callable[[], list[str]],
) -> None:
    """The process is in another cgroup than "parent" promises: there is no unit here."""
    state = replace(state, adoption=AdoptionState("parent"))

    assert take_up(state, read_unit({}), main_pid) is state

    assert leader.wait(timeout=10) == -signal.SIGKILL
    assert "killing container 'web', which was started again outside of" in logged()[-1]
    assert not main_pid.is_leader
