"""Send notifications whose failure changes nothing: it is logged, and never raised."""

from __future__ import annotations

from systemd_docker import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from systemd_docker.sd.notify import Notifier


def send(notifier: Notifier, **assignments: str | int) -> None:
    """Send assignments in one datagram: send(notifier, READY=1)."""
    _try(lambda: notifier.notify(**assignments))


def send_status(notifier: Notifier, text: str) -> None:
    """Send STATUS=, which `systemctl status` shows."""
    send(notifier, STATUS=text)


def keep_alive(notifier: Notifier) -> None:
    """Send WATCHDOG=1."""
    send(notifier, WATCHDOG=1)


def extend_timeout(notifier: Notifier, extension_sec: int) -> None:
    """Let the start take extension_sec longer, from now, than TimeoutStartSec=; systemd 236."""
    _try(lambda: notifier.notify_plain(EXTEND_TIMEOUT_USEC=extension_sec * 1_000_000))


def _try(action: Callable[[], None]) -> None:
    try:
        action()
    except OSError as error:
        log.warning(f"cannot send a notification to systemd: {error}")
