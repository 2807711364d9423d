"""Properties of a unit, read with `systemctl show`: for hosts where systemd cannot be asked on a bus."""

from __future__ import annotations

import errno
import os
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Mapping, Sequence

    Wait = Callable[[int, int, float], None]
else:
    import _signal as signal

MAX_ANSWER_BYTES = 1024 * 1024
"""Some hundred bytes, and the unit's command lines."""

_ENVIRONMENT = (
    "PATH",
    "HOME",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    "DBUS_SYSTEM_BUS_ADDRESS",
    "SYSTEMCTL_FORCE_BUS",
)
"""Variables that the child gets; above all not NOTIFY_SOCKET=."""


class Query:
    """`systemctl show`, running. Owns the child and the pipe until answer() or close()."""

    def __init__(
        self,
        unit: str,
        properties: Sequence[str],
        environ: Mapping[str, str],
        *,
        is_user: bool,
        program: str = "systemctl",
    ) -> None:
        """Raises OSError: ENOENT, there is no systemctl."""
        argv = [program, *(["--user"] if is_user else []), "show", f"--property={','.join(properties)}", "--", unit]
        kept = {name: environ[name] for name in _ENVIRONMENT if name in environ} | {"LC_ALL": "C", "PAGER": ""}
        reader, writer = os.pipe2(os.O_CLOEXEC)
        try:
            self._pid = os.posix_spawnp(
                program,
                argv,
                kept,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, writer, 1),
                    (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0),
                ],
                setsigdef=(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE),
            )
        except OSError as error:
            os.close(reader)
            raise OSError(error.errno, error.strerror, program) from None
        finally:
            os.close(writer)
        self._reader = reader

    def answer(self, wait: Wait, deadline: float) -> dict[str, list[str]]:
        """{"KillMode": ["mixed"], ...}: the properties that systemd knows. The child is gone afterwards.

        Raises OSError where systemctl printed nothing. What wait raises passes through.
        """
        text = bytearray()
        try:
            while True:
                wait(self._reader, select.POLLIN, deadline)
                piece = os.read(self._reader, 64 * 1024)
                text += piece
                if not piece or len(text) > MAX_ANSWER_BYTES:
                    break
        finally:
            self.close()
        if not text:
            raise OSError(errno.ENODATA, "printed nothing", "systemctl show")
        return parse_show(text.decode(errors="replace"))

    def close(self) -> None:
        """Kill the child, and reap it."""
        if self._pid:
            # The child's PID stays its own until it is reaped.
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            os.close(self._reader)
            self._pid = 0


def parse_show(text: str) -> dict[str, list[str]]:
    """The Name=value lines of `systemctl show`: a property that takes several values has several lines."""
    shown: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals:
            shown.setdefault(name, []).append(value)
    return shown
