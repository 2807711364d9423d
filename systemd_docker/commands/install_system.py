"""`systemd-docker install-system`: put launchers, generator, units and manual pages where a system looks for them.

What is installed belongs to the Python environment that runs this command, typically made with

    python3 -m venv --system-site-packages /opt/systemd-docker
    /opt/systemd-docker/bin/pip install systemd-docker
    /opt/systemd-docker/bin/systemd-docker install-system

and lands in PREFIX, /usr/local unless told otherwise:

    bin/systemd-docker                                      the launcher, for ExecStart=
    bin/systemd-docker-runc                                 a runtime for daemon.json, see below
    lib/systemd/system-generators/systemd-docker-generator  see systemd.generator(7) for the directories
    lib/systemd/system/                                     units/
    share/man/manN/                                         resources/man/, as roff

plus /etc/systemd/docker/hello-world.conf, which is configuration: an administrator's version of it stays.

The runtime is for an engine older than 23 with the systemd cgroup driver. Its daemon.json, then, lists

    "runtimes": {"systemd-docker-runc": {"path": "/usr/local/bin/systemd-docker-runc"}}

which `systemctl reload docker` loads without a restart, and containers are born inside their units; nobody else's
containers are concerned. Other engines need nothing.

Why launchers of our own: one supervising process stays in memory per container. pip's launcher starts Python with
`site`, which runs whatever .pth files the environment holds, and imports re. Ours starts it with -I, so that neither
the unit's environment nor a working directory chooses the code that runs as root; with -S, and names the directories
to import from itself; and with -X utf8, because unit files are UTF-8 whatever LANG= a service sets. Measured with
Debian 12's Python 3.11 and everything that a supervising process imports, medians of 40 interleaved starts, resident
kB and CPU ms:

    python3 -I                    11252  31.0
    python3 -IS                   11172  30.2    the same from a virtual environment
    python3 -ISXutf8              11172  29.8    this one
    python3 -ISXno_debug_ranges   11168  29.2    no gain: only .pyc that were compiled so are smaller
    our .pyc without docstrings   11104  29.5    not worth tracebacks and help that differ from the source
    python3 -ISOO                 13400  60      with fewer imports: Debian has no .pyc for it, so a service that has
                                                 ProtectSystem=strict compiles at each start

What would change our mind about -OO: a distribution that ships those; they save 100 kB.
"""

from __future__ import annotations

import argparse
import compileall
import contextlib
import importlib.util
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from systemd_docker.commands import manpage
from systemd_docker.errors import UsageError
from systemd_docker.plan.adoption import CONFIGURED_RUNTIME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import NoReturn

PACKAGE = Path(__file__).parent.parent

DEPENDENCIES = ("docker", "sdnotify", "systemd")
"""Modules that must be importable from the launcher; their own dependencies are found next to them or in `site`'s."""

COMPILED = ("systemd_docker", "sdnotify", "systemd")
"""Packages that a supervising process imports: without caches, each start would compile them again."""

SHEBANG_MAX = 255
"""The kernel reads this many bytes of a script's first line, see execve(2)."""

PYTHON_OPTIONS = "-ISXutf8"
"""One word: the kernel hands everything behind the interpreter over as a single argument."""

LAUNCHER = """\
#!{python} {options}
\"\"\"Starts systemd-docker. Written by `systemd-docker install-system`, which also removes it: --uninstall.\"\"\"
import sys
sys.path += {import_path!a}
from {module} import main
sys.exit(main())
"""

LAUNCHERS = {
    "bin/systemd-docker": "systemd_docker.cli",
    "lib/systemd/system-generators/systemd-docker-generator": "systemd_docker.generator.main",
}

RUNTIME = """\
#!/bin/sh
# runc for containers in the cgroup of a systemd service: by its path, whatever the engine's cgroup driver is.
for word in "$@"; do
    shift
    [ "$word" = --systemd-cgroup ] || set -- "$@" "$word"
done
exec runc "$@"
"""

UNITS_NAME_LAUNCHER = "/usr/local/bin/systemd-docker"
"""How units/ spell the launcher; another PREFIX takes its place."""


@dataclass(frozen=True, slots=True)
class InstalledFile:
    """One file to install.

    path:          absolute, as the installed system sees it: without --root.
    configuration: belongs to the administrator once it is there.
    """

    path: str
    content: bytes
    mode: int = 0o644
    configuration: bool = False


@dataclass(frozen=True, slots=True)
class Environment:
    """The Python environment that launchers are bound to.

    python:      absolute path of the interpreter, as typed: a link in bin/ survives an upgrade of what it points to.
    import_path: directories behind the standard library's, our package's first.
    """

    python: str
    import_path: tuple[str, ...]


