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
inherited_fds.let_go()
print([fd for fd in (3, 4) if os.path.exists(f"/proc/self/fd/{{fd}}")])
"""

ROOT = Path(__file__).parents[3]


def passed_to(pid: str) -> list[str]:
    """What a process sees that gets two descriptors, for a process of that number."""

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


def test_what_is_passed_has_names_and_is_let_go() -> None:
    assert passed_to("str(os.getpid())") == [
        "((3, 'state'), (4, 'web.socket'))",
        "[]",
        "systemd-docker: the container does not get what systemd has passed: state, web.socket\n",
    ]


def test_what_is_anothers_is_left_alone() -> None:
    assert passed_to("'1'") == ["()", "[3, 4]", ""]


def test_nothing_is_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LISTEN_FDS", raising=False)

    assert listen_fds.passed_fds() == ()
