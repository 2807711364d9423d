"""Who comes into a moved container later, exec'd processes and healthchecks: moved after it as soon as they appear.

With cgroup v2 and the cgroupfs driver the engine starts them in the cgroup that it made for the container, and which
move has emptied. The kernel tells when somebody is in there again, or when the engine has frozen it: cgroup.events
and POLLPRI; cgroup-v2.rst, "Basic Operations". So the engine is not asked: its events would cost each unit a
connection and what reads JSON, come later, and end with the engine; the kernel's are one descriptor. With the systemd
driver there is nothing to watch: systemd collects the emptied scope, and runc then starts them where the leader is.

The cgroup is proven to be the container's own when it is moved from first, and is found again by the same path, which
has the container's id in it. Who is born in there has the engine's device filter and limits, and where it goes are
the same.
"""

from __future__ import annotations

import errno
import os
import select

from systemd_docker import log
from systemd_docker.kernel.cgroup import Cgroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from systemd_docker.kernel.loop import Loop

PASSES, FREELY = 50, 5
"""How often the cgroup is read, at most, until nobody is in it; and how often of these without freezing it, because
runc does not exec into a container that is frozen, and somebody may just be about to."""


class Strays:
    """Watches one cgroup until it is gone, or close()."""

    def __init__(self, loop: Loop, moved: tuple[str, ...]) -> None:
        """moved: as in Held."""
        mount, source, target = moved
        self._loop = loop
        self._source = Cgroup(mount, source)
        self._target = Cgroup(mount, target)
        self._is_frozen = False
        self._fd = -1
        try:
            self._fd = os.open(f"{self._source.directory}/cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            log.debug(f"'{source}' is gone already")
            return
        loop.watch(self._fd, select.POLLPRI, self._look)
        self._look()

    def close(self) -> None:
        if self._fd >= 0:
            self._loop.unwatch(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _look(self) -> None:
        """Read first, act then: what changes from here on is told again."""
        try:
            events = os.pread(self._fd, 4096, 0).splitlines()
            self._freeze_as_well(is_frozen=b"frozen 1" in events)
            if b"populated 1" in events and not self._is_frozen:
                self._take_over()
        except OSError as error:
            # ENODEV, ENOENT: it was removed, with the container.
            if error.errno not in (errno.ENODEV, errno.ENOENT):
                log.warning(f"cannot move later processes of the container into the unit, ignoring: {error}")
            self.close()

    def _freeze_as_well(self, *, is_frozen: bool) -> None:
        """`docker pause` freezes a cgroup that nobody is in."""
        if is_frozen != self._is_frozen:
            self._is_frozen = is_frozen
            self._target.write("cgroup.freeze", str(int(is_frozen)))

    def _take_over(self) -> None:
        is_held = False
        for attempt in range(PASSES):
            pids = list(self._pids())
            if not pids:
                break
            if attempt == FREELY:
                # They fork faster than they are moved.
                self._source.write("cgroup.freeze", "1")
                is_held = True
            for pid in pids:
                self._move(pid)
        else:
            log.warning(f"processes in '{self._source.path}' cannot be moved into the unit, ignoring")
        if is_held:
            self._source.write("cgroup.freeze", "0")

    def _pids(self) -> Iterator[int]:
        """Without those of other PID namespaces: to write their 0 would move ourselves."""
        for one in self._source.subtree():
            yield from one.pids() - {0}

    def _move(self, pid: int) -> None:
        try:
            self._target.attach(pid)
        except ProcessLookupError:
            log.debug(f"process {pid} has ended before it could be moved")
