"""An image that is not there is pulled while `systemctl status` shows how far it has come."""

from __future__ import annotations

import select
import time

from systemd_docker import log
from systemd_docker.engine.pull import start_pull
from systemd_docker.errors import EngineUnreachableError, Error
from systemd_docker.sd.notify import Notifier
from systemd_docker.service.notifications import best_effort

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.engine.client import Engine
    from systemd_docker.engine.http import Wait
    from systemd_docker.engine.pull import Pull
    from systemd_docker.engine.pull_progress import PullProgress
    from systemd_docker.plan.launch_plan import LaunchPlan
    from systemd_docker.unit import UnitContext

EXTENSION_SEC = 30
"""TimeoutStartSec= begins anew with this much whenever bytes have moved: EXTEND_TIMEOUT_USEC= in sd_notify(3)."""

STALL_TIMEOUT_SEC = 600
"""A pull in which nothing moves for so long will not come to an end; TimeoutStartSec= is usually faster."""

_NOT_FOR_THE_CHILD = ("NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID", "WATCHDOG_USEC")


def pull_image(plan: LaunchPlan, engine: Engine, unit: UnitContext, wait: Wait, *, is_quiet: bool) -> None:
    """Raises Error with the engine's words, and what wait raises."""
    if not is_quiet:
        log.notice(f"pulling image '{plan.image}'")
    notifier = Notifier(unit.notify_socket)
    best_effort.send_status(notifier, f"Pulling {plan.image}")
    kept = {name: value for name, value in unit.environ.items() if name not in _NOT_FOR_THE_CHILD}
    doing = f"cannot pull image '{plan.image}'"
    try:
        with start_pull(
            plan.image,
            platform=plan.platform,
            socket_path=engine.socket_path,
            api_version=f"{engine.api[0]}.{engine.api[1]}",
            environ=kept,
        ) as pull:
            _follow(pull, plan.image, notifier, wait)
    except TimeoutError:
        raise EngineUnreachableError(f"{doing}: nothing has moved for {STALL_TIMEOUT_SEC} s") from None
    except Error as error:
        raise error.while_doing(doing) from None


def _follow(pull: Pull, image: str, notifier: Notifier, wait: Wait) -> None:
    moved_bytes = 0
    while True:
        wait(pull.fileno(), select.POLLIN, time.monotonic() + STALL_TIMEOUT_SEC)
        progress = pull.receive()
        if progress is None:
            continue
        if _moved_bytes(progress) > moved_bytes:
            moved_bytes = _moved_bytes(progress)
            best_effort.extend_timeout(notifier, EXTENSION_SEC)
        best_effort.send_status(notifier, progress.text(image))
        if progress.finished:
            return


def _moved_bytes(progress: PullProgress) -> int:
    return progress.current_bytes + progress.unpacked_bytes
