"""Shed what was only needed to start: the process executes itself again, and goes on where it was.

Reading a command line, its tables, JSON and the engine's answers take 4 MB, which a service would keep for as long as
its container runs, and which Python does not give back. So when the container has run for REST_AFTER_SEC and nothing
is going on, the process replaces itself by a new image of the same program with the same PID, command line, cgroup
and descriptors, which imports only what waiting needs. systemd does the same at daemon-reexec. What it costs, 15 ms
of CPU, is paid once, and not by containers that live shorter.

Nothing can be missed meanwhile: signals are blocked over execve(2) and stay pending, bytes wait in their sockets, and
a pidfd stays readable. A signal that was caught before it was blocked would be: who has one does not rest.
What would change our mind: an interpreter whose bare image is the larger part.
"""

from __future__ import annotations

import os
import sys

from systemd_docker import log
from systemd_docker.kernel.signals import HANDLED
from systemd_docker.service.supervise import state as held_room

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Mapping

    from systemd_docker.service.supervise.state import Held
else:
    import _signal as signal

REST_AFTER_SEC = 2
"""Long enough that a crash loop or a short job does not pay for it."""

VARIABLE = "SYSTEMD_DOCKER_RESUME"
"""The descriptor, in our own environment, that the new image finds its Held in."""

LOCALE = {"LC_ALL": "C"}
"""Nobody at rest needs another one: the launcher has Python use UTF-8. C.UTF-8's tables are 124 kB of memory."""


def rest(held: Held, environ: Mapping[str, str], has_caught: Callable[[], bool]) -> None:
    """Become a new image of this program that goes on with held. Returns only where that is not possible.

    has_caught: whether there is a signal that nobody has acted on.
    """
    memory = os.memfd_create("systemd-docker-held")
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    try:
        os.write(memory, held_room.dump(held))
        os.lseek(memory, 0, os.SEEK_SET)
        for fd in (memory, *held.fds()):
            os.set_inheritable(fd, True)
        if not has_caught():
            os.execve(sys.executable, sys.orig_argv, {**environ, **LOCALE, VARIABLE: str(memory)})
    except OSError as error:
        log.warning(f"cannot execute '{sys.executable}' again to save memory, ignoring: {error.strerror}")
    for fd in held.fds():
        os.set_inheritable(fd, False)
    os.close(memory)
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def resumed(environ: Mapping[str, str]) -> Held | None:
    """What rest() has handed over to this image, or None in an image that was started by somebody else.

    The signals are still blocked: signals.Signals unblocks them when it has its handlers.
    """
    number = environ.get(VARIABLE, "")
    if not number.isdecimal():
        return None
    memory = int(number)
    size_bytes = os.fstat(memory).st_size
    data = os.read(memory, size_bytes)
    os.close(memory)
    held = held_room.load(data)
    for fd in held.fds():
        os.set_inheritable(fd, False)
    return held
