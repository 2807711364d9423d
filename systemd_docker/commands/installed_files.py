"""The files that `systemd-docker install-system` installs: every file's path, content and mode."""

from __future__ import annotations

import importlib.util
import os
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from systemd_docker import program
from systemd_docker.commands import program_archive
from systemd_docker.errors import UsageError
from systemd_docker.plan.adoption import CONFIGURED_RUNTIME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    class Folder(Protocol):
        """Of pathlib and of zipfile, as far as it is used here."""

        @property
        def name(self) -> str: ...
        def iterdir(self) -> Iterator[Folder]: ...
        def is_dir(self) -> bool: ...
        def read_bytes(self) -> bytes: ...
        def __truediv__(self, name: str) -> Folder: ...


DEPENDENCIES = ("docker", "sdnotify", "systemd")
"""Modules that must be importable from the launcher; their own dependencies are found next to them or in `site`'s."""

SHEBANG_MAX_BYTES = 255
"""The kernel reads this many bytes of a script's first line, see execve(2)."""

ARCHIVE = "lib/systemd-docker/program.zip"

LAUNCHER = f"""\
#!{{python}} {program.OPTIONS}
\"\"\"Starts systemd-docker. Written by `systemd-docker install-system`, which also removes it: --uninstall.\"\"\"
import marshal, os, sys
from _frozen_importlib_external import MAGIC_NUMBER
fd = os.open({{archive!a}}, os.O_RDONLY | os.O_CLOEXEC)
if fd < 3:  # a standard stream is closed, and must not become the archive
    import fcntl
    low, fd = fd, fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(low)
sys.path += [f"/proc/self/fd/{{{{fd}}}}", *{{import_path!a}}]
{program.LOAD}
from {{module}} import main
sys.exit(main())
"""
"""While an upgrade replaces both, a launcher may meet an archive of another version: what is between the two,
program.LOAD and main(), stays as it is."""

LAUNCHERS = {
    "bin/systemd-docker": "systemd_docker.__main__",
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
    import_path: directories behind the standard library's, for DEPENDENCIES.
    """

    python: str
    import_path: tuple[str, ...]


def this_environment(root: Path) -> Environment:
    """Return the environment of the running interpreter, which may itself live below root."""
    python = without_root(sys.executable, root)
    if any(char.isspace() for char in python) or len(f"#!{python} {program.OPTIONS}".encode()) > SHEBANG_MAX_BYTES:
        raise UsageError(
            f"cannot write a launcher for '{python}': the kernel cannot read this path from a script's first line",
            hint="Make the virtual environment in a directory with a shorter name and without spaces.",
        )
    homes = set(map(module_home, DEPENDENCIES))
    wanted = [d for d in sys.path if d in homes or Path(d).name in ("site-packages", "dist-packages")]
    # Modules that were found through a relative entry have an absolute home which sys.path does not list.
    order = dict.fromkeys([*wanted, *sorted(homes)])
    return Environment(python, tuple(without_root(directory, root) for directory in order))


def module_home(name: str) -> str:
    """Return the directory that has to be on sys.path for `import name`."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise UsageError(
            f"cannot find the module '{name}' from {sys.executable}",
            hint="Install systemd-docker with pip, or python3-docker, python3-sdnotify and python3-systemd with apt.",
        )
    origin = Path(spec.origin).absolute()
    return str(origin.parent.parent if spec.submodule_search_locations else origin.parent)


def every_file(environment: Environment, prefix: Path, archive: bytes = b"") -> Iterator[InstalledFile]:
    """Yield all files; the archive before the launchers, which open it. To know their paths, no archive is needed."""
    yield InstalledFile(f"{prefix}/{ARCHIVE}", archive)
    for path, module in LAUNCHERS.items():
        text = LAUNCHER.format(
            python=environment.python,
            archive=f"{prefix}/{ARCHIVE}",
            import_path=list(environment.import_path),
            module=module,
        )
        yield InstalledFile(f"{prefix}/{path}", text.encode(), mode=0o755)
    yield InstalledFile(f"{prefix}/bin/{CONFIGURED_RUNTIME}", RUNTIME.encode(), mode=0o755)
    for path, content in resources().items():
        folder, _, name = path.rpartition("/")
        if folder == "resources/man":
            yield InstalledFile(f"{prefix}/share/man/man{name[-1]}/{name}", content)
        elif name.endswith(".conf"):
            yield InstalledFile(f"/etc/systemd/docker/{name}", _with_prefix(content, prefix), configuration=True)
        else:
            yield InstalledFile(f"{prefix}/lib/systemd/system/{name}", _with_prefix(content, prefix))


def _with_prefix(unit: bytes, prefix: Path) -> bytes:
    return unit.replace(UNITS_NAME_LAUNCHER.encode(), f"{prefix}/bin/systemd-docker".encode())


def read_archive() -> bytes:
    """Return the archive of this program: the one that it runs from, or one made of the folder that it runs from."""
    if program.held_fd() == program.NOT_HELD:
        return program_archive.build(_package(), resources())
    with open(f"/proc/self/fd/{program.held_fd()}", "rb") as stream:
        return stream.read()


def resources() -> dict[str, bytes]:
    """Return the units and the manual pages, as "resources/units/docker@.service" -> content.

    A checkout has its units beside the package, and no manual pages: these are made when a wheel is built.
    """
    if program.held_fd() == program.NOT_HELD:
        folder: Folder = _package() / "resources"
    else:
        folder = zipfile.Path(f"/proc/self/fd/{program.held_fd()}", f"{program.PACKAGE}/resources/")
    units = folder / "units" if (folder / "units").is_dir() else _package().parent / "units"
    found = {f"resources/units/{file.name}": file.read_bytes() for file in units.iterdir()}
    if (folder / "man").is_dir():
        pages = (file for file in (folder / "man").iterdir() if file.name[-1].isdigit())
        found |= {f"resources/man/{file.name}": file.read_bytes() for file in pages}
    return dict(sorted(found.items()))


def _package() -> Path:
    """The package's folder."""
    return Path(program.__file__).parent


def beneath(root: Path, path: str) -> Path:
    return root / path.lstrip("/")


def without_root(path: str, root: Path) -> str:
    """/image/opt/x below the root /image is /opt/x to the system that will run from there."""
    return f"/{Path(path).relative_to(root)}" if Path(path).is_relative_to(root) else path


def owners_to_doubt(environment: Environment, root: Path) -> Iterator[tuple[str, int]]:
    """Yield directories that services will run code from, with their owner where that is another user."""
    for directory in environment.import_path:
        # Inside or outside of root: --root does not say where the environment is.
        for path in (beneath(root, directory), Path(directory)):
            if path.exists() and (owner := path.stat().st_uid) not in (0, os.geteuid()):
                yield directory, owner
                break
