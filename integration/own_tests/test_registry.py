"""inside.registry serves an image as engines request it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import http.client
import io
import json
import os
import socket
import subprocess
import sys
import tarfile
import time
from contextlib import closing
from pathlib import Path

import pytest

from integration.inside import registry
from integration.inside.registry import Terms, make_image, serving

OPEN = Terms()


@pytest.fixture
def image(tmp_path: Path) -> registry.Image:
    (tmp_path / "root" / "bin").mkdir(parents=True)
    (tmp_path / "root" / "bin" / "sh").write_bytes(b"#!")
    (tmp_path / "root" / "bin" / "sh").chmod(0o755)
    return make_image(tmp_path / "root", "team/app", "1")


def get(port: int, path: str, *, method: str = "GET", login: str = "") -> tuple[int, http.client.HTTPMessage, bytes]:
    headers = {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()} if login else {}
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read()


def test_an_image_is_found_by_its_tag_and_is_what_its_digests_say(image: registry.Image) -> None:
    with serving(image, OPEN) as port:
        _, headers, body = get(port, "/v2/team/app/manifests/1")
        by_digest = get(port, f"/v2/team/app/manifests/{headers['Docker-Content-Digest']}")[2]
        manifest = json.loads(body)
        parts = [manifest["config"], *manifest["layers"]]
        config, layer = (get(port, f"/v2/team/app/blobs/{part['digest']}")[2] for part in parts)

    assert by_digest == body
    assert headers["Content-Type"] == manifest["mediaType"] == registry.MANIFEST_TYPE
    for part, blob in zip(parts, (config, layer), strict=True):
        assert (part["size"], part["digest"]) == (len(blob), f"sha256:{hashlib.sha256(blob).hexdigest()}")
    tar = gzip.decompress(layer)
    assert json.loads(config)["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(tar).hexdigest()}"]
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        assert [(entry.name, entry.mode, entry.uid) for entry in archive] == [("bin", 0o755, 0), ("bin/sh", 0o755, 0)]


def test_the_same_directory_makes_the_same_image(image: registry.Image, tmp_path: Path) -> None:
    os.utime(tmp_path / "root" / "bin" / "sh", (1, 1))

    assert make_image(tmp_path / "root", "team/app", "1") == image


@pytest.mark.parametrize("path", ["/v2/", "/v2/team/app/manifests/1"])
def test_head_is_get_without_a_body(path: str, image: registry.Image) -> None:
    with serving(image, OPEN) as port:
        status, headers, body = get(port, path, method="HEAD")
        full = get(port, path)

    assert (status, body) == (200, b"")
    assert headers["Content-Length"] == str(len(full[2]))
    assert headers["Docker-Distribution-Api-Version"] == "registry/2.0"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v2/other/manifests/1", "NAME_UNKNOWN"),
        ("/v2/team/app/manifests/2", "MANIFEST_UNKNOWN"),
        ("/v2/team/app/blobs/sha256:00", "BLOB_UNKNOWN"),
        ("/v1/", "UNSUPPORTED"),
    ],
)
def test_what_is_not_there_is_refused_by_its_code(path: str, code: str, image: registry.Image) -> None:
    with serving(image, OPEN) as port:
        status, _, body = get(port, path)

    assert (status, json.loads(body)["errors"][0]["code"]) == (404, code)


def test_a_client_that_tries_tls_learns_that_this_is_http(image: registry.Image) -> None:
    with serving(image, OPEN) as port, socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(b"\x16\x03\x01\x00\x05hello\n")

        assert sock.recv(64).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(("login", "status"), [("", 401), ("user:wrong", 401), ("user:secret", 200)])
def test_pulls_need_the_login(login: str, status: int, image: registry.Image) -> None:
    with serving(image, Terms(login="user:secret")) as port:
        answers = [get(port, path, login=login) for path in ("/v2/", "/v2/team/app/manifests/1")]

    assert [answer[0] for answer in answers] == [status, status]
    assert [answer[1]["WWW-Authenticate"] for answer in answers if answer[0] == 401] == [
        'Basic realm="registry.py"'
    ] * (2 if status == 401 else 0)


def test_a_throttled_blob_takes_its_time(image: registry.Image) -> None:
    largest = max(image.blobs, key=lambda digest: len(image.blobs[digest]))
    size_bytes = len(image.blobs[largest])
    began = time.monotonic()
    with serving(image, Terms(bytes_per_sec=size_bytes * 4)) as port:
        body = get(port, f"/v2/team/app/blobs/{largest}")[2]

    assert body == image.blobs[largest]
    assert time.monotonic() - began > 0.15, "a quarter of a second, less the last piece"


def test_an_engine_that_hangs_up_is_no_trouble(image: registry.Image, capsys: pytest.CaptureFixture[str]) -> None:
    largest = max(image.blobs, key=lambda digest: len(image.blobs[digest]))
    with serving(image, Terms(bytes_per_sec=len(image.blobs[largest]) * 4)) as port:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
            connection.request("GET", f"/v2/team/app/blobs/{largest}")
            connection.getresponse().close()
        assert get(port, "/v2/")[0] == 200

    assert "Traceback" not in capsys.readouterr().err


def test_it_runs_from_one_file_and_says_when_it_is_ready(image: registry.Image, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        notify.settimeout(10)
        argv = [sys.executable, "-IS", registry.__file__, f"--directory={tmp_path / 'root'}", "--port=0", "--tag=2"]
        environ = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        with subprocess.Popen(argv, env=environ, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert notify.recv(64) == b"READY=1"
                assert process.stdout is not None
                address, _, name = process.stdout.readline().strip().partition("/")
                assert name == "app:2"
                assert get(int(address.rpartition(":")[2]), "/v2/app/manifests/2")[0] == 200
            finally:
                process.kill()
