"""Base roots, one per suite: Debian with systemd, the engine, and the packages that systemd-docker needs.

The product itself is laid over them by product.py.

Built by mmdebstrap(1) from the mirror and with the download options of the host's own apt. `python3 -m
integration.harness.root [SUITE...]` builds them ahead of the tests.
"""

from __future__ import annotations

import functools
import json
import platform
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from integration.harness import cache
from integration.harness.leash import run_on_leash

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Literal

    Driver = Literal["systemd", "cgroupfs"]


@dataclass(frozen=True, slots=True)
class Suite:
    """One Debian release, with or without additional packages.

    name:     Debian's name of it; with a dash and another word where it has more packages.
    packages: packages beside PACKAGES.
    driver:   the engine's cgroup driver on machines whose Spec has no other.
    """

    name: str
    packages: tuple[str, ...]
    driver: Driver

    @property
    def release(self) -> str:
        return self.name.partition("-")[0]

    @property
    def has_kernel(self) -> bool:
        """Whether it boots its own kernel on an emulator (vm.py), instead of in a container."""
        return KERNEL in self.packages


KERNEL = "linux-image-cloud-amd64"

EMULATED = (KERNEL, "initramfs-tools", "zstd", "qemu-system-x86", "e2fsprogs")
"""A kernel, and the tools that make a disk of the root and run it: the host needs no emulator."""


ROOTLESS = ("rootlesskit", "slirp4netns", "uidmap", "fuse-overlayfs", "dbus-user-session")
"""Packages of a user's own (rootless) engine."""

SUITES = {
    suite.name: suite
    for suite in (
        Suite("bookworm", ROOTLESS, "cgroupfs"),  # systemd 252, Engine 20.10
        Suite("trixie", ("docker-cli", "crun", *ROOTLESS), "systemd"),  # systemd 257, Engine 26.1
        Suite("forky", ("docker-cli",), "systemd"),  # systemd 262, Engine 28.5
        Suite("trixie-podman", ("docker-cli", "podman", "crun", "netavark", "nftables"), "systemd"),
        Suite("trixie-vm", ("docker-cli", *EMULATED, *ROOTLESS), "systemd"),
    )
}

TESTED = ("bookworm", "trixie", "forky", "trixie-vm")
"""The suites of the tests; others are built on demand."""

MOVING = ("forky",)
"""Not released yet: on some days not all of its packages can be installed."""

PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "docker.io", "iptables",
    "python3", "python3-venv", "python3-docker", "python3-systemd", "python3-sdnotify",
    "busybox-static", "ca-certificates", "iproute2", "mount", "passwd", "procps",
)  # fmt: skip

MASKED = (
    "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer",
    "e2scrub_reap.service", "fstrim.timer", "systemd-tmpfiles-clean.timer",  # would run in the middle of a test
    "console-getty.service", "getty@tty1.service", "systemd-firstboot.service",  # nothing is at the console
    "systemd-modules-load.service", "systemd-timesyncd.service", "systemd-networkd-wait-online.service",
    "dev-hugepages.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount",  # the kernel is the host's
)  # fmt: skip

KERNEL_UNITS = (
    "systemd-modules-load.service", "dev-hugepages.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount",
)  # fmt: skip
"""Units that are not masked where the kernel is the machine's own."""

KERNEL_OPTIONS = (
    '--setup-hook=mkdir -p "$1/etc/initramfs-tools/conf.d"',
    '--setup-hook=printf "%s\\n" MODULES=list COMPRESS=zstd COMPRESSLEVEL=1 >"$1/etc/initramfs-tools/conf.d/quick"',
    '--setup-hook=printf "%s\\n" virtio_pci virtio_blk ext4 >"$1/etc/initramfs-tools/modules"',
)
"""The smallest initramfs that finds the root, see initramfs.conf(5)."""

SLIM = (
    '--aptopt=Acquire::Languages "none"',
    # A mirror that was frozen in time is good enough for tests. Signatures are checked nevertheless.
    '--aptopt=Acquire::Check-Valid-Until "false"',
    "--dpkgopt=force-unsafe-io",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
)
"""Options of mmdebstrap for trees that are made quickly and not kept."""

OPTIONS = (
    "--variant=essential",
    "--mode=root",
    "--format=directory",
    *SLIM,
    "--customize-hook=rm -f $1/etc/apt/apt.conf.d/99mmdebstrap",
)

DOWNLOAD_OPTIONS = (
    "Acquire::http",
    "Acquire::https",
    "Acquire::Retries",
    "Acquire::Check-Date",
    "Acquire::ForceIPv4",
)
"""Subtrees of the host's apt.conf(5) that decide how packages are downloaded."""


def base_root(suite: Suite) -> Path:
    """Return the directory of this suite's root; a first call builds it, in half a minute to a minute."""
    recipe = cache.digest(suite, PACKAGES, _masked(suite), _options(suite))
    return cache.entry(suite.name, recipe, lambda path: _build(suite, path))


@functools.cache
def why_missing(suite: Suite) -> str:
    """Return why a suite of MOVING has no root today; "" if it has one, or one could be built."""
    try:
        base_root(suite)
    except ChildProcessError as error:
        if suite.name not in MOVING:
            raise
        return f"Debian {suite.name} cannot be installed today: {error}"
    return ""


def _build(suite: Suite, path: Path) -> None:
    packages = ",".join((*PACKAGES, *suite.packages))
    bootstrap([*_options(suite), f"--include={packages}"], suite.release, path)
    for unit in _masked(suite):
        (path / "etc/systemd/system" / unit).symlink_to("/dev/null")
    (path / "etc/machine-id").write_text("")


def _masked(suite: Suite) -> tuple[str, ...]:
    return tuple(unit for unit in MASKED if not (suite.has_kernel and unit in KERNEL_UNITS))


def _options(suite: Suite) -> tuple[str, ...]:
    return (*OPTIONS, *(KERNEL_OPTIONS if suite.has_kernel else ()))


def bootstrap(options: Sequence[str], suite: str, target: Path) -> None:
    """Run mmdebstrap on the host's mirror."""
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as apt_conf:
        apt_conf.write(host_download_options())
        apt_conf.flush()
        run_on_leash(["mmdebstrap", *options, f"--aptopt={apt_conf.name}", suite, str(target), host_mirror()])


def host_mirror() -> str:
    """Return the mirror from which the host's apt gets its own release; it has the other releases, too."""
    release = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    targets = _output("apt-get", "indextargets", "--format=$(RELEASE) $(REPO_URI)", "Created-By: Packages")
    for line in targets.splitlines():
        target_release, uri = line.split(" ", 1)
        if target_release in (release, "stable"):
            return uri
    raise LookupError(f"apt has no source for Debian '{release}', see sources.list(5)")


def host_download_options() -> str:
    """Return the host's download options in the syntax of apt.conf(5)."""
    return _output("apt-config", "dump", "--no-empty", *DOWNLOAD_OPTIONS)


def _output(*argv: str) -> str:
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout


def main(names: list[str]) -> None:
    def report(suite: Suite) -> str:
        start = time.monotonic()
        root = why_missing(suite) or str(base_root(suite))
        return json.dumps({"suite": suite.name, "root": root, "seconds": round(time.monotonic() - start, 1)})

    with ThreadPoolExecutor() as pool:
        for line in pool.map(report, [SUITES[name] for name in names or TESTED]):
            sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
