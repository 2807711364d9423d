"""The unit load path: which file defines a service, which drop-ins it has, and in which order they count.

Nothing of a file's content is known here. The rules are those of systemd.unit(5), "Unit File Load Path" and the
paragraphs on aliases and drop-in directories; a directory comes before another that it overrides.
"""

from __future__ import annotations

import errno
import os
import stat

from systemd_docker.frozen import frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SUFFIX = ".service"
TYPE_DROP_INS = "service"
"""service.d/ holds drop-ins for all services; no unit has this name."""

NAME_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:-_.\\@")

UNIT_SIZE_MAX = 4 << 20
"""Bytes of one file: four times the longest line that systemd reads."""

ALIAS_DEPTH_MAX = 8


@frozen
class DropIn:
    """A file in some NAME.d/. rank: of the directory in the load path; 0 overrides all others."""

    rank: int
    name: str
    path: str


@frozen
class LoadPath:
    """Everything in the load path that concerns services, as names only.

    units:    name -> path of the file that defines it. Aliases are not among them; masked units are, and so is an
              instance that has a file or drop-ins of its own.
    aliases:  name -> its other names.
    drop_ins: "web.service", "web-.service", "service" -> what NAME.d/ holds, in all directories.
    """

    units: Mapping[str, str]
    aliases: Mapping[str, Sequence[str]]
    drop_ins: Mapping[str, Sequence[DropIn]]


def system_directories(normal: str, early: str, late: str) -> tuple[str, ...]:
    """The system manager's directories, best first, around the three that generators write to."""
    return (
        "/etc/systemd/system.control",
        "/run/systemd/system.control",
        "/run/systemd/transient",
        early,
        "/etc/systemd/system",
        "/etc/systemd/system.attached",
        "/run/systemd/system",
        "/run/systemd/system.attached",
        normal,
        "/usr/local/lib/systemd/system",
        "/usr/lib/systemd/system",
        "/lib/systemd/system",
        late,
    )


def read_load_path(directories: Sequence[str]) -> LoadPath:
    """List the directories; one that cannot be read is as good as one that is not there."""
    found: dict[str, os.DirEntry[str]] = {}
    drop_ins: dict[str, list[DropIn]] = {}
    for rank, directory in enumerate(directories):
        for entry in _entries(directory):
            name = entry.name
            if name.endswith(SUFFIX) and NAME_CHARACTERS.issuperset(name):
                found.setdefault(name, entry)
            elif name.endswith((f"{SUFFIX}.d", f"{TYPE_DROP_INS}.d")):
                drop_ins.setdefault(name.removesuffix(".d"), []).extend(_read_drop_ins(entry.path, rank))
    units, aliases = _tell_apart(found, directories)
    for name in drop_ins:
        if name not in found and (template := template_of(name)) in units:
            units[name] = units[template]
    return LoadPath(units, aliases, drop_ins)


def drop_ins_of(load_path: LoadPath, name: str) -> list[DropIn]:
    """The drop-ins of a unit in the order in which they are read: by file name, wherever they lie.

    Of several with the same file name only one counts, so that one can mask another: best is the directory that comes
    first in the load path, then the one with the more specific name; those for all services come last.
    """
    levels = [level for known in (name, *load_path.aliases.get(name, ())) for level in drop_in_levels(known)]
    ranked = [
        (level == TYPE_DROP_INS, drop_in.rank, number, drop_in)
        for number, level in enumerate([*levels, TYPE_DROP_INS])
        for drop_in in load_path.drop_ins.get(level, ())
    ]
    best: dict[str, DropIn] = {}
    for *_, drop_in in sorted(ranked, key=lambda row: row[:3]):
        best.setdefault(drop_in.name, drop_in)
    return [best[name] for name in sorted(best)]


def drop_in_levels(name: str) -> Iterator[str]:
    """Names that NAME.d/ may have, best first: systemd.unit(5) has the names, systemd 252 and 257 showed the order.

    "a-b@c.service" -> a-b@c.service, a-b@.service, a-.service, a-@c.service, a-@.service.
    """
    prefix, at, instance = name.removesuffix(SUFFIX).partition("@")
    yield name
    if instance:
        yield f"{prefix}@{SUFFIX}"
    shorter = [prefix[: end + 1] for end in range(len(prefix) - 2, -1, -1) if prefix[end] == "-"]
    yield from (f"{beginning}{SUFFIX}" for beginning in shorter)
    for beginning in shorter if at else ():
        if instance:
            yield f"{beginning}@{instance}{SUFFIX}"
        yield f"{beginning}@{SUFFIX}"


def template_of(name: str) -> str:
    """ "web@1.service" -> "web@.service"; "" where name is no instance."""
    prefix, _, instance = name.removesuffix(SUFFIX).partition("@")
    return f"{prefix}@{SUFFIX}" if instance else ""


def read_unit(path: str) -> bytes:
    """The content of a unit file or drop-in; nothing where it is /dev/null or another special file.

    Raises OSError: EFBIG for what is longer than any unit file.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)  # a FIFO would block
    try:
        status = os.fstat(fd)
        if status.st_size > UNIT_SIZE_MAX:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
        return os.read(fd, UNIT_SIZE_MAX) if stat.S_ISREG(status.st_mode) else b""
    finally:
        os.close(fd)


def _read_drop_ins(directory: str, rank: int) -> Iterator[DropIn]:
    for entry in _entries(directory):
        if entry.name.endswith(".conf") and not entry.name.startswith("."):
            yield DropIn(rank, entry.name, entry.path)


def _entries(directory: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except OSError:
        return []


def _tell_apart(
    found: Mapping[str, os.DirEntry[str]], directories: Sequence[str]
) -> tuple[dict[str, str], dict[str, list[str]]]:
    """(units, aliases) of LoadPath: a link into the load path is another name, a link to elsewhere is a unit."""
    load_path = {*directories, *map(os.path.realpath, directories)}
    targets = {name: _alias_target(entry, load_path) for name, entry in found.items() if entry.is_symlink()}
    units = {name: entry.path for name, entry in found.items() if not targets.get(name)}
    aliases: dict[str, list[str]] = {}
    for name, target in targets.items():
        for _ in range(ALIAS_DEPTH_MAX):
            target = targets.get(target) or target
        if target in units and _may_be_alias(name, target):
            aliases.setdefault(target, []).append(name)
    return units, aliases


def _alias_target(entry: os.DirEntry[str], load_path: set[str]) -> str:
    """The unit that a link is another name for, "" where it is none: systemd looks at names only, not at content."""
    try:
        target = os.path.join(os.path.dirname(entry.path), os.readlink(entry.path))
    except FileNotFoundError:
        return ""  # gone since the directory was listed
    directory, name = os.path.split(target)
    if name == entry.name or not name.endswith(SUFFIX):
        return ""
    return name if {os.path.normpath(directory), os.path.realpath(directory)} & load_path else ""


def _may_be_alias(name: str, target: str) -> bool:
    """Same instance, or none at all; an instance that links to its template is merely enabled so."""
    parts = [known.removesuffix(SUFFIX).partition("@")[1:] for known in (name, target)]
    return parts[0] == parts[1]
