"""What the service manager is told, by whom goes on without an answer."""

from __future__ import annotations

from systemd_docker import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.sd_notify import Notifier


def tell(notifier: Notifier, **assignments: str | int) -> None:
    """Plain assignments, in one datagram: tell(notifier, READY=1)."""
    try:
        notifier.notify(**assignments)
    except OSError as error:
        log.warning(f"cannot reach the service manager, ignoring: {error}")


def say_status(notifier: Notifier, text: str) -> None:
    """STATUS=, which `systemctl status` shows."""
    try:
        notifier.notify_text({"STATUS": text})
    except OSError as error:
        log.warning(f"cannot reach the service manager, ignoring: {error}")


def keep_alive(notifier: Notifier) -> None:
    """WATCHDOG=1."""
    tell(notifier, WATCHDOG=1)


def extend_timeout(notifier: Notifier, extension_sec: int) -> None:
    """The start may take extension_sec longer, from now, than TimeoutStartSec= says; systemd 236."""
    try:
        notifier.notify_plain(EXTEND_TIMEOUT_USEC=extension_sec * 1_000_000)
    except OSError as error:
        log.warning(f"cannot reach the service manager, ignoring: {error}")
