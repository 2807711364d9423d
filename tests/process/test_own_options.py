"""Every own option of a running service holds after its process has executed itself again."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from systemd_docker.options.own import OWN_FLAGS
from systemd_docker.plan.notify import MOUNT
from systemd_docker.program import RESUME_VARIABLE
from systemd_docker.service.supervise.limits import DRAIN_TIMEOUT_SEC
from tests.fakes.containers import STDOUT, Script
from tests.fakes.engine import FakeEngine
from tests.fakes.manager import Manager
from tests.process.program import FINISH_TIMEOUT_SEC, command, finish

LOOKS_PER_SEC = 50

WATCHDOG_USEC = 60_000_000
"""The engine is asked so seldom that no question is under way when the program wants to rest, even if busy."""

UNLUCKY_WATCHDOG_USEC = 6_000_000
"""The engine is asked every 2 s, which is when the program first tries to execute itself again, too."""


class Running:
    """A service of which a test sees everything: its engine, its leader, and what systemd is told."""

    def __init__(self, engine: FakeEngine, manager: Manager, directory: Path) -> None:
        self.engine, self.manager, self.directory = engine, manager, directory
        self.leader = subprocess.Popen(["sleep", "1000"])
        self.process: subprocess.Popen[str]

    def start(self, *own: str, watchdog_usec: int = WATCHDOG_USEC) -> None:
        """Return when the program has executed itself again."""
        self.engine.script = Script(output=(), exit_code=None, pid=self.leader.pid)
        environ = {
            "NOTIFY_SOCKET": self.manager.path,
            "WATCHDOG_USEC": str(watchdog_usec),
            "RUNTIME_DIRECTORY": str(self.directory),
        }
        words = ["--adopt=none", *own, "run", "--rm", "--name", "web", "--health-cmd=true", "busybox:musl"]
        release = self.engine.hold("POST /containers/*/start")
        self.process = command(self.engine, *words, environ=environ)
        self.engine.wait_for_request("POST /containers/*/start")
        self.engine.set_health("web", "starting")
        release()
        for _ in range(FINISH_TIMEOUT_SEC * LOOKS_PER_SEC):
            if self.has_executed_again:
                break
            with pytest.raises(subprocess.TimeoutExpired):
                self.process.wait(1 / LOOKS_PER_SEC)
        assert self.has_executed_again
        self.manager.received()

    @property
    def has_executed_again(self) -> bool:
        return f"{RESUME_VARIABLE}=".encode() in Path(f"/proc/{self.process.pid}/environ").read_bytes()

    def report(self, health: str) -> None:
        """Have the engine report this health now: an event from before the start would not count."""
        with self.engine.changed:
            self.engine.set_health("web", health)
            self.engine.events[-1]["timeNano"] = time.time_ns()

    def end(self, exit_code: int = 0) -> tuple[int, str, str]:
        """End the container; return what the program leaves."""
        self.kill_leader()
        self.engine.finish("web", exit_code)
        return finish(self.process)

    def kill_leader(self) -> None:
        self.leader.kill()
        self.leader.wait()

    def close(self) -> None:
        self.kill_leader()
        self.process.kill()
        finish(self.process)


@pytest.fixture
def running(engine: FakeEngine, tmp_path: Path) -> Iterator[Running]:
    manager = Manager(tmp_path / "manager")
    made = Running(engine, manager, tmp_path)
    yield made
    made.close()
    manager.close()


def exit_is_a_code(running: Running) -> None:
    running.start("--exit=code")

    assert running.end(143)[0] == 143


def nothing_is_relayed(running: Running) -> None:
    running.start("--logs=false")
    running.engine.write("web", b"later\n")

    assert running.end()[1] == ""


def output_is_dropped(running: Running) -> None:
    running.start("--log-overflow=drop")
    running.engine.write("web", b"x" * 99 + b"\n", STDOUT)
    for _ in range(100):
        running.engine.write("web", (b"x" * 99 + b"\n") * 100, STDOUT)
    running.kill_leader()
    running.engine.finish("web", 0)

    assert running.process.wait(DRAIN_TIMEOUT_SEC - 2) == 0
    assert "its reader is too slow" in finish(running.process)[2]


def debug_messages_are_logged(running: Running) -> None:
    running.start("--log-level=debug")

    assert "judging -> ending\n" in running.end()[2]


def the_file_is_removed(running: Running) -> None:
    path = running.directory / "pid"
    running.start(f"--pid-file={path}")
    assert path.read_text() == str(running.leader.pid)
    running.end()

    assert not path.exists()


def the_main_process_is_taken_back(running: Running) -> None:
    running.start("--main-pid=container")
    running.kill_leader()

    assert running.manager.expect("MAINPID=") == f"MAINPID={running.process.pid}"
    running.manager.release()
    assert running.end()[0] == 0


def ready_when_the_container_sends_it(running: Running) -> None:
    running.start("--sdnotify=container")
    (path,) = running.directory.glob("**/notify")
    assert MOUNT in str(running.engine.find("web").request)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as payload:
        payload.sendto(b"READY=1", str(path))

    assert running.manager.expect("READY=") == "READY=1"


def ready_when_healthy(running: Running) -> None:
    running.start("--sdnotify=healthy")
    running.report("healthy")

    assert running.manager.expect("READY=") == "READY=1"


def never_ready(running: Running) -> None:
    running.start("--sdnotify=ignore")
    running.report("healthy")
    running.end()

    assert running.manager.received() == []


def an_unhealthy_container_is_killed(running: Running) -> None:
    running.start("--health-on-failure=kill")
    running.report("unhealthy")

    assert running.engine.wait_for_request("POST /containers/*/kill").query == {"signal": "SIGKILL"}


def the_engine_keeps_the_watchdog_alive(running: Running) -> None:
    running.start("--watchdog=engine", watchdog_usec=UNLUCKY_WATCHDOG_USEC)

    assert running.manager.expect("WATCHDOG=") == "WATCHDOG=1"


CASES: list[tuple[str, Callable[[Running], None]]] = [
    ("exit", exit_is_a_code),
    ("health-on-failure", an_unhealthy_container_is_killed),
    ("log-level", debug_messages_are_logged),
    ("log-overflow", output_is_dropped),
    ("logs", nothing_is_relayed),
    ("main-pid", the_main_process_is_taken_back),
    ("pid-file", the_file_is_removed),
    ("sdnotify", ready_when_the_container_sends_it),
    ("sdnotify", ready_when_healthy),
    ("sdnotify", never_ready),
    ("watchdog", the_engine_keeps_the_watchdog_alive),
]

WITHOUT_A_CASE = {
    "adopt": "Needs a unit: test_restarted.py of service.supervise adopts a container that runs again.",
    "cgroups": "Needs cgroup v1: the state has the hierarchies; test_state.py of service.supervise.",
    "dry-run": "Nothing is started.",
    "env": "Part of the create request, and of nothing later.",
    "help": "Nothing is started.",
    "journal": "Needs journald: the state has the sink's fields; test_state.py of service.supervise.",
    "log-priority": "Needs journald: the state has the priorities; test_state.py of service.supervise.",
    "notify": "Another spelling of --sdnotify=container.",
    "print": "Belongs to --dry-run.",
    "replace": "Another container is removed before the new one is created, and never later.",
    "version": "Nothing is started.",
}
"""Own options that have no meaning after the start, or cannot show it here; each with the reason."""


@pytest.mark.parametrize(("option", "case"), CASES, ids=[f"{option}: {case.__name__}" for option, case in CASES])
def test_an_option_holds_after_the_program_has_executed_itself_again(
    option: str, case: Callable[[Running], None], running: Running
) -> None:
    case(running)


def test_every_option_has_a_case_or_a_reason() -> None:
    assert sorted({*WITHOUT_A_CASE} | {option for option, _ in CASES}) == sorted(flag.long for flag in OWN_FLAGS)
    assert not {*WITHOUT_A_CASE} & {option for option, _ in CASES}
