from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from systemd_docker.sd import listen_fds

PROGRAM = """
import os
os.environ["LISTEN_PID"] = {pid}
from systemd_docker.sd import listen_fds
from systemd_docker.service.start import inherited_fds
print(listen_fds.passed_fds())
inherited_fds.close_all()
print([fd for fd in (3, 4) if os.path.exists(f"/proc/self/fd/{{fd}}")])
"""

ROOT = Path(__file__).parents[3]


def passed_to(pid: str) -> list[str]:
    """The output of a process that inherits two descriptors, which are passed to the process of that number."""

    def pass_fds() -> None:
        os.dup2(1, 3)
        os.dup2(1, 4)

    result = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(pid=pid)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "LISTEN_FDS": "2", "LISTEN_FDNAMES": "state:web.socket"},
        capture_output=True,
        text=True,
        check=True,
        pass_fds=(3, 4),
        preexec_fn=pass_fds,
    )
    return [*result.stdout.splitlines(), result.stderr]


def test_passed_descriptors_have_names_and_are_closed() -> None:
    assert passed_to("str(os.getpid())") == [
        "((3, 'state'), (4, 'web.socket'))",
        "[]",
        "systemd-docker: closing descriptors passed by systemd, containers cannot inherit them: state, web.socket\n",
    ]


def test_descriptors_for_another_process_stay() -> None:
    assert passed_to("'1'") == ["()", "[3, 4]", ""]


def test_nothing_is_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LISTEN_FDS", raising=False)

    assert listen_fds.passed_fds() == ()


def test_a_descriptor_that_is_not_open_is_a_warning() -> None:
    program = """
import os
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
from systemd_docker.service.start import inherited_fds
inherited_fds.close_all()
"""
    result = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "cannot close the descriptors passed by systemd (LISTEN_FDS=): Bad file descriptor" in result.stderr
