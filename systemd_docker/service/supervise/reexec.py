"""Execute systemd-docker again, once, when the container has run for a moment: the start's memory is given back.

Reading a command line, its tables, JSON and the engine's answers take 4 MB, which a service would keep for as long as
its container runs, and which Python does not give back. So when the container has run for REEXEC_AFTER_SEC and
nothing is under way, the process replaces itself by a new image of the same program with the same PID, cgroup and
descriptors, which imports only what supervising needs, all at once: nothing that an upgrade of the package replaces
is loaded later. systemd does the same at daemon-reexec. It costs 15 ms of CPU, once, and nothing where the container
ends earlier.

Nothing is lost meanwhile: signals are blocked over execve(2) and stay pending, bytes wait in their sockets, and a
pidfd stays readable. A signal already caught but not yet handled would be lost, so there is no re-execution then; nor
where the program on disk is not the one that runs.
"""

from __future__ import annotations

import os

from systemd_docker import log, program
from systemd_docker.kernel.fd import owned_fds
from systemd_docker.kernel.signals import HANDLED
from systemd_docker.service.supervise.state import ServiceState, dump, load

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Mapping
else:
    import _signal as signal

REEXEC_AFTER_SEC = 2
"""Long enough that a crash loop or a short job does not pay for it."""

REEXEC_DELAY_FACTOR = 1.1
"""From one try to the next, where something was under way."""

LOCALE = {"LC_ALL": "C"}
"""Python uses UTF-8 whatever it is (-Xutf8); C.UTF-8's tables would be 124 kB of memory."""


def reexec(state: ServiceState, environ: Mapping[str, str], has_caught: Callable[[], bool]) -> None:
    """Become a new image that continues from state. Returns only where that is not possible, with a line in the log.

    has_caught: returns whether a signal was caught and not handled yet.
    """
    if not program.is_unchanged():
        log.debug("the program or its libraries were replaced: this image supervises to the end")
        return
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    memory = os.memfd_create("systemd-docker-state")
    fds = (memory, *owned_fds(state))
    try:
        os.write(memory, dump(state))
        os.lseek(memory, 0, os.SEEK_SET)
        for fd in fds:
            os.set_inheritable(fd, True)
        if not has_caught():
            program.execute_again({**environ, **LOCALE, program.RESUME_VARIABLE: str(memory)})
    except OSError as error:
        log.info(f"systemd-docker keeps the memory of its start, it cannot execute itself again: {error.strerror}")
    for fd in fds:
        os.set_inheritable(fd, False)
    os.close(memory)
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def resumed(environ: Mapping[str, str]) -> ServiceState:
    """Return the state that reexec() handed over to this image. Its descriptors are closed on exec again.

    The signals are still blocked: kernel.signals.Signals unblocks them when it has its handlers.
    Raises StateError; OSError: EBADF, the variable names no descriptor.
    """
    memory = int(environ[program.RESUME_VARIABLE])
    data = os.read(memory, os.fstat(memory).st_size)
    os.close(memory)
    state = load(data)
    for fd in owned_fds(state):
        os.set_inheritable(fd, False)
    return state
