#!/usr/bin/python3
"""Run commands in a machine on an emulator: a service inside, and a client outside that is used like nsenter(1).

One TCP connection is one command. The service greets, with one byte: an emulator accepts connections long before
there is a service behind them. The client sends a line of JSON, {"argv": [...], "environment": {...}}, and then the
command's standard input until it shuts that direction down. The service sends frames: a byte that is the file
descriptor, 1 or 2, the length in four bytes, and the command's output; last a 0 with the exit status instead of a
length. The service is one process that waits and forks: an emulated processor takes half a second to start Python.

As a program without arguments it is the service, with arguments the client. Runs in a machine, with the standard
library alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

PORT = 7000

CGROUP = "commands"
"""Commands belong to no unit, like those that nsenter(1) runs in other machines."""

TREES = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd")
"""Mount points of the hierarchy by which systemd knows a process's unit: v2 alone, hybrid, legacy."""

GREETING = b"+"
GREETING_TIMEOUT_SEC = 5

NO_ANSWER = 255
"""The client's exit status when the machine goes away."""

_HEAD = struct.Struct("!BI")
_FINISHED = 0
_CHUNK_BYTES = 65536


def serve() -> None:
    """Answer requests as long as the machine runs."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that the kernel reaps children
    with socket.create_server(("", PORT)) as server:
        while True:
            connection, _address = server.accept()
            if os.fork() == 0:
                server.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                # BrokenPipeError: the client was killed. The command ends when it writes, or by timeout(1).
                with connection, contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    _answer(connection)
                os._exit(0)
            connection.close()


def _answer(connection: socket.socket) -> None:
    connection.sendall(GREETING)
    for tree in TREES:
        if os.path.exists(f"{tree}/cgroup.procs"):
            os.makedirs(f"{tree}/{CGROUP}", exist_ok=True)
            with open(f"{tree}/{CGROUP}/cgroup.procs", "w") as procs:
                procs.write("0")
    request = json.loads(_first_line(connection))
    process = subprocess.Popen(
        request["argv"],
        stdin=connection.fileno(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=request["environment"],
        cwd="/",
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, 1)
        selector.register(process.stderr, selectors.EVENT_READ, 2)
        while selector.get_map():
            for key, _events in selector.select():
                if data := os.read(key.fd, _CHUNK_BYTES):
                    connection.sendall(_HEAD.pack(key.data, len(data)) + data)
                else:
                    selector.unregister(key.fileobj)
    status = process.wait()
    connection.sendall(_HEAD.pack(_FINISHED, status if status >= 0 else 128 - status))


def _first_line(connection: socket.socket) -> bytes:
    """Read one line, and no byte more: the rest is the command's standard input."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = connection.recv(1)
        if not byte:
            raise ConnectionResetError("no request")
        line += byte
    return bytes(line)


def call(argv: Sequence[str]) -> int:
    """Run argv in the machine of this network namespace; return its exit status, or NO_ANSWER."""
    request = json.dumps({"argv": argv, "environment": dict(os.environ)})
    try:
        with socket.create_connection(("127.0.0.1", PORT), timeout=GREETING_TIMEOUT_SEC) as connection:
            if connection.recv(len(GREETING)) != GREETING:
                raise ConnectionResetError("no greeting")
            connection.settimeout(None)
            connection.sendall(request.encode() + b"\n")
            return _converse(connection)
    except OSError as error:
        sys.stderr.write(f"the machine does not answer: {error}\n")
        return NO_ANSWER


def _converse(connection: socket.socket) -> int:
    """Forward standard input to the command, and its output to this process's."""
    with selectors.PollSelector() as selector:  # poll(2) takes regular files and /dev/null as well
        selector.register(connection, selectors.EVENT_READ)
        selector.register(0, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _events in selector.select()}
            if 0 in ready:
                data = os.read(0, _CHUNK_BYTES)
                if data:
                    connection.sendall(data)
                else:
                    selector.unregister(0)
                    connection.shutdown(socket.SHUT_WR)
            if connection in ready and (status := _pass_on(connection)) is not None:
                return status


def _pass_on(connection: socket.socket) -> int | None:
    """Write one frame to its file descriptor; return the exit status if it was the last frame."""
    head = connection.recv(_HEAD.size, socket.MSG_WAITALL)
    if len(head) < _HEAD.size:
        raise ConnectionResetError("it ended before the command")
    fd, number = _HEAD.unpack(head)
    if fd == _FINISHED:
        return int(number)
    with open(fd, "wb", closefd=False) as stream:
        stream.write(connection.recv(number, socket.MSG_WAITALL))
    return None


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(call(sys.argv[1:]))
    serve()
