from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from systemd_docker.kernel.loop import Loop
from systemd_docker.service.engine_requests import Requests
from systemd_docker.service.supervise.stopper import Stopper
from tests.fakes.containers import Script
from tests.fakes.held import held

if TYPE_CHECKING:
    from tests.fakes.engine import FakeEngine

HANGS = Script(output=(), exit_code=None, ignores=frozenset({"ABRT"}))


@pytest.mark.parametrize(("shares", "signals"), [(True, ["KILL"]), (False, ["ABRT", "KILL"])])
def test_what_the_watchdog_aborts_is_aborted_once_and_then_killed(
    engine: FakeEngine, signals: list[str], *, shares: bool
) -> None:
    container = engine.add("web", script=HANGS)
    engine.begin(container)
    loop = Loop()
    requests = Requests(loop, engine.path, (1, 45))
    record = held(id=container.id, shares_manager_signals=shares, stop_timeout_sec=0.1)
    stopper = Stopper(loop, record, requests)

    stopper.handle(signal.SIGABRT)
    loop.run_until(lambda: stopper.killed and not requests.are_open)

    assert stopper.stopped_by == signal.SIGABRT
    assert container.signals == signals
    requests.close()


@pytest.mark.parametrize("by_manager", [True, False])
def test_an_engine_that_takes_requests_and_does_nothing_does_not_keep_the_payload_alive(
    tmp_path: Path, *, by_manager: bool
) -> None:
    """As one that is stopped by SIGSTOP: its socket goes on accepting."""
    path = str(tmp_path / "docker.sock")
    loop = Loop()
    requests = Requests(loop, path, (1, 45))
    with socket.socket(socket.AF_UNIX) as frozen, subprocess.Popen(["sleep", "60"]) as payload:
        frozen.bind(path)
        frozen.listen()
        pidfd = os.pidfd_open(payload.pid)
        record = held(manager_signals_payload=by_manager, stop_timeout_sec=0.1, patience_sec=0.2, pidfd=pidfd)
        stopper = Stopper(loop, record, requests)

        stopper.handle(signal.SIGTERM)
        loop.watch(pidfd, select.POLLIN, lambda: loop.unwatch(pidfd))
        loop.run_until(lambda: payload.poll() is not None)

        assert payload.returncode == -signal.SIGKILL
        requests.close()
        os.close(pidfd)


@pytest.mark.parametrize(
    ("came", "signals"),
    [
        ([signal.SIGTERM, signal.SIGCONT], ["KILL"]),
        ([signal.SIGCONT, signal.SIGTERM], ["KILL"]),
        ([signal.SIGTERM], ["TERM"]),
    ],
)
def test_a_payload_is_asked_to_stop_where_the_manager_has_not_done_it(
    engine: FakeEngine, came: list[int], signals: list[str]
) -> None:
    container = engine.add("web", script=Script(output=(), exit_code=None))
    engine.begin(container)
    loop = Loop()
    requests = Requests(loop, engine.path, (1, 45))
    record = held(id=container.id, manager_signals_payload=True, stop_timeout_sec=1, patience_sec=30)
    stopper = Stopper(loop, record, requests)

    for signo in came:
        stopper.handle(signo)
    loop.run_until(lambda: bool(container.signals) and not requests.are_open)

    assert container.signals == signals
    requests.close()
