"""What the service manager is told, by whom goes on without an answer."""

from __future__ import annotations

from systemd_docker import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from systemd_docker.sd.notify import Notifier


def tell(notifier: Notifier, **assignments: str | int) -> None:
    """Assignments, in one datagram: tell(notifier, READY=1)."""
    _try(lambda: notifier.notify(**assignments))


def say_status(notifier: Notifier, text: str) -> None:
    """STATUS=, which `systemctl status` shows."""
    tell(notifier, STATUS=text)


def keep_alive(notifier: Notifier) -> None:
    """WATCHDOG=1."""
    tell(notifier, WATCHDOG=1)


def extend_timeout(notifier: Notifier, extension_sec: int) -> None:
    """The start may take extension_sec longer, from now, than TimeoutStartSec= says; systemd 236."""
    _try(lambda: notifier.notify_plain(EXTEND_TIMEOUT_USEC=extension_sec * 1_000_000))


def _try(send: Callable[[], None]) -> None:
    try:
        send()
    except OSError as error:
        log.warning(f"cannot reach the service manager, ignoring: {error}")
