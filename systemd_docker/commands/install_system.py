"""`systemd-docker install-system`: put launchers, generator, units and manual pages where a system looks for them.

What is installed uses the Python environment that runs this command, typically made with

    python3 -m venv --system-site-packages /opt/systemd-docker
    /opt/systemd-docker/bin/pip install systemd-docker
    /opt/systemd-docker/bin/systemd-docker install-system

and lands in PREFIX, /usr/local unless told otherwise:

    lib/systemd-docker/program.zip                          the program, see systemd_docker.program
    bin/systemd-docker                                      its launcher, for ExecStart=
    lib/systemd/system-generators/systemd-docker-generator  its launcher as a generator, see systemd.generator(7)
    bin/systemd-docker-runc                                 a runtime for daemon.json, see below
    lib/systemd/system/                                     units/
    share/man/manN/                                         the manual pages

plus /etc/systemd/docker/hello-world.conf, which is configuration: an administrator's version of it stays. Nothing is
enabled, disabled, started or stopped. A file is replaced as a whole, so that a running service keeps the one it has
open.

The runtime is for an engine older than 23 with the systemd cgroup driver. Its daemon.json, then, lists

    "runtimes": {"systemd-docker-runc": {"path": "/usr/local/bin/systemd-docker-runc"}}

which `systemctl reload docker` loads without a restart, and containers are born inside their units; other containers
are not concerned. Other engines need nothing.

Why these launchers and not pip's: one supervising process stays in memory per container. pip's launcher starts Python
with `site`, which runs whatever .pth files the environment holds, and imports re. A launcher of systemd-docker starts
it with -I, so that neither the unit's environment nor a working directory chooses the code that runs as root; with
-S, and names the directories to import from itself; and with -X utf8, because unit files are UTF-8 whatever LANG= a
service sets. Measured with Debian 12's Python 3.11 and everything that a supervising process imports, medians of 40
interleaved starts, resident kB and CPU ms:

    python3 -I                    11252  31.0
    python3 -IS                   11172  30.2    the same from a virtual environment
    python3 -ISXutf8              11172  29.8    this one
    python3 -ISXno_debug_ranges   11168  29.2    no gain: only .pyc that were compiled so are smaller
    .pyc without docstrings       11104  29.5    not worth tracebacks and help that differ from the source
    python3 -ISOO                 13400  60      with fewer imports: Debian has no .pyc for it, so a service that has
                                                 ProtectSystem=strict compiles at each start

A distribution that ships .pyc for -OO would change this: they save 100 kB.
"""

from __future__ import annotations

import argparse
import compileall
import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from systemd_docker.commands.installed_files import (
    Environment,
    InstalledFile,
    beneath,
    every_file,
    owners_to_doubt,
    read_archive,
    this_environment,
    without_root,
)
from systemd_docker.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import NoReturn

COMPILED = ("sdnotify", "systemd")
"""Packages that a supervising process imports: without caches, each start would compile them again."""

MANUAL_INDEX_TIMEOUT_SEC = 60
"""mandb(8) takes three seconds for a few thousand pages."""


