"""systemd's end of a notification socket: what it was told, and barriers that hold until the test drops them."""

from __future__ import annotations

import os
import select
import socket
import time
from pathlib import Path

MAX_FDS = 8

PATIENCE_SEC = 10
"""Real time that expect() waits."""


class Manager:
    """path: for $NOTIFY_SOCKET. barriers: descriptors of BARRIER=1 that have come, closed by release() or close()."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.barriers: list[int] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(self.path)

    def receive(self) -> tuple[str, list[int]] | None:
        """Return the next message and its descriptors, which are the caller's; None where there is none."""
        try:
            data, fds, _flags, _address = socket.recv_fds(self._socket, 65536, MAX_FDS)
        except BlockingIOError:
            return None
        return data.decode(), fds

    def received(self) -> list[str]:
        """Return the messages that have come since the last call; barriers are kept, and not among them."""
        messages = []
        while (received := self.receive()) is not None:
            text, fds = received
            self.barriers += fds
            if text != "BARRIER=1":
                messages.append(text)
        return messages

    def expect(self, variable: str) -> str:
        """Return the first assignment of variable, "READY=", that comes; messages before it are dropped."""
        deadline = time.monotonic() + PATIENCE_SEC
        while (left_sec := deadline - time.monotonic()) > 0:
            select.select([self._socket], [], [], left_sec)
            for message in self.received():
                for line in message.splitlines():
                    if line.startswith(variable):
                        return line
        raise TimeoutError(f"gave up waiting for {variable}")

    def release(self) -> None:
        """Act on everything that came before the barriers."""
        self.received()
        while self.barriers:
            os.close(self.barriers.pop())

    def go_away(self) -> None:
        """From now on messages are refused; what has come stays."""
        os.unlink(self.path)

    def close(self) -> None:
        while self.barriers:
            os.close(self.barriers.pop())
        self._socket.close()
