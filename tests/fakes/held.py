"""A running container's record, for tests of one of the rooms that read it."""

from __future__ import annotations

from typing import Any

from systemd_docker.engine.multiplex import BEGINNING
from systemd_docker.frozen import replace
from systemd_docker.kernel.pidfd import NO_FD
from systemd_docker.service.output.relay import NO_LINE
from systemd_docker.service.supervise.state import Held

PLAIN = Held(
    socket_path="/nowhere",
    api=(1, 41),
    id="0" * 64,
    name="web",
    leader=0,
    framed=True,
    stop_signal="",
    stop_timeout_sec=10,
    patience_sec=88,
    adoption="parent",
    sweeps=True,
    cgroups=(),
    moved=(),
    leader_is_main=False,
    shares_manager_signals=False,
    manager_signals_payload=False,
    passes_signals_on=False,
    as_code=False,
    removes=False,
    pid_file="",
    files=(),
    directories=(),
    output_fd=NO_FD,
    output_is_log=False,
    tails={},
    frame=BEGINNING,
    early_output=b"",
    exit_fd=NO_FD,
    exit_received=b"",
    pidfd=NO_FD,
    guard_fd=NO_FD,
    stdin_fd=NO_FD,
    stdout_fd=NO_FD,
    stderr_fd=NO_FD,
    record_fields=b"",
    priorities=(6, 3),
    unfinished=(NO_LINE, NO_LINE),
    drops_output=False,
    notify_fd=NO_FD,
    health_fd=NO_FD,
    notify_socket="",
    steady_status="Container web runs",
    status="Container web runs",
    restarts=0,
    payload_says_ready=False,
    awaits_healthy=False,
    healthcheck="",
    health="",
    health_found="",
    health_since_nsec=0,
    health_on_failure="none",
    watchdog="",
    watchdog_usec=0,
)


def held(**changes: Any) -> Held:
    return replace(PLAIN, **changes)
