"""Tell systemd the unit's main process: the leader while it lives, else systemd-docker."""

from __future__ import annotations

import os

from systemd_docker import log
from systemd_docker.kernel.fd import NO_FD
from systemd_docker.sd.notify import BARRIER_TIMEOUT_SEC, Notifier
from systemd_docker.service.notifications.best_effort import send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from systemd_docker.kernel.loop import Loop, Timer


class MainPid:
    """The main process as systemd was told; close() it.

    is_settled: systemd has acted on the last message.
    """

    def __init__(self, loop: Loop, notifier: Notifier, *, is_leader: bool, on_settled: Callable[[], None]) -> None:
        """is_leader: systemd takes the leader for the main process. on_settled: called when is_settled becomes
        true."""
        self.is_leader = is_leader
        self._loop = loop
        self._notifier = notifier
        self._on_settled = on_settled
        self._barrier = int(NO_FD)
        self._timer: Timer | None = None

    @property
    def is_settled(self) -> bool:
        return self._barrier == NO_FD

    def give(self, leader: int) -> None:
        """Name the container's new leader."""
        announce(self._notifier, leader=leader, is_ready=False)
        self.is_leader = True

    def take_back(self, **more: int) -> None:
        """Name systemd-docker, now that the leader is dead, unless it is the main process. more: sent with it.

        systemd cannot collect the exit status of a process that is not its child: it gets systemd-docker's.
        """
        assignments = {**({"MAINPID": os.getpid()} if self.is_leader else {}), **more}
        if not assignments:
            return
        self.is_leader = False
        try:
            self._notifier.notify(**assignments)
            barrier = self._notifier.start_barrier()
        except OSError as error:
            log.warning(f"cannot tell systemd that systemd-docker is the main process again: {error}")
            return
        self._drop_barrier()
        self._barrier = barrier
        self._loop.watch(barrier, 0, self._settle)
        self._timer = self._loop.after(BARRIER_TIMEOUT_SEC, self._settle)

    def close(self) -> None:
        self._drop_barrier()

    def _settle(self) -> None:
        self._drop_barrier()
        self._on_settled()

    def _drop_barrier(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._barrier != NO_FD:
            self._loop.unwatch(self._barrier)
            os.close(self._barrier)
            self._barrier = int(NO_FD)


def announce(notifier: Notifier, *, leader: int, is_ready: bool) -> None:
    """Tell systemd that the container runs. leader: its PID if it is to be the main process, else 0.

    MAINPID= and READY=1 go in one datagram: with NotifyAccess=main systemd would ignore a second one.
    """
    assignments: dict[str, str | int] = {"MAINPID": leader} if leader else {}
    if is_ready:
        assignments["READY"] = 1
    if assignments:
        send(notifier, **assignments)
