from __future__ import annotations

import time
from pathlib import Path

import pytest

from systemd_docker.sd.systemctl import Question, parse_show


def fake_systemctl(directory: Path, script: str) -> dict[str, str]:
    """An environment in which systemctl is a shell script."""
    program = directory / "systemctl"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return {"PATH": f"{directory}:/usr/bin:/bin", "NOTIFY_SOCKET": "/run/systemd/notify"}


def ask(directory: Path, script: str, *, user: bool = False, timeout_sec: float = 10) -> dict[str, str]:
    environ = fake_systemctl(directory, script)
    question = Question("web.service", ("KillMode", "Type"), environ, user=user, program=f"{directory}/systemctl")
    return question.answer(time.monotonic() + timeout_sec)


def test_the_unit_and_its_properties_are_asked_for(tmp_path: Path) -> None:
    assert ask(tmp_path, 'echo "Args=$*"') == {"Args": "show --property=KillMode,Type -- web.service"}


def test_a_users_manager_is_asked_with_user(tmp_path: Path) -> None:
    assert ask(tmp_path, 'echo "First=$1"', user=True) == {"First": "--user"}


def test_the_notification_socket_is_not_handed_on(tmp_path: Path) -> None:
    assert ask(tmp_path, 'echo "Socket=$NOTIFY_SOCKET"') == {"Socket": ""}


def test_a_manager_that_says_nothing_has_told_nothing(tmp_path: Path) -> None:
    assert ask(tmp_path, "exit 1") == {}


def test_a_manager_that_hangs_is_given_up_and_leaves_no_process(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError):
        ask(tmp_path, "exec sleep 60", timeout_sec=0.1)


def test_no_systemctl_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Question("web.service", ("Type",), {}, user=False, program=f"{tmp_path}/none")


@pytest.mark.parametrize(
    ("text", "shown"), [("A=1\nB=x=y\n\nC=\n", {"A": "1", "B": "x=y", "C": ""}), ("nonsense", {}), ("", {})]
)
def test_show_is_read_line_by_line(text: str, shown: dict[str, str]) -> None:
    assert parse_show(text) == shown
