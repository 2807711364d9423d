"""Each request that a running service sends, refused, cut off, garbled and held, in each state that sends it.

Whatever the engine does: a leader that lives is not taken for ended, the container is not removed, no line of output
is lost, and a stop comes to its end in the unit's time.
"""

from __future__ import annotations

import dataclasses
import signal
import time
from collections.abc import Callable

import pytest

from systemd_docker.service.exit_status import Outcome
from systemd_docker.service.supervise import lifecycle as life
from tests.fakes.clock import run_until
from tests.fakes.service import STOP, Service

GARBAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n\xff not json"

FAULTS = ("400", "404", "409", "500", "503", "cut", "garbled", "held")


def break_request(service: Service, pattern: str, fault: str) -> Callable[[], None]:
    """Have the engine fail the next request like pattern; return what lets a held one go on."""
    match fault:
        case "cut":
            service.engine.cut(pattern, 25)
        case "garbled":
            service.engine.answer_with(pattern, GARBAGE)
        case "held":
            return service.engine.hold(pattern)
        case status:
            service.engine.fail(pattern, int(status), "the engine is not itself")
    return lambda: None


def let_time_pass(service: Service, is_over: Callable[[], bool], what: str) -> None:
    """Turn the clock from deadline to deadline until is_over, giving the engine real time to answer in between."""
    for _ in range(60):
        for _ in range(10):
            service.loop.step(0.01)
            if is_over():
                return
        service.turn(max(0.0, (service.loop.next_deadline() or service.clock()) - service.clock()))
    raise AssertionError(f"gave up waiting for {what}, in {service.phase}")


RECOVERING = ("GET /containers/*/json", "GET /containers/*/logs", "POST /containers/*/wait")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("pattern", RECOVERING)
def test_recovery_survives_any_fault_of_any_request(pattern: str, fault: str, service: Service) -> None:
    service.begin()
    service.engine.write("web", b"before\n")
    run_until(service.loop, lambda: service.output() == b"before\n", "the output")
    release = break_request(service, pattern, fault)
    service.engine.hang_up()
    service.reach(life.LOST)
    service.engine.write("web", b"meanwhile\n")
    is_gone = (pattern, fault) == ("GET /containers/*/json", "404")
    let_time_pass(service, lambda: service.phase in (life.RUNNING, life.ENDED), "an end of the recovery")
    release()

    assert not service.engine.matching("DELETE *")
    assert service.leader.poll() is None
    if is_gone:
        assert service.phase == life.ENDED, "the engine's word that there is no such container is an ending"
        return
    assert service.phase == life.RUNNING
    if (pattern, fault) == ("GET /containers/*/logs", "garbled"):
        # Output that makes no sense has ended, and is asked for again a moment later.
        let_time_pass(service, lambda: service.phase == life.LOST, "the output to be missed")
        let_time_pass(service, lambda: service.phase == life.RUNNING, "the output")
    service.engine.write("web", b"after\n")
    service.finish(6)
    let_time_pass(service, lambda: service.phase == life.ENDED, "the end")
    assert service.ended().outcome == Outcome(6)
    if fault in ("400", "404", "409") and pattern == "GET /containers/*/logs":
        # An engine that has no log of the container: what it wrote meanwhile is lost, and that is logged.
        assert service.output() == b"before\nafter\n"
    else:
        assert service.output() == b"before\nmeanwhile\nafter\n"


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("pattern", ["POST /containers/*/stop", "POST /containers/*/kill"])
def test_a_stop_comes_to_its_end_whatever_the_engine_answers(pattern: str, fault: str, service: Service) -> None:
    service.begin()
    service.container.script = dataclasses.replace(service.container.script, ignores=frozenset({"TERM"}))
    release = break_request(service, pattern, fault)
    began = service.clock()
    service.stop()
    if pattern.endswith("kill"):
        break_request(service, "POST /containers/*/stop", "500")
    let_time_pass(
        service, lambda: service.leader.poll() is not None or "KILL" in service.container.signals, "SIGKILL"
    )
    release()
    service.kill_leader()
    if service.container.is_running:
        service.engine.finish("web", 137)
    let_time_pass(service, lambda: service.phase == life.ENDED, "the end")

    assert service.clock() - began <= STOP.budget_sec
    assert service.ended().outcome == Outcome(137, signal.SIGTERM, killed=True, at_start=True)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_judgement_ends_whatever_the_engine_answers(fault: str, service: Service) -> None:
    service.begin()
    release = break_request(service, "GET /events", fault)
    service.finish(3)
    let_time_pass(service, lambda: service.phase == life.ENDED, "the end")
    release()

    assert service.ended().outcome == Outcome(3)
    assert service.ended().may_remove


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("pattern", ["GET /events", *RECOVERING])
def test_a_docker_restart_goes_on_or_ends_and_never_hangs(pattern: str, fault: str, service: Service) -> None:
    service.begin()
    service.kill_leader()
    service.engine.signal(service.container, "TERM")
    now = time.time_ns() - 10**9
    for number, event in enumerate(service.engine.events):
        event["timeNano"] = now + number
    service.reach(life.RESTARTING)
    run_until(service.loop, lambda: len(service.engine.matching("GET /events")) == 2, "the subscription")
    release = break_request(service, pattern, fault)
    service.start_again()
    service.engine.events[-1]["timeNano"] = time.time_ns()
    let_time_pass(service, lambda: service.phase in (life.RUNNING, life.ENDED), "an end of the restart")
    release()

    assert service.leader.poll() is None, "the new leader is never killed"
    assert not service.engine.matching("DELETE *")
