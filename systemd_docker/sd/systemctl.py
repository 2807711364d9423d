"""What the service manager knows of a unit, asked through systemctl(1): where its own socket is not for us.

That is so with User= in a unit of the system's manager. systemctl asks the bus then, which has a say in it.
"""

from __future__ import annotations

import os
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping, Sequence
else:
    import _signal as signal

MAX_ANSWER_BYTES = 64 * 1024

_ENVIRONMENT = ("PATH", "HOME", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "SYSTEMCTL_FORCE_BUS")
"""What the child gets of ours; above all not NOTIFY_SOCKET=."""


class Question:
    """`systemctl show`, running. Owns the child and the pipe until answer() or close()."""

    def __init__(
        self,
        unit: str,
        properties: Sequence[str],
        environ: Mapping[str, str],
        *,
        user: bool,
        program: str = "systemctl",
    ) -> None:
        """Raises OSError: ENOENT, there is no systemctl."""
        argv = [program, *(["--user"] if user else []), "show", f"--property={','.join(properties)}", "--", unit]
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
        except OSError:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        self._reader = reader

    def answer(self, deadline: float) -> dict[str, str]:
        """{"KillMode": "mixed", ...} as far as the manager knows the properties, {} where it answered nothing.

        Raises TimeoutError at the deadline (monotonic). Either way the child is gone afterwards.
        """
        text = bytearray()
        poll = select.poll()
        poll.register(self._reader, select.POLLIN)
        try:
            while True:
                left_sec = deadline - time.monotonic()
                if left_sec <= 0 or not poll.poll(left_sec * 1000):
                    raise TimeoutError("systemctl show does not answer")
                piece = os.read(self._reader, 4096)
                text += piece
                if not piece or len(text) > MAX_ANSWER_BYTES:
                    return parse_show(text.decode(errors="replace"))
        finally:
            self.close()

    def close(self) -> None:
        """End the child, whatever it does, and reap it."""
        if self._pid:
            # It is our child until it is reaped, and so it is there.
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            os.close(self._reader)
            self._pid = 0


def parse_show(text: str) -> dict[str, str]:
    """The Key=value lines of systemctl(1)'s show."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
