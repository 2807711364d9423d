"""service.supervise.supervisor: what the engine's reason for an end changes."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from systemd_docker.service.exit_status import Ended, Outcome
from systemd_docker.service.recovery.judgement import HURRIED_SEC
from systemd_docker.service.supervise import lifecycle as life
from tests.fakes.service import Service


def happen_now(service: Service) -> None:
    """Have the engine's events happen now, in their order."""
    now_nsec = time.time_ns() - 10**9
    for number, event in enumerate(service.engine.events):
        event["timeNano"] = now_nsec + number


def test_a_stop_that_the_engine_had_to_end_by_force_is_a_stop_all_the_same(service: Service) -> None:
    """`docker stop` of a payload that ignores SIGTERM."""
    service.begin()
    with service.engine.changed:
        for number in (signal.SIGTERM, signal.SIGKILL):
            service.engine.emit(service.container, "kill", signal=str(int(number)))
        service.engine.finish("web", 137)
        service.engine.remove(service.container)
        happen_now(service)
    service.kill_leader()

    ended = service.ended()

    assert ended == Ended(Outcome(137, signal.SIGTERM, killed=True), signal.SIGTERM, may_remove=True)


def test_an_end_by_the_memory_limit_is_logged_with_a_remedy(
    service: Service, logged: Callable[[], list[str]]
) -> None:
    service.begin()
    service.engine.finish("web", 137, oom_killed=True)
    service.kill_leader()
    service.reach(life.ENDED)

    assert any("container 'web' ran out of memory and was killed" in line for line in logged())
    assert any("MemoryMax=" in line for line in logged())


def test_a_stop_limits_the_wait_for_the_engines_reason(service: Service) -> None:
    release = service.engine.hold("GET /events")
    service.begin()
    service.finish(3)
    service.reach(life.JUDGING)
    service.stop()
    service.turn(HURRIED_SEC - 0.1)
    assert service.phase == life.JUDGING

    service.turn(0.2)

    ended = service.ended()
    release()
    assert ended.outcome is not None
    assert ended.outcome.exit_code == 3
