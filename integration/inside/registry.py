"""A registry on loopback with one image in it, for pulls that succeed, are refused, or take long.

Runs in a machine, with the standard library alone:

    registry.py --directory=/rootfs --name=app --tag=1 --port=5000 [--login=user:password] [--bytes-per-sec=200000]

Engines take 127.0.0.0/8 for a registry without TLS, so `docker pull 127.0.0.1:5000/app:1` works. Once the socket is
open it sends READY=1 if it is a service of Type=notify, and prints its address. It serves the reading part of the
distribution API, version 2, with an image manifest of version 2, schema 2: a configuration and one compressed layer.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import gzip
import hashlib
import http.server
import io
import json
import os
import platform
import re
import socket
import sys
import tarfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
LAYER_TYPE = "application/vnd.docker.image.rootfs.diff.tar.gzip"
SEARCH_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
POLL_INTERVAL_SEC = 0.02
"""How soon the server notices a request to end."""

PIECES_PER_SEC = 20
"""A throttled blob is sent in so many pieces per second."""


@dataclass(frozen=True, slots=True)
class Image:
    """name, tag: "app", "1". manifest: its JSON; blobs: configuration and layer, by digest."""

    name: str
    tag: str
    manifest: bytes
    blobs: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms on which the image is served.

    login:         "user:password", or "" if none is needed.
    bytes_per_sec: of a blob; 0: as fast as it goes.
    """

    login: str = ""
    bytes_per_sec: int = 0


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def make_image(directory: Path, name: str, tag: str, command: Sequence[str] = ("sh",)) -> Image:
    """Make an image of a directory's contents; the same contents make the same digests."""
    tar = pack(directory)
    layer = gzip.compress(tar, compresslevel=1, mtime=0)
    machine = platform.machine()
    config = json.dumps(
        {
            "architecture": ARCHITECTURES.get(machine, machine),
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {
                "Cmd": list(command),
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            },
            "rootfs": {"type": "layers", "diff_ids": [digest(tar)]},
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "registry.py"}],
        }
    ).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {"mediaType": CONFIG_TYPE, "size": len(config), "digest": digest(config)},
            "layers": [{"mediaType": LAYER_TYPE, "size": len(layer), "digest": digest(layer)}],
        }
    ).encode()
    return Image(name, tag, manifest, {digest(config): config, digest(layer): layer})


def pack(directory: Path) -> bytes:
    """Return a tar archive of a directory's contents, owned by root, without times."""

    def anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = entry.mtime = 0
        entry.uname = entry.gname = ""
        return entry

    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted(directory.iterdir()):
            tar.add(path, arcname=path.name, filter=anonymous)
    return archive.getvalue()


class Handler(http.server.BaseHTTPRequestHandler):
    """GET and HEAD of /v2/, manifests and blobs. The subclass that serving() makes has the image and the terms."""

    protocol_version = "HTTP/1.1"
    # Engines try TLS first, and plain HTTP only after an answer that begins with "HTTP/". Without this, what is no
    # request is taken for HTTP/0.9 and answered without a status line.
    default_request_version = "HTTP/1.1"
    image: Image
    terms: Terms

    def do_GET(self) -> None:
        manifest = re.fullmatch(r"/v2/(.+)/manifests/(.+)", self.path)
        blob = re.fullmatch(r"/v2/(.+)/blobs/(.+)", self.path)
        if not self._is_admitted():
            realm = {"WWW-Authenticate": 'Basic realm="registry.py"'}
            self._refuse(401, "UNAUTHORIZED", "authentication required", realm)
        elif self.path == "/v2/":
            self._answer(200, b"{}")
        elif manifest:
            self._hand_out_manifest(*manifest.groups())
        elif blob:
            self._hand_out_blob(*blob.groups())
        else:
            self._refuse(404, "UNSUPPORTED", "the operation is unsupported")

    do_HEAD = do_GET

    def _is_admitted(self) -> bool:
        expected = "Basic " + base64.b64encode(self.terms.login.encode()).decode()
        return not self.terms.login or self.headers.get("Authorization") == expected

    def _hand_out_manifest(self, name: str, reference: str) -> None:
        if name != self.image.name:
            self._refuse(404, "NAME_UNKNOWN", "repository name not known to registry")
        elif reference not in (self.image.tag, digest(self.image.manifest)):
            self._refuse(404, "MANIFEST_UNKNOWN", "manifest unknown")
        else:
            self._answer(
                200, self.image.manifest, MANIFEST_TYPE, {"Docker-Content-Digest": digest(self.image.manifest)}
            )

    def _hand_out_blob(self, name: str, wanted: str) -> None:
        blob = self.image.blobs.get(wanted) if name == self.image.name else None
        if blob is None:
            self._refuse(404, "BLOB_UNKNOWN", "blob unknown to registry")
        else:
            self._answer(200, blob, "application/octet-stream", {"Docker-Content-Digest": wanted})

    def _refuse(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        self._answer(status, json.dumps({"errors": [{"code": code, "message": message}]}).encode(), headers=headers)

    def _answer(
        self, status: int, body: bytes, content_type: str = "application/json", headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            # An engine whose pull was canceled hangs up.
            with contextlib.suppress(ConnectionError):
                self._send(body, self.terms.bytes_per_sec if content_type == "application/octet-stream" else 0)

    def _send(self, body: bytes, bytes_per_sec: int) -> None:
        size = max(1, bytes_per_sec // PIECES_PER_SEC) if bytes_per_sec else len(body)
        begin = time.monotonic()
        for sent in range(0, len(body), max(1, size)):
            if bytes_per_sec:
                time.sleep(max(0.0, begin + sent / bytes_per_sec - time.monotonic()))
            self.wfile.write(body[sent : sent + size])


@contextlib.contextmanager
def serving(image: Image, terms: Terms, port: int = 0) -> Iterator[int]:
    """Serve a registry from threads of this process on 127.0.0.1; yield the port, a free one for 0.

    Afterwards every thread has ended, once its client has closed the connection.
    """
    handler = type("BoundHandler", (Handler,), {"image": image, "terms": terms})
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        server.daemon_threads = False
        thread = threading.Thread(target=server.serve_forever, args=(POLL_INTERVAL_SEC,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def notify_ready() -> None:
    """Send READY=1 to the service manager, if there is one; see sd_notify(3)."""
    if path := os.environ.get("NOTIFY_SOCKET"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"READY=1", "\0" + path[1:] if path.startswith("@") else path)


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", type=Path, required=True, help="what is in the image")
    parser.add_argument("--name", default="app")
    parser.add_argument("--tag", default="latest")
    parser.add_argument("--port", type=int, default=5000)
    parser.add_argument("--login", default="", metavar="USER:PASSWORD", help="refuse pulls without it")
    parser.add_argument("--bytes-per-sec", type=int, default=0, help="hand out blobs no faster than this")
    arguments = parser.parse_args(argv)
    image = make_image(arguments.directory, arguments.name, arguments.tag)
    with serving(image, Terms(arguments.login, arguments.bytes_per_sec), arguments.port) as port:
        sys.stdout.write(f"127.0.0.1:{port}/{image.name}:{image.tag}\n")
        sys.stdout.flush()
        notify_ready()
        threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1:])
