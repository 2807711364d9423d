from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from systemd_docker.service.loop import Loop
from systemd_docker.service.requests import Requests
from systemd_docker.service.stop import Stopper
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
