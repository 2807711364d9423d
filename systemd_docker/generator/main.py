"""systemd-docker-generator: started by the service manager at boot and at every daemon-reload, before it reads units.

    systemd-docker-generator [--dry-run] NORMAL-DIR [EARLY-DIR LATE-DIR]

The protocol and the manners are systemd.generator(7)'s: no other process is talked to, messages go to /dev/kmsg, and
what is written lies in NORMAL-DIR, which /etc/ and /run/ override. One bad unit never stops the others, and whatever
is wrong with units, the exit status is 0. With --dry-run, what would be written goes to standard output, and messages
to standard error.

Why no import of re, json or anything of the service: every reload of the system waits for it.
integration/benchmarks/generator.py measures it.
"""

from __future__ import annotations

import os
import sys

from systemd_docker import log
from systemd_docker.frozen import frozen
from systemd_docker.generator import delegation
from systemd_docker.generator.load_path import (
    TYPE_DROP_INS,
    LoadPath,
    drop_in_levels,
    drop_ins_of,
    read_load_path,
    read_unit,
    system_directories,
    template_of,
)
from systemd_docker.sd import unit_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

IDENTIFIER = "systemd-docker-generator"

MARKER = delegation.PROGRAM.encode()
"""Files without these bytes are not parsed: they do not run systemd-docker."""

MANAGER_LIBRARY = b"libsystemd-shared-"
"""Of libsystemd-shared-257.so, which the service manager's executable names as needed, in versions 252 to 262."""


@frozen
class GeneratedFile:
    """path: below the output directory, e.g. "web.service.d/x.conf"."""

    path: str
    text: str


def main(argv: Sequence[str] | None = None) -> int:
    """The generator's entry point; argv without the program's name, sys.argv by default."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    dry_run = "--dry-run" in arguments
    outputs = [argument for argument in arguments if argument != "--dry-run"]
    if not dry_run:
        _log_to_kernel()
    if len(outputs) not in (1, 3) or any(output.startswith("-") for output in outputs):
        _say(log.ERROR, "usage: systemd-docker-generator [--dry-run] NORMAL-DIR [EARLY-DIR LATE-DIR]")
        return 1
    normal, early, late = outputs if len(outputs) == 3 else outputs * 3
    generated = generate(system_directories(normal, early, late), running_systemd_version())
    return show(generated) if dry_run else write(generated, normal)


def generate(directories: Sequence[str], systemd_version: int) -> Iterator[GeneratedFile]:
    """The drop-ins that the services of a load path need, in no particular order.

    directories:     best first. What an earlier run has left in them is not seen.
    systemd_version: 0 where it is not known.
    """
    load_path = read_load_path(directories)
    contents = Contents()
    delegated: set[str] = set()
    guarded: set[str] = set()
    for name in sorted(mentioning(load_path, contents)):  # templates come before their instances
        try:
            unit = effective(load_path, name, contents)
            text = delegation.drop_in(unit, systemd_version)
            needs_guard = delegation.runs_container(unit)
        except Exception as error:  # whatever it is, other units do not pay for it
            _say(log.WARNING, f"cannot read '{name}', it gets no drop-in: {error}")
            continue
        if needs_guard and template_of(name) not in guarded:
            guarded.add(name)
            yield GeneratedFile(f"{name}.d/{delegation.GUARDS_DROP_IN}", delegation.GUARDS_TEXT)
        if text and template_of(name) not in delegated:
            delegated.add(name)
            yield GeneratedFile(f"{name}.d/{delegation.DROP_IN}", text)


def mentioning(load_path: LoadPath, contents: Contents) -> Iterator[str]:
    """Names of the units whose file, or one of whose drop-ins, holds the marker."""
    marked = {path for path in {*load_path.units.values()} if MARKER in contents.read(path)}
    marked_levels = {
        level
        for level, drop_ins in load_path.drop_ins.items()
        if any(MARKER in contents.read(drop_in.path) for drop_in in drop_ins)
    }
    for name, path in load_path.units.items():
        names = (name, *load_path.aliases.get(name, ()))
        if path in marked or (marked_levels and not marked_levels.isdisjoint(_levels(names))):
            yield name


OWN_DROP_INS = (delegation.DROP_IN, delegation.GUARDS_DROP_IN)


def effective(load_path: LoadPath, name: str, contents: Contents) -> unit_file.UnitFile:
    """A unit as the service manager sees it: nothing where it is masked."""
    unit = contents.read(load_path.units[name])
    paths = [drop_in.path for drop_in in drop_ins_of(load_path, name) if drop_in.name not in OWN_DROP_INS]
    texts = [unit, *map(contents.read, paths)] if unit else []
    return unit_file.merge(unit_file.parse(text.decode(errors="surrogateescape")) for text in texts)


def _levels(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        yield from drop_in_levels(name)
    yield TYPE_DROP_INS


class Contents:
    """The contents of files; each is read once. A file that cannot be read is empty, as it is to the service
    manager."""

    def __init__(self) -> None:
        self._read: dict[str, bytes] = {}

    def read(self, path: str) -> bytes:
        if path not in self._read:
            try:
                self._read[path] = read_unit(path)
            except OSError as error:
                if not isinstance(error, FileNotFoundError):  # a link to nowhere is for the service manager to report
                    _say(log.WARNING, f"cannot read '{path}', as if it were empty: {error.strerror}")
                self._read[path] = b""
        return self._read[path]


def running_systemd_version() -> int:
    """The version of the service manager that started the generator, 252 for 252.39; 0 if it is unknown.

    Generators are forked by the manager, so the executable of the parent process is the running one, even if another
    has been installed since. Run by hand, it is the installed one.
    """
    for path in (f"/proc/{os.getppid()}/exe", "/usr/lib/systemd/systemd", "/lib/systemd/systemd"):
        if version := systemd_version(path):
            return version
    return 0


def systemd_version(executable: str) -> int:
    """The version of a service manager's executable; 0 if it is none, or cannot be read."""
    try:
        with open(executable, "rb") as stream:
            name = stream.read().partition(MANAGER_LIBRARY)[2][:3]
    except OSError:
        return 0
    return int(name) if name.isdigit() else 0


def write(generated: Iterable[GeneratedFile], directory: str) -> int:
    """Write all files that can be written; return the exit status: 1 only if that is none of them."""
    written, failed = 0, 0
    for file in generated:
        path = os.path.join(directory, file.path)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as stream:
                stream.write(file.text)
            written += 1
        except OSError as error:
            _say(log.ERROR, f"cannot write {path}: {error.strerror}")
            failed += 1
    return int(failed > 0 and not written)


def show(generated: Iterable[GeneratedFile]) -> int:
    for file in generated:
        sys.stdout.write(f"# {file.path}\n{file.text}\n")
    return 0


def _log_to_kernel() -> None:
    try:
        fd = os.open("/dev/kmsg", os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return  # a container without it, or a user's service manager: standard error is the journal there
    log.messages = log.Log(fd, level_prefix=True)


def _say(level: int, message: str) -> None:
    log.messages.write(level, f"{IDENTIFIER}[{os.getpid()}]: {message}")
