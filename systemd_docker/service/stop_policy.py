"""How a running container is stopped, as handed over when systemd-docker re-executes itself."""

from __future__ import annotations

from systemd_docker.frozen import frozen


@frozen
class StopPolicy:
    """How the container is stopped, and which signals are its own.

    signal:          the container's stop signal as the engine shows it, "" for SIGTERM.
    timeout_sec:     how long the payload has between that signal and SIGKILL.
    budget_sec:      how long systemd-docker has for all of it; TimeoutStopSec= cuts it off.
    reaches_payload: whether signals of `systemctl kill` reach the payload by themselves.
    stops_payload:   whether `systemctl stop` sends it its stop signal by itself.
    forwards:        whether other signals that systemd-docker gets are passed on.
    """

    signal: str = ""
    timeout_sec: float = 10.0
    budget_sec: float = 88.0
    reaches_payload: bool = False
    stops_payload: bool = False
    forwards: bool = False
