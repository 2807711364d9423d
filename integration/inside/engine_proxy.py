"""A proxy of the engine's socket that answers badly on request: for the fault table.

Runs in a machine, with the standard library alone:

    engine_proxy.py SOCKET SAYS

The file SAYS names the answer to each new connection: "error", "garbage" or "silence"; without the file, connections
go to the engine. SIGHUP closes all connections. An engine that hangs at one request is gate.py.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

ENGINE = "/run/docker.sock"

PIECE_BYTES = 65536

_MESSAGE = b'{"message": "the engine said so"}'

ANSWERS = {
    "error": b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_MESSAGE), _MESSAGE),
    "garbage": b"\0\1\2 what is this\r\n\r\n",
    "silence": b"",
}


def said(path: str) -> str:
    try:
        with open(path) as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""


def serve(client: socket.socket, path: str) -> None:
    """Serve one connection, in a process of its own."""
    if (answer := ANSWERS.get(said(path))) is not None:
        client.recv(PIECE_BYTES)
        client.sendall(answer)
        if not answer:
            client.recv(1)
        return
    with socket.socket(socket.AF_UNIX) as engine:
        engine.connect(ENGINE)
        _join(client, engine)


def _join(client: socket.socket, engine: socket.socket) -> None:
    """Copy in both directions until both have ended."""
    other = {client: engine, engine: client}
    open_ends = [client, engine]
    while open_ends:
        for end in select.select(open_ends, [], [])[0]:
            data = end.recv(PIECE_BYTES)
            if data:
                other[end].sendall(data)
            else:
                other[end].shutdown(socket.SHUT_WR)
                open_ends.remove(end)


def main(argv: Sequence[str]) -> None:
    path, says = argv
    children: set[int] = set()

    def cut(_signo: int, _frame: FrameType | None) -> None:
        for child in children:
            os.kill(child, signal.SIGKILL)

    signal.signal(signal.SIGHUP, cut)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            ready.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
        while True:
            client, _ = listener.accept()
            while children and (ended := os.waitpid(-1, os.WNOHANG)[0]):
                children.discard(ended)
            if child := os.fork():
                children.add(child)
                client.close()
            else:
                signal.signal(signal.SIGHUP, signal.SIG_IGN)
                listener.close()
                try:
                    serve(client, says)
                finally:
                    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
