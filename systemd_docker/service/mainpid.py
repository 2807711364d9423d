"""Who the service manager takes for the unit's main process: the payload's leader while it lives, else us."""

from __future__ import annotations

import os

from systemd_docker import log
from systemd_docker.service.held import NO_FD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.sd_notify import Notifier


class MainPid:
    """was_leader: the leader was the main process, and we have taken over again."""

    def __init__(self, notify_socket: str, *, is_leader: bool) -> None:
        """is_leader: whether the manager has been told of the leader."""
        self._notify_socket = notify_socket
        self._is_leader = is_leader
        self.was_leader = False

    def take_back(self) -> int:
        """The leader is dead. An fd, the caller's, that hangs up when the manager takes us for main again; or NO_FD.

        systemd cannot collect the exit status of a process that is not its child: ours is what it gets.
        """
        from systemd_docker.sd_notify import Notifier

        if not self._is_leader:
            return NO_FD
        self._is_leader, self.was_leader = False, True
        notifier = Notifier(self._notify_socket)
        try:
            notifier.notify(MAINPID=os.getpid())
            return notifier.start_barrier()
        except OSError as error:
            log.warning(f"cannot reach the service manager, ignoring: {error}")
            return NO_FD


def announce(notifier: Notifier, *, leader: int, is_ready: bool) -> None:
    """The container runs. leader: its PID if it is to be the main process, else 0.

    MAINPID= and READY=1 go in one datagram: with NotifyAccess=main a second one would not be ours to send.
    """
    assignments: dict[str, str | int] = {"MAINPID": leader} if leader else {}
    if is_ready:
        assignments["READY"] = 1
    if not assignments:
        return
    try:
        notifier.notify(**assignments)
    except OSError as error:
        log.warning(f"cannot reach the service manager, ignoring: {error}")
