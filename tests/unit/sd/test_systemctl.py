from __future__ import annotations

import time
from pathlib import Path

import pytest

from systemd_docker.engine.http import wait_ready
from systemd_docker.sd.systemctl import Query, parse_show


def fake_systemctl(directory: Path, script: str) -> dict[str, str]:
    """An environment in which systemctl is a shell script."""
    program = directory / "systemctl"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return {"PATH": f"{directory}:/usr/bin:/bin", "NOTIFY_SOCKET": "/run/systemd/notify"}


def ask(directory: Path, script: str, *, is_user: bool = False, timeout_sec: float = 10) -> dict[str, list[str]]:
    environ = fake_systemctl(directory, script)
    query = Query("web.service", ("KillMode", "Type"), environ, is_user=is_user, program=f"{directory}/systemctl")
    return query.answer(wait_ready, time.monotonic() + timeout_sec)


def test_the_unit_and_its_properties_are_asked_for(tmp_path: Path) -> None:
    assert ask(tmp_path, 'echo "Args=$*"') == {"Args": ["show --property=KillMode,Type -- web.service"]}


def test_a_users_manager_is_asked_with_user(tmp_path: Path) -> None:
    assert ask(tmp_path, 'echo "First=$1"', is_user=True) == {"First": ["--user"]}


def test_the_notification_socket_is_not_handed_on(tmp_path: Path) -> None:
    assert ask(tmp_path, 'echo "Socket=$NOTIFY_SOCKET"') == {"Socket": [""]}


def test_a_systemctl_that_prints_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="systemctl show"):
        ask(tmp_path, "exit 1")


def test_a_manager_that_hangs_is_given_up_and_leaves_no_process(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError):
        ask(tmp_path, "exec sleep 60", timeout_sec=0.1)


def test_no_systemctl_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Query("web.service", ("Type",), {}, is_user=False, program=f"{tmp_path}/none")


@pytest.mark.parametrize(
    ("text", "shown"),
    [("A=1\nB=x=y\n\nC=\nA=2\n", {"A": ["1", "2"], "B": ["x=y"], "C": [""]}), ("nonsense", {}), ("", {})],
)
def test_show_is_read_line_by_line(text: str, shown: dict[str, list[str]]) -> None:
    assert parse_show(text) == shown
