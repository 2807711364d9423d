"""The installed program as a process, with the fake engine, while another version is installed or it is removed."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from systemd_docker import program
from systemd_docker.commands import installed_files, program_archive
from tests.fakes.containers import RUNS
from tests.fakes.engine import FakeEngine

REST_TIMEOUT_SEC = 25

POLL_SEC = 0.02


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of the code under test."""
    path = tmp_path_factory.mktemp("built") / "program.zip"
    path.write_bytes(program_archive.build(Path(program.__file__).parent, {}))
    return path


class Installed:
    """The program installed in a directory of its own, with this interpreter's packages to import from."""

    def __init__(self, directory: Path, built: Path) -> None:
        self.archive = directory / "program.zip"
        self.launcher = directory / "systemd-docker"
        shutil.copy(built, self.archive)
        text = installed_files.LAUNCHER.format(
            python=sys.executable,
            archive=str(self.archive),
            import_path=[path for path in sys.path if path.endswith("-packages")],
            module="systemd_docker.__main__",
        )
        self.launcher.write_text(text)
        self.launcher.chmod(0o755)

    @contextlib.contextmanager
    def started(self, engine: FakeEngine) -> Iterator[subprocess.Popen[str]]:
        """Killed where a test fails before the process ends."""
        words = ["--adopt=none", "--log-level=warning", "run", "--rm", "--name", "web", "busybox:musl"]
        with subprocess.Popen(
            [self.launcher, *words],
            env={"PATH": os.environ["PATH"], "DOCKER_HOST": f"unix://{engine.path}"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def upgrade(self) -> None:
        """Install a version that nothing of the running one can be loaded from."""
        new = self.archive.with_name("new")
        new.write_bytes(b"another version")
        new.rename(self.archive)
        self.launcher.write_text("#!/bin/sh\nexit 99\n")

    def remove(self) -> None:
        self.archive.unlink()
        self.launcher.unlink()


def wait_until_executed_again(process: subprocess.Popen[str]) -> None:
    """Wait until the process has executed itself again at least once."""
    deadline = time.monotonic() + REST_TIMEOUT_SEC
    environ = Path(f"/proc/{process.pid}/environ")
    while program.RESUME_VARIABLE.encode() not in environ.read_bytes():
        assert time.monotonic() < deadline
        with contextlib.suppress(subprocess.TimeoutExpired):
            pytest.fail(f"ended with {process.wait(POLL_SEC)}")


@pytest.mark.parametrize("change", [Installed.upgrade, Installed.remove])
@pytest.mark.parametrize("when", ["in the first second", "at rest"])
def test_a_running_service_ends_as_if_nothing_had_happened(
    change: object, when: str, built: Path, engine: FakeEngine, tmp_path: Path
) -> None:
    engine.script = RUNS
    installed = Installed(tmp_path, built)
    with installed.started(engine) as process:
        engine.wait_for_request("GET /containers/*/json")
        if when == "at rest":
            wait_until_executed_again(process)

        assert callable(change)
        change(installed)
        wait_until_executed_again(process)
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=20)

    assert (process.returncode, stdout, stderr) == (-signal.SIGTERM, "", "")
    assert not engine.containers
