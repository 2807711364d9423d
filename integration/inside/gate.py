"""A proxy of the engine's socket that holds one kind of request: an engine that hangs there.

Runs in a machine, with the standard library alone:

    gate.py SOCKET ENGINE DIRECTORY

DIRECTORY/shut holds a word and a regular expression, "request POST .*/start": matching requests are not forwarded
while the file exists; with "answer" they are, but the engine's answer is held. Each held request becomes a line of
DIRECTORY/held. A connection carries one request, as systemd-docker's do. Once the socket is open it sends READY=1.
An engine that answers badly is engine_proxy.py.
"""

from __future__ import annotations

import os
import re
import select
import socket
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CHUNK_BYTES = 65536

LOOK_AGAIN_SEC = 0.02


class Gate:
    def __init__(self, engine: str, directory: str) -> None:
        self._engine = engine
        self._directory = directory

    def serve(self, client: socket.socket) -> None:
        """Serve one connection until both ends are closed."""
        with client, socket.socket(socket.AF_UNIX) as engine:
            data = client.recv(CHUNK_BYTES)
            line = data.partition(b"\r\n")[0].decode()
            if data and self._lets_pass("request", line, client):
                engine.connect(self._engine)
                engine.sendall(data)
                answers = threading.Thread(target=self._pass_answers, args=(engine, client, line))
                answers.start()
                copy(client, engine)
                answers.join()

    def _pass_answers(self, engine: socket.socket, client: socket.socket, line: str) -> None:
        data = engine.recv(CHUNK_BYTES)
        if data and self._lets_pass("answer", line, client):
            try:
                client.sendall(data)
                copy(engine, client)
            except OSError:
                pass
        client.close()
        engine.close()

    def _lets_pass(self, side: str, line: str, client: socket.socket) -> bool:
        """Wait while the gate is shut for this request; return False if the client hung up."""
        if not self._is_shut(side, line):
            return True
        with open(f"{self._directory}/held", "a") as held:
            held.write(f"{side} {line}\n")
        poll = select.poll()
        poll.register(client, select.POLLRDHUP)
        while self._is_shut(side, line):
            if poll.poll(LOOK_AGAIN_SEC * 1000):
                return False
        return True

    def _is_shut(self, side: str, line: str) -> bool:
        try:
            with open(f"{self._directory}/shut") as shut:
                wanted_side, _, pattern = shut.read().strip().partition(" ")
        except FileNotFoundError:
            return False
        return wanted_side == side and re.search(pattern, line) is not None


def copy(source: socket.socket, target: socket.socket) -> None:
    """Copy until the end of source, and pass the end on to target."""
    try:
        while data := source.recv(CHUNK_BYTES):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def main(argv: Sequence[str]) -> None:
    path, engine, directory = argv
    gate = Gate(engine, directory)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(64)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            ready.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
        while True:
            client, _ = listener.accept()
            threading.Thread(target=gate.serve, args=(client,), daemon=True).start()


if __name__ == "__main__":
    main(sys.argv[1:])
