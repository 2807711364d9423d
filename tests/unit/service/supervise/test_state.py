from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from systemd_docker.service.output.relay import NO_LINE
from systemd_docker.service.supervise import reexec
from systemd_docker.service.supervise import state as held_room
from tests.fakes.held import held

HELD = held(
    api=(1, 45),
    stop_signal="SIGQUIT",
    leader=41,
    leader_is_main=True,
    files=("/run/x/notify",),
    directories=("/run/x",),
    tails={1: (1.5, b"x")},
    frame=(b"\x01\0", 1, 0),
    early_output=b"\xff\0",
    exit_received=b"HTTP/1.1 200 OK\r\n\r\n",
    health_since_nsec=1767225600 * 10**9,
    record_fields=b"CONTAINER_NAME=web\n",
    unfinished=((b"no end", 1, b"ab", 6), NO_LINE),
)


def test_what_is_held_survives_being_written_down() -> None:
    assert held_room.load(held_room.dump(HELD)) == HELD


def test_a_process_that_nobody_resumed_holds_nothing() -> None:
    assert reexec.resumed({}) is None
    assert reexec.resumed({reexec.VARIABLE: "nonsense"}) is None


CATCHES = """
import os, signal
from systemd_docker.kernel.signals import Signals
signals = Signals()
print(signals.has_caught(), end=" ")
os.kill(os.getpid(), signal.SIGTERM)
print(signals.has_caught(), signals.read(), signals.has_caught())
"""


def test_a_signal_is_caught_until_it_is_read() -> None:
    result = subprocess.run([sys.executable, "-c", CATCHES], capture_output=True, text=True, check=True)

    assert result.stdout == "False True [15] False\n"


def test_who_has_caught_a_signal_does_not_rest() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())

    reexec.rest(HELD, os.environ, lambda: True)

    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


PROGRAM = """
import os, signal, sys
from systemd_docker.frozen import replace
from systemd_docker.service.supervise import state
from systemd_docker.service.supervise import reexec
sys.path.insert(0, {tests!r})
held = reexec.resumed(os.environ)
if held is None:
    from tests.unit.service.supervise.test_state import HELD
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    os.kill(os.getpid(), signal.SIGTERM)
    reader, writer = os.pipe()
    os.write(writer, b"kept")
    print(os.getpid(), flush=True)
    reexec.rest(replace(HELD, output_fd=reader), os.environ, lambda: False)
    raise SystemExit("not resumed")
heavy = [name for name in ("json", "socket", "re", "systemd_docker.options.flags") if name in sys.modules]
print(os.getpid(), os.read(held.output_fd, 9), signal.sigpending(), os.get_inheritable(held.output_fd), heavy)
"""


def test_a_new_image_has_the_pid_the_descriptors_and_the_signals_of_the_old(tmp_path: Path) -> None:
    root = Path(__file__).parents[4]
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(tests=str(root)))

    result = subprocess.run(
        [sys.executable, str(program)],
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )

    pid, after = result.stdout.splitlines()
    assert after == f"{pid} b'kept' {{<Signals.SIGTERM: 15>}} False []"
