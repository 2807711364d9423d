"""Tell systemd that systemd-docker was killed, while the payload's leader is the main process.

systemd watches its children. A main process that is not one it looks at only when the unit's cgroup is empty, and
who else dies in there it does not mind: a SIGKILL to us, or a crash, would leave a unit that is active, whose output
nobody relays and whose end nobody reports. So there is a second process, a shell that sleeps in read(2): it holds the
read end of a pipe whose other end is ours alone. When that closes and we have not dismissed it, it names itself the
main process and dies of SIGKILL at once. The manager sees what it would have seen of us, Result=signal, and does what
the unit says for it: KillMode= ends the container, ExecStopPost= and Restart= have their turn.

It is the manager's child from the beginning, because a parent's descriptors close before its children are anybody
else's: named too early it would not be known for a child. It blocks what may be sent to all of a unit, costs 0.1 MB
of memory of its own, and never wakes up; starting it takes 0.3 ms, 2 ms on a busy machine. Where the wrapper is the
main process it is not needed.

Whoever is killed together with us cannot tell. After `systemctl kill -s KILL`, which means all of a unit, the manager
has only an empty cgroup to go by, and with a payload of several processes that is empty too soon: a PID namespace's
first process leaves its cgroup early in do_exit() and is a zombie only when the last of the others is reaped
(zap_pid_ns_processes()), while the cgroup is empty when that one begins to go. If systemd reads /proc/PID/stat in
between (state R was seen), main_pid_good() says yes, and nothing makes it look again: 28 of 140 tries on a busy
machine, none of 80 with a payload of one process, systemd 252 and 257 alike. No process of ours can stay there for as
long as it takes, because nothing that do_exit() waits for before is somebody else's death. One that merely dies late
may win the race: with a mount namespace of its own the guard did not (5 of 40 tries, as without), with an inotify
instance it did (0 of 40; closing one waits for readers in the kernel), but root has no more than 128 of these. And
with cgroup v2 systemd does nothing about a dead child that is neither main nor control process, a closed descriptor
of its store, or MAINPID= of a zombie. WatchdogSec= ends such a unit (Result=watchdog), and a systemd 257 looks again
at daemon-reload.

What would change our mind: a systemd that watches main processes that are not its children by pidfd. Then `MAINPID=`
alone would do.
"""

from __future__ import annotations

import os
import select
import time

from systemd_docker import log
from systemd_docker.kernel.fd import NO_FD

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal

    from systemd_docker.engine.http import Wait
else:
    import _signal as signal

SHELL = "/bin/sh"
TELLER = "systemd-notify"
PATH = "/usr/bin:/bin"

_WATCH = 'read -r _ || { systemd-notify "MAINPID=$$" "STATUS=systemd-docker was killed"; kill -KILL $$; }'
"""systemd-notify(1) comes back when the manager has acted on what it says."""

_LEAVE = '"$@" <&3 3<&- &'
"""Whatever runs in the background of a shell that ends is its manager's child."""

_NAME = "systemd-docker-guard"

START_TIMEOUT_SEC = 5


def start(
    notify_socket: str, wait: Wait, *, shell: str = SHELL, path: str = PATH, timeout_sec: float = START_TIMEOUT_SEC
) -> int:
    """An fd, the caller's: if it closes before dismiss(fd), as it does when we die, the manager is told.

    NO_FD where there is nothing to tell it with; all else is the same then.

    path: where the programs are that tell. timeout_sec: for the shell to leave the guard behind.
    """
    if not any(os.access(f"{directory}/{TELLER}", os.X_OK) for directory in path.split(":")):
        log.debug(f"there is no {TELLER}, so nobody will tell if this process is killed")
        return NO_FD
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        pid = _spawn(shell, reader, {"PATH": path, "NOTIFY_SOCKET": notify_socket})
        _see_leave(pid, wait, time.monotonic() + timeout_sec)
    except OSError as error:
        log.debug(f"cannot run {shell}, so nobody will tell if this process is killed: {error}")
        os.close(writer)
        return NO_FD
    finally:
        os.close(reader)
    return writer


def dismiss(fd: int) -> None:
    """Close fd afterwards, soon or later. That nobody is there any more is fine."""
    try:
        os.write(fd, b"\n")
    except OSError as error:
        log.debug(f"somebody has killed the process that would have told if we were: {error.strerror}")


def _spawn(shell: str, reader: int, environ: dict[str, str]) -> int:
    return os.posix_spawn(
        shell,
        [shell, "-c", _LEAVE, _NAME, shell, "-c", _WATCH, _NAME],
        environ,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, reader, 3),
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        ],
        # A shell waits for its children by SIGCHLD.
        setsigmask=signal.valid_signals() - {signal.SIGCHLD},
        setsigdef=(signal.SIGCHLD, signal.SIGPIPE),
    )


def _see_leave(pid: int, wait: Wait, deadline: float) -> None:
    """Reap the shell that starts the one that stays. Raises TimeoutError: it does not end, and has been killed."""
    pidfd = os.pidfd_open(pid)
    try:
        wait(pidfd, select.POLLIN, deadline)
    except TimeoutError:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        raise
    finally:
        os.close(pidfd)
        os.waitpid(pid, 0)
