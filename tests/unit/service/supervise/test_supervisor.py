"""service.supervise.supervisor: one container through each phase; a real leader, the fake engine, a turned clock."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from systemd_docker.frozen import replace
from systemd_docker.kernel.fd import NO_FD, Fd
from systemd_docker.kernel.loop import Loop
from systemd_docker.kernel.signals import Signals
from systemd_docker.service.container_state import ContainerState
from systemd_docker.service.exit_status import Ended, Outcome
from systemd_docker.service.exit_wait import ExitWaitState
from systemd_docker.service.notifications.state import HealthState, NotifyState
from systemd_docker.service.recovery.judgement import RESTART_GRACE_SEC
from systemd_docker.service.recovery.reattach import SETTLING_PAUSE_SEC, Found
from systemd_docker.service.supervise import lifecycle as life
from systemd_docker.service.supervise import state as service_state
from systemd_docker.service.supervise.limits import (
    DRAIN_TIMEOUT_SEC,
    OUTPUT_END_SEC,
    RETURN_TIMEOUT_SEC,
    SILENCE_SEC,
    STOPPED_RETURN_TIMEOUT_SEC,
)
from systemd_docker.service.supervise.reexec import REEXEC_AFTER_SEC
from systemd_docker.service.supervise.state import ServiceState
from systemd_docker.service.supervise.supervisor import Supervisor
from systemd_docker.unit import read_unit
from tests.fakes import state as fake_state
from tests.fakes.clock import Clock, run_until
from tests.fakes.containers import STDOUT
from tests.fakes.engine import FakeEngine
from tests.fakes.service import STOP, Service


def ended_by_itself(service: Service, exit_code: int) -> None:
    assert service.ended() == Ended(Outcome(exit_code), 0, may_remove=True)


# RUNNING


def test_a_container_that_ends_by_itself_ends_with_its_code_and_all_of_its_output(service: Service) -> None:
    service.begin()
    service.engine.write("web", b"first\n")
    service.engine.write("web", b"last\n")
    service.finish(3)

    ended_by_itself(service, 3)
    assert service.output() == b"first\nlast\n"


def test_a_stop_ends_a_container_that_obeys(service: Service) -> None:
    service.begin()
    service.stop()
    run_until(service.loop, lambda: service.container.signals == ["TERM"], "the stop signal")
    service.kill_leader()

    assert service.ended() == Ended(Outcome(143, signal.SIGTERM, at_start=True), signal.SIGTERM, may_remove=True)
    assert not service.engine.matching("GET /events"), "the reason is known"


def test_a_later_stop_is_no_stop_of_a_start(service: Service) -> None:
    service.begin()
    service.turn(2)
    service.stop()
    run_until(service.loop, lambda: service.container.signals == ["TERM"], "the stop signal")
    service.kill_leader()

    assert service.ended().outcome == Outcome(143, signal.SIGTERM)


def test_an_engine_that_goes_away_and_comes_back_with_live_restore_ends_nothing(service: Service) -> None:
    service.begin()
    service.engine.write("web", b"before\n")
    run_until(service.loop, lambda: service.output() == b"before\n", "the output")
    service.engine.stop()
    service.reach(life.LOST)
    service.engine.write("web", b"meanwhile\n")
    service.engine.start()
    service.pause(SETTLING_PAUSE_SEC)
    service.reach(life.RUNNING)
    service.engine.write("web", b"after\n")
    service.finish(0)

    ended_by_itself(service, 0)
    assert service.output() == b"before\nmeanwhile\nafter\n"
    assert not service.engine.matching("DELETE *")


def test_output_that_ends_without_an_answer_makes_the_engine_count_as_lost(
    service: Service, engine: FakeEngine
) -> None:
    service.begin()
    service.supervisor.on_output_finished()
    service.turn(OUTPUT_END_SEC - 0.1)
    assert service.phase == life.RUNNING

    service.turn(0.2)
    service.reach(life.RUNNING)

    assert len(engine.matching("GET /containers/*/json")) == 1


# DEAD


def test_an_engine_that_does_not_notice_the_leaders_death_counts_as_lost(service: Service) -> None:
    service.begin()
    service.kill_leader()
    service.reach(life.DEAD)
    service.turn(SILENCE_SEC - 0.1)
    assert service.phase == life.DEAD
    service.turn(0.2)

    service.reach(life.LOST_DEAD)


def test_a_stop_leaves_a_silent_engine_less_time(service: Service) -> None:
    service.supervisor.state = replace(service.supervisor.state, stop=replace(STOP, budget_sec=3.0))
    release = service.engine.hold("POST /containers/*/stop")
    service.begin()
    service.kill_leader()
    service.reach(life.DEAD)
    service.stop()
    service.turn(2.9)
    assert service.phase == life.DEAD
    service.turn(0.2)

    assert service.phase != life.DEAD
    release()


# LOST, LOST_DEAD


@pytest.mark.parametrize("status", [400, 403, 500, 503])
def test_a_wait_that_the_engine_refuses_after_a_restart_loses_nothing(status: int, service: Service) -> None:
    """A single 500 had the running container removed by force."""
    service.begin()
    service.engine.fail("POST /containers/*/wait", status, "the engine is not itself")
    service.engine.hang_up()
    service.reach(life.LOST)
    service.pause(1)
    service.reach(life.RUNNING)
    service.finish(5)

    ended_by_itself(service, 5)


def test_a_container_that_ended_while_the_engine_was_away_ends_with_its_code(service: Service) -> None:
    service.begin()
    service.engine.stop()
    service.reach(life.LOST)
    service.engine.write("web", b"last\n")
    service.finish(9)
    service.reach(life.LOST_DEAD)
    service.engine.start()
    service.pause(SETTLING_PAUSE_SEC)

    ended_by_itself(service, 9)
    assert service.output() == b"last\n"


def test_an_engine_that_stays_away_ends_a_dead_container_without_a_code(service: Service) -> None:
    service.begin()
    service.engine.stop()
    service.reach(life.LOST)
    service.kill_leader()
    service.reach(life.LOST_DEAD)
    service.turn(RETURN_TIMEOUT_SEC - 1)
    assert service.phase == life.LOST_DEAD
    service.turn(2)

    assert service.ended() == Ended(None, 0, may_remove=False)


def test_a_stop_does_not_wait_long_for_an_engine_that_is_away(service: Service) -> None:
    service.begin()
    service.engine.stop()
    service.reach(life.LOST)
    service.kill_leader()
    service.reach(life.LOST_DEAD)
    service.stop()
    service.turn(STOPPED_RETURN_TIMEOUT_SEC + 0.1)

    assert service.ended() == Ended(None, signal.SIGTERM, may_remove=False)


def test_a_live_container_outlives_any_absence_of_its_engine(service: Service) -> None:
    service.begin()
    service.engine.stop()
    service.reach(life.LOST)
    service.turn(7 * 24 * 3600)

    assert service.phase == life.LOST
    assert service.leader.poll() is None


def test_a_container_that_was_removed_meanwhile_ends_without_a_code(service: Service) -> None:
    service.begin()
    service.engine.hang_up()
    service.engine.remove(service.container)
    service.reach(life.ENDED)

    assert service.supervisor.ended == Ended(None, 0, may_remove=True)


# DRAINING


def test_a_reader_that_is_stuck_does_not_keep_the_service(service: Service, logged: Callable[[], list[str]]) -> None:
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    service.supervisor.close()
    output = service.supervisor.state.output
    os.dup2(writer, output.sinks.stdout_fd)
    os.set_blocking(output.sinks.stdout_fd, False)
    os.close(writer)
    service.supervisor = Supervisor(service.loop, service.supervisor.state, read_unit({}), service.signals)
    service.begin()
    service.engine.write("web", b"x" * 1_000_000)
    service.finish(3)
    service.reach(life.DRAINING)
    service.turn(DRAIN_TIMEOUT_SEC + 0.1)

    ended_by_itself(service, 3)
    assert any("dropped the last output of container 'web'" in line for line in logged())
    os.close(reader)


# JUDGING, RESTARTING, REJOINING


def restart(service: Service) -> None:
    """`docker restart`, with the events that the engine has of it."""
    service.kill_leader()
    service.engine.signal(service.container, "TERM")
    now = time.time_ns() - 10**9
    for number, event in enumerate(service.engine.events):
        event["timeNano"] = now + number


def test_docker_restart_goes_on_with_the_new_leader(service: Service) -> None:
    service.begin()
    service.engine.write("web", b"first run\n")
    restart(service)
    service.reach(life.RESTARTING)
    first = service.leader.pid
    run_until(service.loop, lambda: len(service.engine.matching("GET /events")) == 2, "the subscription")
    service.start_again()
    service.engine.events[-1]["timeNano"] = time.time_ns()
    service.reach(life.RUNNING)
    service.engine.write("web", b"second run\n")

    state = service.supervisor.snapshot()
    assert state.container.leader == service.leader.pid != first
    assert state.notify.restarts == 1
    service.finish(4)
    ended_by_itself(service, 4)
    assert service.output() == b"first run\nsecond run\n"


def test_docker_stop_is_the_end_after_a_while(service: Service) -> None:
    service.begin()
    restart(service)
    service.reach(life.RESTARTING)
    run_until(service.loop, lambda: len(service.engine.matching("GET /events")) == 2, "the subscription")
    service.turn(RESTART_GRACE_SEC + 0.1)

    ended_by_itself(service, 143)


def test_a_stop_does_not_wait_for_a_restart(service: Service) -> None:
    service.begin()
    restart(service)
    service.reach(life.RESTARTING)
    service.stop()

    assert service.ended() == Ended(Outcome(143, signal.SIGTERM, at_start=True), signal.SIGTERM, may_remove=True)


def test_an_engine_that_goes_away_at_the_restart_does_not_keep_the_service(service: Service) -> None:
    service.begin()
    restart(service)
    service.reach(life.RESTARTING)
    run_until(service.loop, lambda: len(service.engine.matching("GET /events")) == 2, "the subscription")
    release = service.engine.hold("GET /containers/*/json")
    service.start_again()
    service.engine.events[-1]["timeNano"] = time.time_ns()
    service.reach(life.REJOINING)
    service.engine.stop()
    service.turn(RETURN_TIMEOUT_SEC + 1)
    release()

    assert service.ended().outcome is None or service.ended().outcome == Outcome(143)


# Re-execution


def test_an_idle_service_hands_over_everything_and_no_other_does(service: Service) -> None:
    service.begin()
    handed: list[ServiceState] = []
    service.supervisor.reexec_later(handed.append)
    service.engine.write("web", b"seen\n")
    run_until(service.loop, lambda: service.output() == b"seen\n", "the output")
    service.stop(signal.SIGHUP)
    service.turn(REEXEC_AFTER_SEC + 0.1)

    (state,) = handed
    assert state.output.position.recent == ((STDOUT, 0.0, b"seen\n"),)
    assert state.exit_wait.fd != NO_FD
    assert service_state.load(service_state.dump(state)) == state


def test_a_service_that_is_to_stop_does_not_execute_itself_again(service: Service) -> None:
    service.begin()
    handed: list[ServiceState] = []
    service.supervisor.reexec_later(handed.append)
    service.stop()
    run_until(service.loop, lambda: service.container.signals == ["TERM"], "the stop signal")
    service.kill_leader()
    service.ended()
    service.turn(100)

    assert handed == []


# Any walk


def make_found(exit_code: int | None) -> Found:
    """Return a container that recovery has found, with descriptors of its own."""
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    os.close(writer)
    engine, mine = socket.socketpair()
    engine.close()
    other = mine.detach()
    runs = exit_code is None
    container = ContainerState(
        "0" * 64, "web", os.getpid() if runs else 0, Fd(os.pidfd_open(os.getpid())) if runs else NO_FD
    )
    wait = ExitWaitState(Fd(other)) if runs else ExitWaitState()
    if not runs:
        os.close(other)
    return Found(container, exit_code, Fd(reader), b"", True, wait, "")


NEEDS_MORE = (life.FOUND_RUNNING, life.FOUND_RESTARTED, life.FOUND_ENDED, life.DRAINED_OPEN, life.STARTED)
"""Events that carry more than their name: on_found() and the drained output fire them."""


@given(events=st.lists(st.sampled_from([*life.EVENTS, "turn", "found 0", "found None"]), max_size=25))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
def test_no_walk_leaves_a_watch_a_timer_or_a_descriptor(
    events: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever happens in whatever order; the engine is away, so every question is a disappointment."""
    clock = Clock()
    loop = Loop(clock)
    before = set(os.listdir("/proc/self/fd"))
    signals = Signals()
    state = replace(
        fake_state.PLAIN,
        container=ContainerState("0" * 64, "web", os.getpid(), Fd(os.pidfd_open(os.getpid()))),
        output=fake_state.open_output(tmp_path_factory.mktemp("walk")),
        notify=NotifyState(ready="healthy"),
        health=HealthState("true", "starting", "starting", 1),
    )
    supervisor = Supervisor(loop, state, read_unit({}), signals)
    supervisor.begin(is_new=True)
    for event in events:
        if event == "turn":
            clock.turn(loop, 30)
        elif event in ("found 0", "found None"):
            supervisor.on_found(make_found(0 if event == "found 0" else None))
        elif event == life.EXIT_KNOWN:
            supervisor.on_exit(3)
        elif event not in NEEDS_MORE:
            supervisor.fire(event)
        loop.step(0.0)
    supervisor.close()
    service_state.close(supervisor.state)
    signals.close()

    assert loop.is_empty
    assert set(os.listdir("/proc/self/fd")) == before
