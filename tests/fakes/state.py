"""The state of a running service, for tests of the modules that read it."""

from __future__ import annotations

import os
from pathlib import Path

from systemd_docker.engine.multiplex import STDERR, STDOUT
from systemd_docker.frozen import replace
from systemd_docker.kernel.fd import NO_FD, Fd
from systemd_docker.service.container_state import ContainerState
from systemd_docker.service.engine_requests import EngineAddress
from systemd_docker.service.output.state import OutputState, SinkState
from systemd_docker.service.supervise.state import ServiceState
from tests.fakes.containers import Container
from tests.fakes.engine import FakeEngine

API = (1, 45)

PLAIN = ServiceState(
    engine=EngineAddress("/nowhere", API),
    container=ContainerState("0" * 64, "web"),
)
"""A container of which nothing is held: no leader, no output, no exit."""


def address(engine: FakeEngine) -> EngineAddress:
    return EngineAddress(engine.path, API)


def container_state(container: Container, leader: int = 0) -> ContainerState:
    """leader: a process that lives, held by a pidfd of the caller's; 0 for none."""
    pidfd = Fd(os.pidfd_open(leader)) if leader else NO_FD
    return ContainerState(container.id, container.name, leader, pidfd)


def files(directory: Path) -> dict[int, Path]:
    """Where open_output() writes, by stream."""
    return {STDOUT: directory / "out", STDERR: directory / "err"}


def open_output(directory: Path, fd: int = NO_FD, *, framed: bool = True) -> OutputState:
    """Return output that goes to two files; all descriptors are the caller's."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    stdout, stderr = (Fd(os.open(path, flags)) for path in files(directory).values())
    return OutputState(fd=Fd(fd), framed=framed, sinks=SinkState(stdout, stderr))


def state_of(engine: FakeEngine, container: Container) -> ServiceState:
    """Return PLAIN for this container."""
    return replace(PLAIN, engine=address(engine), container=container_state(container))
