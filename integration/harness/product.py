"""The product as a layer over a base root: systemd-docker, installed as the README describes.

The one module of the harness that knows what is tested."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from integration.harness import cache, images, vm
from integration.harness.leash import run_on_leash
from integration.harness.nspawn import booted
from integration.harness.root import SUITES, base_root

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from integration.harness.machine import Machine, Spec
    from integration.harness.root import Suite

REPOSITORY = Path(__file__).parents[2]

SOURCES = ("pyproject.toml", "README.md", "systemd_docker", "units")
"""The files that the wheel is built from."""

INSTALL = """
python3 -m venv --system-site-packages /opt/systemd-docker
/opt/systemd-docker/bin/pip install --quiet --no-index --no-deps /tmp/*.whl
/opt/systemd-docker/bin/systemd-docker install-system
"""

# In an overlay, so that the layer has only what the installation changed; without any network.
_IN_ROOT = """
mount -t tmpfs work "$3"
mkdir "$3/work" "$3/upper" "$3/root"
mount -t overlay -o "lowerdir=$1,upperdir=$3/upper,workdir=$3/work" root "$3/root"
mount -t proc proc "$3/root/proc"
mount --bind /dev "$3/root/dev"
mount -t tmpfs tmp "$3/root/tmp"
cp "$2"/*.whl "$3/root/tmp"
env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 unshare --net chroot "$3/root" sh -euc "$5"
mkdir "$4"
cp -a "$3/upper/." "$4"
"""


@contextlib.contextmanager
def installed(spec: Spec, *, binds: Sequence[str] = ()) -> Iterator[Machine]:
    """Boot a fresh machine with the product installed, and busybox:musl in its engine.

    binds: see nspawn.booted(); a machine with a kernel of its own has none.
    """
    if SUITES[spec.suite].has_kernel:
        with vm.booted(spec) as machine:
            machine.copy(layer(SUITES[spec.suite]), "/")
            machine.run("systemctl daemon-reload")
            yield machine
        return
    with booted(spec, layers=[layer(SUITES[spec.suite])], binds=binds) as machine:
        images.load_busybox(machine)
        yield machine


def layer(suite: Suite) -> Path:
    """Return the directory of what the installation adds to a suite's base root. A first call takes seconds."""
    root = base_root(suite)
    recipe = cache.digest(root.name, source_digest(), INSTALL, _IN_ROOT)
    return cache.entry(f"product-{suite.name}", recipe, lambda path: _install(root, path))


def wheel() -> Path:
    """Return the directory that holds only the checkout's wheel."""
    return cache.entry("wheel", source_digest(), _build_wheel)


def _build_wheel(directory: Path) -> None:
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation", "--no-index"]
    command = [sys.executable, "-m", "pip", "wheel", *options, f"--wheel-dir={directory}", str(REPOSITORY)]
    subprocess.run(command, check=True)


def _install(root: Path, layer: Path) -> None:
    with tempfile.TemporaryDirectory(dir=cache.DIRECTORY) as work:
        run_on_leash(["sh", "-euc", _IN_ROOT, "install", str(root), str(wheel()), work, str(layer), INSTALL])


def source_digest() -> str:
    """Return the hash of the checkout's files, committed or not."""
    return cache.digest(*((str(path), hashlib.sha256(path.read_bytes()).hexdigest()) for path in sorted(_sources())))


def _sources() -> Iterator[Path]:
    for source in (REPOSITORY / name for name in SOURCES):
        if source.is_file():
            yield source
        for directory, _children, files in os.walk(source):
            yield from (Path(directory, name) for name in files if not name.endswith(".pyc"))
