"""Runs inside a machine: how long the engine itself takes to run a container, asked by a client that is warm.

    python3 bench_engine.py '{"path": "/v1.45/containers/create", "body": {…}, …}'

The argument is what `systemd-docker --dry-run --print=api run` prints. Prints the ms from the create request to the
answer of the inspection that follows the start, which is what lies between them for systemd-docker, too.
"""

from __future__ import annotations

import http.client
import json
import socket
import sys
import time

SOCKET = "/run/docker.sock"


class Connection(http.client.HTTPConnection):
    def __init__(self) -> None:
        super().__init__("docker")

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(SOCKET)


def ask(method: str, path: str, body: object = None) -> bytes:
    connection = Connection()
    headers = {"Content-Type": "application/json"} if body is not None else {}
    connection.request(method, path, json.dumps(body) if body is not None else None, headers)
    answer = connection.getresponse()
    data = answer.read()
    if answer.status >= 400:
        sys.exit(f"{method} {path}: {answer.status} {data.decode()}")
    return data


def main() -> None:
    request = json.loads(sys.argv[1])
    began = time.monotonic()
    container = json.loads(ask("POST", request["path"], request["body"]))["Id"]
    ask("POST", f"/containers/{container}/start")
    ask("GET", f"/containers/{container}/json")
    print((time.monotonic() - began) * 1000)
    ask("DELETE", f"/containers/{container}?force=1")


if __name__ == "__main__":
    main()
