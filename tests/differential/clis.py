"""The docker CLIs to compare with: the one on PATH, and Debian's, unpacked where nothing is installed.

`python -m tests.differential.clis` fetches Debian's docker CLIs, of the releases whose engines we support, into the
user's cache directory; it needs apt and dpkg-deb, but not root. Tests take what is there: a CLI that was built from
its source belongs there as well, as CACHE/NAME/usr/bin/docker.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "systemd-docker" / "docker-cli"

SUITES = {"bookworm": "docker.io", "trixie": "docker-cli", "sid": "docker-cli"}
"""Debian releases and the package of each that has the CLI."""


def commands() -> Iterator[str]:
    on_path = shutil.which("docker")
    if on_path:
        yield on_path
    yield from sorted(str(path) for path in CACHE.glob("*/usr/bin/docker"))


def fetch(suite: str, package: str) -> None:
    """Unpack a suite's package below CACHE, from the mirror that this machine's apt uses, in an apt of its own."""
    target = CACHE / suite
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for directory in ("lists/partial", "cache/archives/partial", "state"):
            (root / directory).mkdir(parents=True)
        (root / "status").touch()
        (root / "sources.list").write_text(f"deb [signed-by={_keyring()}] {_mirror()} {suite} main\n")
        options = {
            "Dir::Etc::sourcelist": root / "sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::State": root / "state",
            "Dir::State::lists": root / "lists",
            "Dir::State::status": root / "status",
            "Dir::Cache": root / "cache",
            "APT::Sandbox::User": "root",
        }
        apt = ["apt-get", "-qq", *(f"-o{key}={value}" for key, value in options.items())]
        subprocess.run([*apt, "update"], cwd=root, check=True)
        subprocess.run([*apt, "download", package], cwd=root, check=True)
        [archive] = root.glob("*.deb")
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        subprocess.run(["dpkg-deb", "--extract", str(archive), str(target)], check=True)


def _keyring() -> str:
    return "/usr/share/keyrings/debian-archive-keyring.gpg"


def _mirror() -> str:
    """Where this machine gets Debian's packages from."""
    command = ["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages", "Origin: Debian"]
    sites = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return next(site for site in sites if site.rstrip("/").endswith("debian"))


if __name__ == "__main__":
    for suite, package in SUITES.items():
        fetch(suite, package)
