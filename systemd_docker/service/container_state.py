"""The identity of a running container, as handed over when systemd-docker re-executes itself."""

from __future__ import annotations

from systemd_docker.frozen import frozen
from systemd_docker.kernel.fd import NO_FD, Fd


@frozen
class ContainerState:
    """One container.

    name:   the engine's.
    leader: PID of the payload's first process, 0 where it has ended; pidfd: of the leader, NO_FD where it has ended.
    """

    id: str = ""
    name: str = ""
    leader: int = 0
    pidfd: Fd = NO_FD
