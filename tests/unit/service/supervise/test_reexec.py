"""service.supervise.reexec: a new image with the PID, the descriptors and the signals of the old one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from systemd_docker import program
from systemd_docker.service.supervise import reexec
from systemd_docker.service.supervise.state import ServiceState

ROOT = Path(__file__).parents[4]


def run(program: str, *argv: str) -> list[str]:
    result = subprocess.run(
        [sys.executable, *argv] if argv else [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.splitlines()


def test_a_process_that_was_not_reexecuted_has_no_state() -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        reexec.resumed({program.RESUME_VARIABLE: "4096"})


CATCHES = """
import os, signal
from systemd_docker.kernel.signals import Signals
signals = Signals()
print(signals.has_caught(), end=" ")
os.kill(os.getpid(), signal.SIGTERM)
print(signals.has_caught(), signals.read(), signals.has_caught())
"""


def test_a_signal_is_caught_until_it_is_read() -> None:
    assert run(CATCHES) == ["False True [15] False"]


def test_a_process_that_has_caught_a_signal_does_not_execute_itself_again() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())

    reexec.reexec(ServiceState(), os.environ, lambda: True)

    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


PROGRAM = """
import os, signal, sys
from systemd_docker.frozen import replace
from systemd_docker.kernel.fd import Fd
from systemd_docker.service.output.state import OutputState
from systemd_docker.service.supervise import reexec
from systemd_docker.service.supervise.state import ServiceState
if "SYSTEMD_DOCKER_RESUME" not in os.environ:
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    os.kill(os.getpid(), signal.SIGTERM)
    reader, writer = os.pipe()
    os.write(writer, b"kept")
    print(os.getpid(), flush=True)
    reexec.reexec(replace(ServiceState(), output=OutputState(fd=Fd(reader))), os.environ, lambda: False)
    raise SystemExit("not resumed")
state = reexec.resumed(os.environ)
fd = state.output.fd
print(os.getpid(), os.read(fd, 9), signal.sigpending(), os.get_inheritable(fd))
"""


def test_a_new_image_has_the_pid_the_descriptors_and_the_signals_of_the_old(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)

    before, after = run("", str(program))

    assert after == f"{before} b'kept' {{<Signals.SIGTERM: 15>}} False"


REPLACED = """
import os, sys
from systemd_docker import program
from systemd_docker.service.supervise import reexec
from systemd_docker.service.supervise.state import ServiceState
assert "SYSTEMD_DOCKER_RESUME" not in os.environ, "executed again"
os.utime(program.__file__, ns=(1, 1))
try:
    reexec.reexec(ServiceState(), os.environ, lambda: False)
finally:
    os.utime(program.__file__)
print("in place")
"""


def test_a_program_that_was_replaced_on_disk_stays_in_place(tmp_path: Path) -> None:
    copy = tmp_path / "systemd_docker"
    subprocess.run(["cp", "-r", str(ROOT / "systemd_docker"), str(copy)], check=True)
    script = tmp_path / "program.py"
    script.write_text(f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{REPLACED}")

    assert run("", str(script)) == ["in place"]
