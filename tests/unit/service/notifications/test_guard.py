from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from systemd_docker.engine.http import wait_ready
from systemd_docker.kernel.cgroup import Cgroup
from systemd_docker.kernel.fd import NO_FD
from systemd_docker.service.notifications import guard

PATIENCE_SEC = 20

pytestmark = pytest.mark.skipif(
    not any(os.access(f"{directory}/{guard.TELLER}", os.X_OK) for directory in guard.PATH.split(":")),
    reason=f"there is no {guard.TELLER}",
)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """A service manager's end of a notification socket, at tmp_path / "notify"."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE_SEC)
        yield manager


def receive(manager: socket.socket) -> list[str]:
    """The lines of one message; its descriptors are closed, which is the answer to BARRIER=1."""
    data, fds, _flags, _address = socket.recv_fds(manager, 4096, 8)
    for fd in fds:
        os.close(fd)
    return data.decode().splitlines()


def is_ready(fd: int, events: int = 0) -> bool:
    poll = select.poll()
    poll.register(fd, events)
    return bool(poll.poll(PATIENCE_SEC * 1000))


def test_a_process_that_dies_is_told_of_by_a_main_process_that_is_killed(
    manager: socket.socket, tmp_path: Path
) -> None:
    fd = guard.start(str(tmp_path / "notify"), guard.Place(), wait_ready)

    os.close(fd)

    lines = receive(manager)
    assert lines[1:] == ["STATUS=systemd-docker was killed"]
    name, _, pid = lines[0].partition("=")
    assert name == "MAINPID"
    pidfd = os.pidfd_open(int(pid))
    assert receive(manager) == ["BARRIER=1"], "it waits until the manager knows"
    assert is_ready(pidfd, select.POLLIN)
    os.close(pidfd)


def test_who_is_dismissed_says_nothing(manager: socket.socket, tmp_path: Path) -> None:
    fd = guard.start(str(tmp_path / "notify"), guard.Place(), wait_ready)

    guard.dismiss(fd)

    assert is_ready(fd), "nobody is at the other end any more"
    os.close(fd)
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        receive(manager)


def test_dismissing_who_is_gone_is_fine() -> None:
    reader, writer = os.pipe()
    os.close(reader)

    guard.dismiss(writer)

    os.close(writer)


def test_a_system_without_a_teller_has_no_guard(tmp_path: Path) -> None:
    assert guard.start("/nowhere", guard.Place(), wait_ready, path=str(tmp_path)) == NO_FD


def test_a_system_without_a_shell_has_no_guard() -> None:
    assert guard.start("/nowhere", guard.Place(), wait_ready, shell="/nonexistent") == NO_FD


def test_a_shell_that_does_not_come_back_is_killed(tmp_path: Path) -> None:
    shell = tmp_path / "sh"
    shell.write_text("#!/bin/sh\nexec sleep 60\n")
    shell.chmod(0o755)

    assert guard.start("/nowhere", guard.Place(), wait_ready, shell=str(shell), timeout_sec=0.1) == NO_FD


def test_a_guard_lives_in_its_own_cgroup_and_speaks_from_the_units(
    manager: socket.socket, tmp_path: Path, cgroup2: Cgroup
) -> None:
    home, unit = cgroup2.child("home"), cgroup2.child("unit")
    for each in (home, unit):
        each.make()
    place = guard.Place(f"{home.directory}/cgroup.procs", f"{unit.directory}/cgroup.procs")
    fd = guard.start(str(tmp_path / "notify"), place, wait_ready)
    assert home.wait_for("populated 1", time.monotonic() + PATIENCE_SEC)
    (pid,) = home.pids()
    assert Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0] == guard.NAME.encode()

    os.close(fd)

    assert receive(manager)[0] == f"MAINPID={pid}"
    assert unit.pids() >= {pid}
    receive(manager)
    assert unit.wait_for("populated 0", time.monotonic() + PATIENCE_SEC)


def test_a_guard_without_a_home_stays_in_the_unit(tmp_path: Path) -> None:
    assert guard.place_of(str(tmp_path), "/system.slice/web.service") == guard.Place()


def test_a_guard_lives_where_both_cgroups_can_be_written(tmp_path: Path) -> None:
    for path in (guard.HOME, "system.slice/web.service/supervisor"):
        (tmp_path / path).mkdir(parents=True)
        (tmp_path / path / "cgroup.procs").touch()

    assert guard.place_of(str(tmp_path), "/system.slice/web.service/supervisor") == guard.Place(
        f"{tmp_path}/{guard.HOME}/cgroup.procs", f"{tmp_path}/system.slice/web.service/supervisor/cgroup.procs"
    )
