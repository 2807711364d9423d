"""The part of a running container that systemd knows, as handed over when systemd-docker re-executes itself."""

from __future__ import annotations

from systemd_docker.frozen import frozen
from systemd_docker.kernel.fd import NO_FD, Fd


@frozen
class NotifyState:
    """Messages to the service manager.

    manager_socket:  $NOTIFY_SOCKET, "" without a manager that listens.
    payload_fd:      the socket that the container's notifications come to, NO_FD for none.
    lock_fd:         the socket's directory, locked for as long as this service lives; see payload_socket.
    guard_fd:        the guard sees it close if systemd-docker dies; see service.notifications.guard.
    leader_is_main:  whether systemd takes the leader for the main process.
    ready:           when READY=1 is sent: "started" (it has been), "payload" (the container sends it), "healthy".
    status:          the text of STATUS=, without details; steady_status: systemd-docker's own text.
    restarts:        how often the container was started again in this invocation of the unit.
    """

    manager_socket: str = ""
    payload_fd: Fd = NO_FD
    guard_fd: Fd = NO_FD
    leader_is_main: bool = False
    ready: str = "started"
    status: str = ""
    steady_status: str = ""
    restarts: int = 0
    lock_fd: Fd = NO_FD


@frozen
class HealthState:
    """The container's healthcheck, and what follows from it.

    check:      the healthcheck's command, see ContainerFacts; "" for none.
    status:     the engine's word as far as systemd-docker has acted on it: "starting", "healthy", "unhealthy"; "" for
                a container without a healthcheck.
    found:      the engine's word when the container was last inspected; "" once it was acted on.
    since_nsec: from when on the engine's events are still to be read.
    on_failure: "none", "kill", "restart", "stop".
    """

    check: str = ""
    status: str = ""
    found: str = ""
    since_nsec: int = 0
    on_failure: str = "none"


@frozen
class WatchdogState:
    """source: what keeps the watchdog alive: "payload", "health", "engine"; "" without one. usec: WatchdogSec=."""

    source: str = ""
    usec: int = 0
