"""Processes that appear later in a moved container's old cgroup, from docker exec and healthchecks: moved after it.

With cgroup v2 and the cgroupfs driver the engine starts them in the cgroup that it made for the container, which
"move" has emptied. The kernel reports when that cgroup is populated again, and when the engine freezes it: POLLPRI on
cgroup.events; cgroup-v2.rst, "Basic Operations". Watching costs one descriptor. The engine's events would cost each
unit a connection and a JSON parser, would come later, and would end with the engine. With the systemd driver there is
nothing to watch: systemd removes the emptied scope, and runc then starts exec'd processes where the leader is.

The cgroup was proven to be the container's own when its processes were moved, and its path has the container's id in
it. A process that is born there has the engine's device filter and limits, and the cgroup it moves to has the same.
"""

from __future__ import annotations

import errno
import os
import select

from systemd_docker import log
from systemd_docker.kernel.cgroup import Cgroup
from systemd_docker.kernel.fd import NO_FD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from systemd_docker.kernel.loop import Loop

MAX_PASSES = 50
"""Limits how often the cgroup is read, for one report of the kernel's, until it is empty."""

PASSES_UNFROZEN = 5
"""How many of these passes leave the cgroup unfrozen: runc does not exec into a frozen container."""

_GONE = (errno.ENODEV, errno.ENOENT)


def can_appear(moved: tuple[str, ...]) -> bool:
    """Return whether processes can appear in the cgroup that a container was moved from; see AdoptionState.moved.

    They cannot where nothing was moved, nor where systemd has collected the emptied scope.
    """
    return bool(moved) and os.path.isdir("".join(moved[:2]))


class LateProcesses:
    """Watches one cgroup until it is removed, or close()."""

    def __init__(self, loop: Loop, moved: tuple[str, ...]) -> None:
        """moved: as in AdoptionState."""
        mount, source, target = moved
        self._loop = loop
        self._source = Cgroup(mount, source)
        self._target = Cgroup(mount, target)
        self._has_warned = False
        self._is_paused = False
        self._fd = int(NO_FD)
        try:
            self._fd = os.open(f"{self._source.directory}/cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
            # docker pause may have come, or gone, while systemd-docker executed itself again.
            self._is_paused = self._target.read("cgroup.freeze") == "1"
        except FileNotFoundError as error:
            log.debug(f"no later processes to move: '{error.filename}' is gone")
            self.close()
            return
        loop.watch(self._fd, select.POLLPRI, self._look)
        self._look()

    def close(self) -> None:
        if self._fd != NO_FD:
            self._loop.unwatch(self._fd)
            os.close(self._fd)
            self._fd = int(NO_FD)

    def _look(self) -> None:
        """Read the state first and act on it then: the kernel reports every change that comes after the reading."""
        try:
            events = os.pread(self._fd, 4096, 0).splitlines()
            self._pause(is_paused=b"frozen 1" in events)
            is_populated = b"populated 1" in events and not self._is_paused
            if is_populated and not move_until_empty(self._source, self._target):
                self._warn(f"still there after {MAX_PASSES} attempts")
        except OSError as error:
            if error.errno in _GONE:
                self.close()
            else:
                self._warn(f"{error.strerror} ({errno.errorcode.get(error.errno or 0, '?')})")

    def _pause(self, *, is_paused: bool) -> None:
        """Do to the container's processes what docker pause does to the cgroup that they have left."""
        if is_paused != self._is_paused:
            self._target.write("cgroup.freeze", str(int(is_paused)))
            self._is_paused = is_paused

    def _warn(self, reason: str) -> None:
        """Once: the kernel reports again and again, and each report is another attempt."""
        if not self._has_warned:
            log.warning(
                f"cannot move later processes of the container from '{self._source.path}' to '{self._target.path}',"
                f" they stay outside the unit: {reason}"
            )
        self._has_warned = True


def move_until_empty(source: Cgroup, target: Cgroup) -> bool:
    """Move the processes in source and below it; return whether none is left after MAX_PASSES.

    Raises OSError; source does not stay frozen.
    """
    for _ in range(PASSES_UNFROZEN):
        if not _move_once(source, target):
            return True
    # They fork faster than they are moved.
    source.write("cgroup.freeze", "1")
    try:
        return any(not _move_once(source, target) for _ in range(MAX_PASSES - PASSES_UNFROZEN))
    finally:
        source.write("cgroup.freeze", "0")


def _move_once(source: Cgroup, target: Cgroup) -> bool:
    """Move the processes that are there now; return whether there were any."""
    pids = list(_pids(source))
    for pid in pids:
        try:
            target.attach(pid)
        except ProcessLookupError:
            log.debug(f"process {pid} has ended before it could be moved")
    return bool(pids)


def _pids(source: Cgroup) -> Iterator[int]:
    """Yield PIDs, without the 0 of a process in another PID namespace: writing it would move systemd-docker."""
    for level in source.subtree():
        yield from level.pids() - {0}
