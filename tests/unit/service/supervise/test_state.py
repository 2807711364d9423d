"""The state of a running service: whole after a re-execution, readable for years, owner of its descriptors."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from systemd_docker.frozen import replace
from systemd_docker.kernel.fd import NO_FD, Fd, owned_fds
from systemd_docker.service.adoption.state import AdoptionState
from systemd_docker.service.container_state import ContainerState
from systemd_docker.service.engine_requests import EngineAddress
from systemd_docker.service.exit_wait import ExitWaitState
from systemd_docker.service.notifications.state import HealthState, NotifyState, WatchdogState
from systemd_docker.service.output.state import NO_LINE, OutputState, Position, SinkState
from systemd_docker.service.stop_policy import StopPolicy
from systemd_docker.service.supervise import state as service_state
from systemd_docker.service.supervise.clean_up import CleanUp
from systemd_docker.service.supervise.state import ServiceState, StateError

RECORDED = Path(__file__).parent / "state-version-1.json"
"""What version 1 handed over; never to be changed, only joined by others."""

STATE = ServiceState(
    log_level=7,
    as_code=True,
    engine=EngineAddress("/run/docker.sock", (1, 45)),
    container=ContainerState("ab" * 32, "web", 41, Fd(11)),
    exit_wait=ExitWaitState(Fd(12), b"HTTP/1.1 200 OK\r\n\r\n"),
    stop=StopPolicy("SIGQUIT", 25.0, 88.0, reaches_payload=True, stops_payload=False, forwards=True),
    adoption=AdoptionState("move", sweeps=True, cgroups=("cpu",), moved=("/sys/fs/cgroup", "/a", "/b")),
    output=OutputState(
        fd=Fd(13),
        stdin_fd=Fd(14),
        framed=True,
        sinks=SinkState(Fd(15), Fd(16), b"CONTAINER_NAME=web\n", (6, 3), drops=True),
        position=Position(
            frame=(b"\x01\0", 1, 0),
            early=b"\xff\0",
            unfinished=((b"no end", 1, b"ab", 6), NO_LINE),
            recent=((1, 1.5, b"x"), (2, 0.0, b"\xfe")),
            is_log=True,
        ),
    ),
    notify=NotifyState(
        "/run/systemd/notify", Fd(17), Fd(18), leader_is_main=True, ready="healthy", status="a", steady_status="b"
    ),
    health=HealthState("curl -f localhost", "starting", "", 1767225600 * 10**9, "kill"),
    watchdog=WatchdogState("engine", 30_000_000),
    clean_up=CleanUp(removes=True, pid_file="/run/web.pid", files=("/run/x/notify",), directories=("/run/x",)),
)


def test_every_field_survives_a_reexecution() -> None:
    assert service_state.load(service_state.dump(STATE)) == STATE


def test_the_state_of_an_older_version_is_understood() -> None:
    assert service_state.load(RECORDED.read_bytes()) == STATE


def test_a_later_version_of_the_state_is_refused_by_its_number() -> None:
    data = json.dumps({**json.loads(service_state.dump(STATE)), "version": 2})

    with pytest.raises(StateError, match="has version 2, not 1"):
        service_state.load(data.encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"version": "1"}', b'{"version": 1, "container": 7}'])
def test_what_is_no_state_is_refused(data: bytes) -> None:
    with pytest.raises(StateError):
        service_state.load(data)


def test_descriptors_are_found_by_their_type_wherever_they_stand() -> None:
    assert sorted(owned_fds(STATE)) == list(range(11, 19))
    assert list(owned_fds(ServiceState())) == []


def test_closing_a_state_closes_every_descriptor_in_it() -> None:
    fds = [Fd(os.open(os.devnull, os.O_RDONLY)) for _ in range(3)]
    state = replace(ServiceState(), container=ContainerState("a", "web", 1, fds[0]))
    state = replace(state, output=OutputState(fd=fds[1], sinks=SinkState(fds[2], NO_FD)))

    service_state.close(state)

    for fd in fds:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
