"""Who the service manager takes for the unit's main process: the payload's leader while it lives, else us."""

from __future__ import annotations

import os

from systemd_docker import log
from systemd_docker.kernel.pidfd import NO_FD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.kernel.loop import Loop
    from systemd_docker.sd.notify import Notifier


class MainPid:
    """settled: the manager has acted on the last that it was told."""

    def __init__(self, loop: Loop, notify_socket: str, *, is_leader: bool) -> None:
        """is_leader: whether the manager has been told of the leader."""
        self._loop = loop
        self._notify_socket = notify_socket
        self._is_leader = is_leader
        self._barrier = NO_FD

    @property
    def settled(self) -> bool:
        return self._barrier == NO_FD

    def give(self, leader: int) -> None:
        """The container runs with another leader."""
        from systemd_docker.sd.notify import Notifier

        announce(Notifier(self._notify_socket), leader=leader, is_ready=False)
        self._is_leader = True

    def take_back(self, **more: int) -> None:
        """The leader is dead: it is us again, until settled. more: what is said together with it.

        systemd cannot collect the exit status of a process that is not its child: ours is what it gets.
        """
        from systemd_docker.sd.notify import BARRIER_TIMEOUT_SEC, Notifier

        assignments = {**({"MAINPID": os.getpid()} if self._is_leader else {}), **more}
        if not assignments:
            return
        self._is_leader = False
        notifier = Notifier(self._notify_socket)
        try:
            notifier.notify(**assignments)
            self._drop_barrier()
            self._barrier = notifier.start_barrier()
        except OSError as error:
            log.warning(f"cannot reach the service manager, ignoring: {error}")
            return
        if self._barrier != NO_FD:
            self._loop.watch(self._barrier, 0, self._drop_barrier)
            self._loop.after(BARRIER_TIMEOUT_SEC, self._drop_barrier)

    def close(self) -> None:
        self._drop_barrier()

    def _drop_barrier(self) -> None:
        if self._barrier != NO_FD:
            self._loop.unwatch(self._barrier)
            os.close(self._barrier)
            self._barrier = NO_FD


def announce(notifier: Notifier, *, leader: int, is_ready: bool) -> None:
    """The container runs. leader: its PID if it is to be the main process, else 0.

    MAINPID= and READY=1 go in one datagram: with NotifyAccess=main a second one would not be ours to send.
    """
    assignments: dict[str, str | int] = {"MAINPID": leader} if leader else {}
    if is_ready:
        assignments["READY"] = 1
    if assignments:
        # Imported by who starts anyway, and not by a service that rests.
        from systemd_docker.service.notifications.best_effort import tell

        tell(notifier, **assignments)
