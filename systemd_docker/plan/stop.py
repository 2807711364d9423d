"""How long a stop may take, and what systemd does of it by itself."""

from __future__ import annotations

from systemd_docker.kernel.signals import signal_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.plan.adoption import AdoptionPlan
    from systemd_docker.sd.unit_properties import UnitProperties

DEFAULT_STOP_TIMEOUT_SEC = 10
"""The engine's, for a container without one of its own; `POST /containers/ID/stop`."""

STOP_MARGIN_SEC = 2
"""The rest of TimeoutStopSec=, for killing, the last output and the removal."""

MIN_STOP_TIMEOUT_SEC = 1

MAX_CLEANUP_SEC = 10
"""An engine takes some tens of milliseconds to remove a container; one that takes longer does not answer at all."""

MAX_STOP_BUDGET_SEC = 24 * 3600
"""For TimeoutStopSec=infinity."""


def stop_timeout_sec(container_sec: int | None, properties: UnitProperties) -> int:
    """Return how long the payload has between its stop signal and SIGKILL.

    The container's own timeout, as far as it ends STOP_MARGIN_SEC before the unit's TimeoutStopSec=.
    """
    wanted = DEFAULT_STOP_TIMEOUT_SEC if container_sec is None else container_sec
    return max(MIN_STOP_TIMEOUT_SEC, min(wanted, stop_budget_sec(properties)))


def stop_budget_sec(properties: UnitProperties) -> int:
    """Return how long a stop may take in all: TimeoutStopSec= less STOP_MARGIN_SEC."""
    longest = properties.timeout_stop_usec // 1_000_000 - STOP_MARGIN_SEC
    return max(MIN_STOP_TIMEOUT_SEC, min(longest, MAX_STOP_BUDGET_SEC))


def cleanup_timeout_sec(properties: UnitProperties) -> float:
    """Return half of the stop's budget: both the answer that is on its way and the removal may need it."""
    return min(MAX_CLEANUP_SEC, stop_budget_sec(properties) / 2)


def reaches_payload(adoption: AdoptionPlan, properties: UnitProperties) -> bool:
    """Return whether a signal that systemd sends to the unit reaches the payload by itself."""
    return adoption.strategy != "none" and not adoption.is_foreign and properties.kill_mode == "control-group"


def stops_payload(adoption: AdoptionPlan, properties: UnitProperties, stop_signal: str) -> bool:
    """Return whether `systemctl stop` by itself sends the container's stop signal to the payload."""
    return reaches_payload(adoption, properties) and signal_number(stop_signal) == properties.kill_signal
