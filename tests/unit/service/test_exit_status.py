from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from systemd_docker.kernel.signals import signal_number
from systemd_docker.service.exit_status import Ending, Outcome, ending_of


@pytest.mark.parametrize(
    ("outcome", "as_code", "expected"),
    [
        (Outcome(0), False, Ending(0)),
        (Outcome(3), False, Ending(3)),
        (Outcome(128), False, Ending(128)),
        (Outcome(143), False, Ending(143, signal.SIGTERM)),
        (Outcome(139), False, Ending(139, signal.SIGSEGV)),
        (Outcome(137), False, Ending(137, signal.SIGKILL)),
        (Outcome(128 + signal.SIGCHLD), False, Ending(145)),
        (Outcome(128 + signal.SIGSTOP), False, Ending(147)),
        (Outcome(255), False, Ending(255)),
        (Outcome(143), True, Ending(143)),
        (Outcome(139), True, Ending(139)),
        (Outcome(137, stopped_by=signal.SIGTERM, killed=True), False, Ending(143, signal.SIGTERM)),
        (Outcome(137, stopped_by=signal.SIGTERM, killed=True), True, Ending(0)),
        (Outcome(137, stopped_by=signal.SIGTERM), False, Ending(137, signal.SIGKILL)),
        (Outcome(3, stopped_by=signal.SIGTERM, killed=True), False, Ending(3)),
        (Outcome(2, stopped_by=signal.SIGTERM, at_start=True), False, Ending(143, signal.SIGTERM)),
        (Outcome(2, stopped_by=signal.SIGINT, at_start=True), True, Ending(0)),
        (Outcome(2, stopped_by=signal.SIGTERM), False, Ending(2)),
        (Outcome(3, stopped_by=signal.SIGTERM, at_start=True), False, Ending(3)),
    ],
)
def test_a_unit_ends_as_its_container_did(outcome: Outcome, *, as_code: bool, expected: Ending) -> None:
    assert ending_of(outcome, as_code=as_code) == expected


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGSEGV, signal.SIGKILL, signal.SIGHUP])
def test_ending_by_a_signal_is_dying_of_it(signo: signal.Signals) -> None:
    code = f"from systemd_docker.service.exit_status import *; end(Ending(128 + {signo:d}, {signo:d}))"

    result = subprocess.run([sys.executable, "-c", code], check=False)

    assert result.returncode == -signo


def test_a_signal_of_the_payloads_leaves_no_core_of_ours() -> None:
    code = "from systemd_docker.service.exit_status import *; end(Ending(139, 11))"

    process = subprocess.Popen([sys.executable, "-c", code])
    _, status = os.waitpid(process.pid, 0)
    process.returncode = 0

    assert os.WTERMSIG(status) == signal.SIGSEGV
    assert not os.WCOREDUMP(status)


def test_ending_with_a_status_is_exiting_with_it() -> None:
    code = "from systemd_docker.service.exit_status import *; end(Ending(42))"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 42


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("", 15),
        ("SIGTERM", 15),
        ("quit", 3),
        ("SIGQUIT", 3),
        ("9", 9),
        ("SIGRTMIN+3", signal.SIGRTMIN + 3),
        ("RTMAX-1", signal.SIGRTMAX - 1),
        ("SIG_DFL", 0),
        ("SIGNONSENSE", 0),
    ],
)
def test_a_stop_signal_is_understood_however_it_is_written(name: str, number: int) -> None:
    assert signal_number(name) == number