class Parser(argparse.ArgumentParser):
    """argparse, but a wrong command line is our kind of error."""

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
    for file in planned_files(environment, prefix):
        print(f"{write(file, root):<10} {file.path}")
    compile_packages(root)
    if root == Path("/") and Path("/run/systemd/system").exists():
        print("Now run 'systemctl daemon-reload'.")


def uninstall(root: Path, prefix: Path) -> None:
    """Remove the files, and the directories below lib/systemd/ and /etc/systemd/ that are empty then."""
    for file in planned_files(Environment("", ()), prefix):
        path = beneath(root, file.path)
        if not path.exists():
            continue
        if file.configuration and path.read_bytes() != file.content:
            print(f"{'kept':<10} {file.path}")
            continue
        path.unlink()
        print(f"{'removed':<10} {file.path}")
        for directory in path.parents:
            if "systemd" not in directory.relative_to(root).parts:
                break
            with contextlib.suppress(OSError):  # ENOTEMPTY: somebody else's files are there
                directory.rmdir()


def this_environment(root: Path) -> Environment:
    """The environment of the running interpreter, which may itself live below root."""
    python = without_root(sys.executable, root)
    if any(char.isspace() for char in python) or len(f"#!{python} {PYTHON_OPTIONS}".encode()) > SHEBANG_MAX:
        raise UsageError(
            f"cannot write a launcher for '{python}': the kernel cannot read this path from a script's first line",
            hint="Make the virtual environment in a directory with a shorter name and without spaces.",
        )
    home = str(PACKAGE.parent)
    homes = {home, *map(module_home, DEPENDENCIES)}
    wanted = [d for d in sys.path if d in homes or Path(d).name in ("site-packages", "dist-packages")]
    # Modules that were found through a relative entry have an absolute home which sys.path does not list.
    order = dict.fromkeys([home, *wanted, *sorted(homes)])
    return Environment(python, tuple(without_root(directory, root) for directory in order))


def module_home(name: str) -> str:
    """The directory that has to be on sys.path for `import name`."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise UsageError(
            f"cannot find the module '{name}' from {sys.executable}",
            hint="Install systemd-docker with pip, or python3-docker, python3-sdnotify and python3-systemd with apt.",
        )
    origin = Path(spec.origin).absolute()
    return str(origin.parent.parent if spec.submodule_search_locations else origin.parent)


def doubts(environment: Environment, root: Path, prefix: Path) -> Iterator[str]:
    """What an administrator may not have meant."""
    if prefix not in (Path("/usr"), Path("/usr/local")):
        yield f"systemd looks for generators and units below /usr and /usr/local, not below {prefix}"
    for directory in environment.import_path:
        # Inside or outside of root: --root does not say where the environment is.
        for path in (beneath(root, directory), Path(directory)):
            if path.exists() and path.stat().st_uid not in (0, os.geteuid()):
                yield f"services will run code from {directory}, which belongs to user {path.stat().st_uid}"
                break


def planned_files(environment: Environment, prefix: Path) -> Iterator[InstalledFile]:
    import_path = list(environment.import_path)
    for path, module in LAUNCHERS.items():
        text = LAUNCHER.format(
            python=environment.python, options=PYTHON_OPTIONS, import_path=import_path, module=module
        )
        yield InstalledFile(f"{prefix}/{path}", text.encode(), mode=0o755)
    yield InstalledFile(f"{prefix}/bin/{CONFIGURED_RUNTIME}", RUNTIME.encode(), mode=0o755)
    for source in sorted(units_directory().iterdir()):
        text = source.read_text().replace(UNITS_NAME_LAUNCHER, f"{prefix}/bin/systemd-docker")
        if source.suffix == ".conf":
            yield InstalledFile(f"/etc/systemd/docker/{source.name}", text.encode(), configuration=True)
        else:
            yield InstalledFile(f"{prefix}/lib/systemd/system/{source.name}", text.encode())
    for source in sorted((PACKAGE / "resources" / "man").glob("*.md")):
        page, section = source.stem, source.stem[-1]  # systemd-docker.1.md -> systemd-docker.1
        yield InstalledFile(f"{prefix}/share/man/man{section}/{page}", manpage.convert(source.read_text()).encode())


def units_directory() -> Path:
    """units/: inside the package in a wheel, beside it in a checkout."""
    inside = PACKAGE / "resources" / "units"
    return inside if inside.is_dir() else PACKAGE.parent / "units"


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
            # A cache that we have written ourselves by being imported is up to date, but has the paths outside in it.
            if not compileall.compile_dir(directory, force=inside, quiet=2, stripdir=strip, prependdir=prepend):
                print(f"warning: cannot compile everything in {directory}: services start slower", file=sys.stderr)


def beneath(root: Path, path: str) -> Path:
    return root / path.lstrip("/")


def without_root(path: str, root: Path) -> str:
    """/image/opt/x below the root /image is /opt/x to the system that will run from there."""
    return f"/{Path(path).relative_to(root)}" if Path(path).is_relative_to(root) else path
