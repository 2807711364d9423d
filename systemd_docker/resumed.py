"""The second image of `systemd-docker run`, which supervises a container for as long as it lives.

It imports everything that it will ever need here and now: the code that is on disk later may be another version's.
Two modules with ctypes, a megabyte that few services need, are imported only when they are needed: kernel.inotify,
when the engine is lost, and service.adoption.move, when a container that had to be moved is started again.
"""

from __future__ import annotations

from systemd_docker.exits import exit_after
from systemd_docker.sd import notify
from systemd_docker.service.supervise.lifetime import resume
from systemd_docker.service.supervise.reexec import resumed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from systemd_docker.service.exit_status import Ending
    from systemd_docker.unit import UnitContext


def main() -> NoReturn:
    """Go on supervising the container that an earlier image of this process has started."""
    exit_after(_resume)


def _resume(unit: UnitContext) -> Ending:
    if unit.notify_socket:
        notify.load()
    return resume(resumed(unit.environ), unit)