class Parser(argparse.ArgumentParser):
    """argparse, with UsageError for a wrong command line."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=f"See '{self.prog} --help'.")


def main(argv: Sequence[str]) -> int:
    """Install, or with --uninstall remove; print one line per file."""
    parser = Parser(
        prog="systemd-docker install-system",
        description="Install systemd-docker for the whole system.",
        allow_abbrev=False,
    )
    parser.add_argument("--root", type=_absolute, default=Path("/"), help="a system to install into, mounted here")
    parser.add_argument("--prefix", type=_absolute, default=Path("/usr/local"), help="default: /usr/local")
    parser.add_argument(
        "--uninstall", action="store_true", help="remove what an installation with these options wrote"
    )
    options = parser.parse_args(argv)
    if options.uninstall:
        uninstall(options.root, options.prefix)
    else:
        install(options.root, options.prefix)
    return 0


def _absolute(text: str) -> Path:
    return Path(text).absolute()


def install(root: Path, prefix: Path) -> None:
    environment = this_environment(root)
    for warning in doubts(environment, root, prefix):
        print(f"warning: {warning}", file=sys.stderr)
    files = list(every_file(environment, prefix, read_archive()))
    for file in files:
        print(f"{write(file, root):<10} {file.path}")
    if not _pages(files):
        print("warning: no manual pages: a checkout has none, 'pip install' without -e makes them", file=sys.stderr)
    compile_packages(root)
    if root == Path("/"):
        index_manual()
        if is_booted():
            print("Now run 'systemctl daemon-reload'.")


def uninstall(root: Path, prefix: Path) -> None:
    """Remove the files, and the directories below lib/ and /etc/systemd/ that are empty then."""
    is_this_system = root == Path("/")
    running = running_units(prefix) if is_this_system and is_booted() else []
    for file in every_file(Environment("", ()), prefix):
        path = beneath(root, file.path)
        if not path.exists():
            continue
        if file.configuration and path.read_bytes() != file.content:
            print(f"{'kept':<10} {file.path}")
            continue
        path.unlink()
        print(f"{'removed':<10} {file.path}")
        remove_empty(path.parent, root)
    for link in enabling_links(root, prefix):
        print(f"{'kept':<10} {link}, by which that unit was enabled")
    if is_this_system:
        index_manual()
        if is_booted():
            print("Now run 'systemctl daemon-reload'.")
    if running:
        print(f"These units run on until they are stopped, and cannot be started again: {', '.join(running)}")


def _pages(files: Sequence[InstalledFile]) -> list[str]:
    return [file.path for file in files if "/share/man/man" in file.path]


def remove_empty(directory: Path, root: Path) -> None:
    """Remove directory if it is empty and made for systemd or systemd-docker, then the one above it likewise."""
    while any("systemd" in part for part in directory.relative_to(root).parts):
        try:
            directory.rmdir()
        except OSError:  # ENOTEMPTY: it has other files
            return
        directory = directory.parent


def enabling_links(root: Path, prefix: Path) -> list[str]:
    """Return the links of the administrator's, as `systemctl enable` makes them, to this program's units."""
    units = {file.path for file in every_file(Environment("", ()), prefix)}
    links = [link for link in beneath(root, "/etc/systemd/system").glob("*.*/*") if link.is_symlink()]
    return sorted(without_root(str(link), root) for link in links if os.readlink(link) in units)


def is_booted() -> bool:
    """See sd_booted(3)."""
    return Path("/run/systemd/system").exists()


def running_units(prefix: Path) -> list[str]:
    """Return the services, of the system, that run the program which is installed in prefix."""
    show = ["systemctl", "show", "--property=Id,ActiveState,ExecStart", "*.service"]
    blocks = subprocess.run(show, capture_output=True, text=True, check=False).stdout.split("\n\n")
    units = [dict(line.partition("=")[::2] for line in block.splitlines()) for block in blocks]
    return sorted(
        unit["Id"]
        for unit in units
        if runs_program(unit.get("ExecStart", ""), prefix) and unit.get("ActiveState") == "active"
    )


def runs_program(exec_start: str, prefix: Path) -> bool:
    """Tell whether a command, as `systemctl show` has it, is the launcher in prefix, or its name without a path."""
    return any(f"{start}systemd-docker " in exec_start for start in (f"{prefix}/bin/", "argv[]="))


def index_manual() -> None:
    """Let whatis(1) and apropos(1) know the pages that are there now, where the system has an index."""
    if mandb := shutil.which("mandb"):
        # Given one directory, mandb writes an index that whatis does not look into.
        with contextlib.suppress(subprocess.TimeoutExpired):  # its timer does it some day
            subprocess.run(
                [mandb, "--quiet"], stderr=subprocess.DEVNULL, timeout=MANUAL_INDEX_TIMEOUT_SEC, check=False
            )


def doubts(environment: Environment, root: Path, prefix: Path) -> Iterator[str]:
    """Yield warnings about what an administrator may not have meant."""
    if prefix not in (Path("/usr"), Path("/usr/local")):
        yield f"systemd looks for generators and units below /usr and /usr/local, not below {prefix}"
    for directory, owner in owners_to_doubt(environment, root):
        yield f"services will run code from {directory}, which belongs to user {owner}"


def write(file: InstalledFile, root: Path) -> str:
    """Put one file in its place, whole or not at all; return what happened: wrote, unchanged, kept."""
    path = beneath(root, file.path)
    if path.exists() and file.configuration:
        return "kept"
    if path.exists() and path.read_bytes() == file.content and path.stat().st_mode & 0o7777 == file.mode:
        return "unchanged"
    path.parent.mkdir(parents=True, exist_ok=True)
    fd, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(fd, "wb") as stream:
            stream.write(file.content)
            os.fchmod(fd, file.mode)
            stream.flush()
            os.fsync(fd)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return "wrote"


def compile_packages(root: Path) -> None:
    """Write the caches that services need: they may run where nothing is writable."""
    for name in COMPILED:
        spec = importlib.util.find_spec(name)
        for directory in (spec.submodule_search_locations or []) if spec else []:
            inside = root != Path("/") and Path(directory).is_relative_to(root)
            strip, prepend = (str(root), "/") if inside else (None, None)
            # A cache that this import has written is up to date, but has the paths outside in it.
            if not compileall.compile_dir(directory, force=inside, quiet=2, stripdir=strip, prependdir=prepend):
                print(f"warning: cannot compile everything in {directory}: services start slower", file=sys.stderr)
