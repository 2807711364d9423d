"""`systemd-docker run` after its start: ends that the engine does not explain, and an engine that is not itself."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from systemd_docker.kernel.cgroup import Cgroup, read_hierarchies, read_proc_cgroup
from systemd_docker.sd import journal
from tests.fakes.containers import RUNS, Script
from tests.fakes.engine import FakeEngine
from tests.process.program import ARGV, command, environ_of, finish

STOP_SEC = 5
"""Less than a stop's budget without a unit, and than any question to the engine."""


def run_web(engine: FakeEngine, *own: str, script: Script = RUNS) -> subprocess.Popen[str]:
    """Return the program once it supervises its container."""
    engine.script = script
    process = command(engine, "--adopt=none", *own, "run", "--rm", "--name", "web", "busybox:musl")
    assert process.stderr is not None
    assert "adoption none" in process.stderr.readline()
    return process


@pytest.fixture
def unit_cgroup() -> Iterator[Cgroup]:
    """A cgroup that makes a process in it one of web.service, as far as the process can tell."""
    own = read_hierarchies().of_service(read_proc_cgroup("self"))
    above = own.child(f"systemd-docker-test-{os.getpid()}")
    made = above.child("web.service")
    try:
        above.make()
        made.make()
    except OSError as error:
        pytest.skip(f"needs a writable cgroup hierarchy: {error}")
    yield made
    above.remove()


def test_a_stop_cuts_the_question_short_why_a_container_was_killed(engine: FakeEngine) -> None:
    process = run_web(engine)
    asked = len(engine.matching("GET /containers/*/json"))
    release_facts = engine.hold("GET /containers/*/json")
    release_events = engine.hold("GET /events")
    engine.finish("web", 137)
    asks = (lambda: engine.matching("GET /events"), lambda: len(engine.matching("GET /containers/*/json")) > asked)
    engine.wait_for(lambda: any(ask() for ask in asks), what="the question why it ended")
    process.send_signal(signal.SIGTERM)

    assert process.wait(STOP_SEC) == -signal.SIGKILL
    release_facts()
    release_events()

    finish(process)
    assert not engine.containers


def test_a_stop_cuts_a_start_short_that_waits_for_a_leftovers_end(engine: FakeEngine, unit_cgroup: Cgroup) -> None:
    """Without an answer to the request that kills it."""
    label = {"systemd-docker.unit": "web.service", "systemd-docker.invocation": "then"}
    engine.begin(engine.add("old", script=RUNS, request={"Labels": label}))
    release = engine.hold("POST /containers/*/kill")
    inside = ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', unit_cgroup.directory, *ARGV]
    words = ["--adopt=none", "run", "--name", "web", "busybox:musl"]
    process = subprocess.Popen(
        [*inside, *words], env=environ_of(engine), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    engine.wait_for_request("POST /containers/*/kill")
    process.send_signal(signal.SIGTERM)

    assert process.wait(STOP_SEC) == -signal.SIGTERM
    release()
    finish(process)


def test_a_wait_that_is_refused_after_the_engines_restart_loses_no_container(engine: FakeEngine) -> None:
    process = run_web(engine)
    engine.fail("POST /containers/*/wait", 500, "context deadline exceeded")
    asked = len(engine.matching("POST /containers/*/wait"))
    engine.stop()
    engine.start()
    engine.wait_for_request("POST /containers/*/wait", count=asked + 2)

    assert process.poll() is None
    assert engine.find("web").is_running

    engine.finish("web", 3)
    returncode, _, stderr = finish(process)
    assert returncode == 3, stderr
    assert not engine.containers


@pytest.mark.skipif(os.path.exists(journal.STREAM_SOCKET), reason="needs a machine without journald")
def test_without_journald_the_unit_is_not_reported_as_ready(engine: FakeEngine, tmp_path: Path) -> None:
    engine.script = RUNS
    reader, writer = os.pipe()
    stream = os.fstat(writer)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as manager:
        manager.bind(str(tmp_path / "notify"))
        environ = {
            "NOTIFY_SOCKET": str(tmp_path / "notify"),
            "JOURNAL_STREAM": f"{stream.st_dev}:{stream.st_ino}",
        }
        words = ["--adopt=none", "run", "--rm", "--name", "web", "busybox:musl"]
        process = command(engine, *words, environ=environ, stdout=writer)
        os.close(writer)
        returncode, _, stderr = finish(process)
        os.close(reader)
        told = []
        try:
            while True:
                told.append(manager.recv(4096).decode())
        except BlockingIOError:
            pass

    assert returncode == 125
    assert journal.STREAM_SOCKET in stderr
    assert not any("READY=1" in message for message in told)
    assert not engine.containers
