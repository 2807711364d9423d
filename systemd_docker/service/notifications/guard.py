"""Tell systemd that systemd-docker was killed, while the payload's leader is the unit's main process.

systemd watches its children only. With another main process it does not notice that systemd-docker dies, nor always
that all processes of the unit do: when all are killed, it looks at the main process when the cgroup is empty,
and the leader, PID 1 of its namespace, may not be a zombie yet (kernels before 6.19). So there is a guard: a shell
that sleeps in read(2) on a pipe whose other end is systemd-docker's alone. When that closes without dismiss(), the
guard names itself the main process and kills itself, and systemd sees what it would have seen of systemd-docker.

The guard lives in systemd-docker-guards.service where it can, out of reach of `systemctl kill -s KILL`, and moves
itself back into the unit's cgroup to speak for it. Of 200 units killed at once, 3 stayed active with systemd 252 and
none with 257 and 262: a guard that is back while systemd still goes through the unit's processes is killed with them.
It is systemd's child from the beginning, because a dying process's descriptors close before its children get another
parent. It blocks what may be sent to all of a unit, costs 0.1 MB and never wakes up. A systemd that watches main
processes that are not its children by pidfd would make it superfluous.
"""

from __future__ import annotations

import os
import select
import time

from systemd_docker import log
from systemd_docker.frozen import frozen
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

NAME = "systemd-docker-guard"
"""What ps(1) and `systemctl status` show."""

HOME = "system.slice/systemd-docker-guards.service"
"""The cgroup of the guards' own service."""

SCRIPT = b"""\
{
    exec 3<&-
    [ -z "$HOME_PROCS" ] || { exec 4>"$UNIT_PROCS"; echo 0 >"$HOME_PROCS"; }
    read -r self _ </proc/self/stat
    read -r _ && exit
    [ -z "$HOME_PROCS" ] || echo 0 >&4 || exit
    systemd-notify "MAINPID=$self" "STATUS=systemd-docker was killed"
    kill -KILL "$self"
} <&3 2>/dev/null &
"""
"""What runs in the background of a shell that ends is systemd's child. /proc/self/stat, because $$ is the shell's.
systemd-notify(1) returns when systemd has acted on the message, which it accepts only from inside the unit's cgroup.
That one is held open: once removed it refuses with ENODEV, and one of the same name is the next invocation's."""

START_TIMEOUT_SEC = 5


@frozen
class Place:
    """home: the cgroup.procs of the guards' service, "" to stay in the unit; unit: that of the unit's cgroup."""

    home: str = ""
    unit: str = ""


def place_of(mount: str, own_path: str) -> Place:
    """Return where a guard lives, on a cgroup v2 hierarchy; in the unit where it cannot live in its own service.

    mount: of the hierarchy; own_path: this process's cgroup.
    """
    home = f"{mount}/{HOME}/cgroup.procs"
    unit = f"{mount}{own_path}/cgroup.procs"
    return Place(home, unit) if os.access(home, os.W_OK) and os.access(unit, os.W_OK) else Place()


def start(
    notify_socket: str,
    place: Place,
    wait: Wait,
    *,
    shell: str = SHELL,
    path: str = PATH,
    timeout_sec: float = START_TIMEOUT_SEC,
) -> int:
    """Return an fd, the caller's: systemd is told if it closes, as at this process's death, before dismiss(fd).

    NO_FD where there is nothing to tell it with; everything else is the same then.

    path: where the programs are that tell. timeout_sec: for the shell to leave the guard behind.
    """
    if not any(os.access(f"{directory}/{TELLER}", os.X_OK) for directory in path.split(":")):
        log.debug(f"there is no {TELLER}: systemd will not notice if systemd-docker is killed")
        return NO_FD
    reader, writer = os.pipe2(os.O_CLOEXEC)
    script = os.memfd_create(NAME, 0)
    try:
        os.write(script, SCRIPT)
        environ = {"PATH": path, "NOTIFY_SOCKET": notify_socket, "HOME_PROCS": place.home, "UNIT_PROCS": place.unit}
        pid = _spawn(shell, script, reader, environ)
        _see_leave(pid, wait, time.monotonic() + timeout_sec)
    except OSError as error:
        log.debug(f"cannot run {shell}: systemd will not notice if systemd-docker is killed: {error}")
        os.close(writer)
        return NO_FD
    finally:
        os.close(reader)
        os.close(script)
    return writer


def dismiss(fd: int) -> None:
    """Have the guard end silently; the caller closes fd afterwards. A guard that is gone is fine."""
    try:
        os.write(fd, b"\n")
    except OSError as error:
        log.debug(f"the guard was killed before: {error.strerror}")


def _spawn(shell: str, script: int, reader: int, environ: dict[str, str]) -> int:
    return os.posix_spawn(
        shell,
        [NAME, f"/proc/self/fd/{script}"],
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
    """Reap the shell that has started the guard. Raises TimeoutError: it does not end, and was killed."""
    pidfd = os.pidfd_open(pid)
    try:
        wait(pidfd, select.POLLIN, deadline)
    except TimeoutError:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        raise
    finally:
        os.close(pidfd)
        os.waitpid(pid, 0)
