"""Container images made from Debian packages, for engines that reach no registry.

Machines' own root directories are in root.py, the registry for tests of pulls is in inside.registry."""

from __future__ import annotations

import io
import shlex
import subprocess
import tarfile
from typing import TYPE_CHECKING

from integration.harness import cache
from integration.harness.root import SLIM, SUITES, base_root, bootstrap

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from integration.harness.machine import Machine

BUSYBOX = "busybox:musl"

_PASSWD = "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/false\nnobody:x:65534:65534::/:/bin/false\n"
_GROUP = "root:x:0:\nwww-data:x:33:\nnogroup:x:65534:\n"

_PACKAGE_OPTIONS = (
    "--mode=root",
    "--format=tar",
    *SLIM,
    "--customize-hook=rm -rf $1/var/lib/apt/lists $1/var/cache/apt",
)


def load(machine: Machine, tree: Path, name: str, *changes: str) -> None:
    """Import a tar archive into the machine's engine as NAME; changes are Dockerfile lines, e.g. 'CMD ["sh"]'."""
    words = shlex.join(word for change in changes for word in ("--change", change))
    machine.run(f"docker import {words} - {shlex.quote(name)}", stdin=tree.read_bytes())


def load_busybox(machine: Machine) -> None:
    """Load busybox:musl, made of Debian's busybox-static: it runs sh by default and has all applets in /bin/."""
    load(machine, busybox(machine.spec.suite), BUSYBOX, 'CMD ["sh"]')


def busybox(suite: str) -> Path:
    """Return a tar archive of 2 MB: an essential user database, /tmp, and busybox under the name of every applet."""
    root = base_root(SUITES[suite])
    return cache.entry("busybox", cache.digest(root.name, _PASSWD, _GROUP), lambda path: _pack_busybox(root, path))


def _pack_busybox(root: Path, path: Path) -> None:
    program = root / "usr/bin/busybox"
    applets = subprocess.run([program, "--list"], check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    with tarfile.open(path, "w") as archive:
        for name in ("bin", "etc", "root", "tmp", "var"):
            _add(archive, name, kind=tarfile.DIRTYPE, mode=0o1777 if name == "tmp" else 0o755)
        _add(archive, "etc/passwd", content=_PASSWD.encode())
        _add(archive, "etc/group", content=_GROUP.encode())
        _add(archive, "bin/busybox", content=program.read_bytes(), mode=0o755)
        for applet in sorted(set(applets) - {"busybox"}):
            _add(archive, f"bin/{applet}", kind=tarfile.LNKTYPE, target="bin/busybox", mode=0o755)


def _add(
    archive: tarfile.TarFile, name: str, *, content: bytes = b"", kind: bytes = tarfile.REGTYPE, target: str = "",
    mode: int = 0o644,
) -> None:  # fmt: skip
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.linkname, member.size = kind, mode, target, len(content)
    archive.addfile(member, io.BytesIO(content))


def of_packages(suite: str, packages: Sequence[str]) -> Path:
    """Return a tar archive of Debian with these packages; a first call takes 10 to 40 s."""
    options = [*_PACKAGE_OPTIONS, "--variant=essential", f"--include={','.join(packages)}"]
    return cache.entry("image", cache.digest(suite, options), lambda path: bootstrap(options, suite, path))
