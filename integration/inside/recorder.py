"""A notification socket that records each datagram: for tests of what exactly is sent to systemd.

Runs in a machine, with the standard library alone:

    recorder.py SOCKET LOG

Each datagram becomes a line of JSON, {"text": "READY=1", "fds": 0}. Descriptors are closed at once, which is what a
BARRIER=1 waits for. Once the socket is open it sends READY=1 itself.
words.recorder starts it and reads its log.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_DATAGRAM_BYTES = 65536
MAX_FDS = 253


def record(sock: socket.socket, log: int) -> None:
    """Receive one datagram and return its line of JSON."""
    data, fds, _flags, _address = socket.recv_fds(sock, MAX_DATAGRAM_BYTES, MAX_FDS)
    line = json.dumps({"text": data.decode(errors="replace"), "fds": len(fds)})
    os.write(log, line.encode() + b"\n")
    for fd in fds:
        os.close(fd)


def main(argv: Sequence[str]) -> None:
    path, log_path = argv
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(path)
        if manager := os.environ.get("NOTIFY_SOCKET"):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
                ready.sendto(b"READY=1", manager)
        while True:
            record(sock, log)


if __name__ == "__main__":
    main(sys.argv[1:])
