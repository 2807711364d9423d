"""The host's cgroups that a machine lives in: one in each hierarchy that it uses, below this process's own.

The cgroups that tests look at inside a machine are in words.cgroups."""

from __future__ import annotations

import contextlib
import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING

from integration.harness.polling import poll

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Literal

    Hierarchy = Literal["unified", "hybrid", "legacy"]

_NEEDED = {"unified": {""}, "hybrid": {"", "name=systemd"}, "legacy": {"name=systemd"}}


def missing_hierarchy(hierarchy: Hierarchy) -> str:
    """Return why this host cannot boot a machine with such cgroups, or "": a machine's hierarchies are the host's."""
    if _NEEDED[hierarchy] <= {controllers for controllers, _path in memberships("self")}:
        return ""
    return f"the host has no cgroup hierarchy for '{hierarchy}' machines"


def memberships(pid: str) -> list[tuple[str, str]]:
    """Return (controllers, path) per line of /proc/PID/cgroup; controllers is "" for v2, or e.g. "cpu,cpuacct"."""
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return [(controllers, path) for _id, controllers, path in (line.split(":", 2) for line in lines)]


@functools.cache
def mount(controllers: str) -> Path:
    """Return the host's mount point of the hierarchy of these controllers.

    See proc_pid_mountinfo(5): the file system's type and options stand behind a " - ".
    """
    wanted = set(controllers.split(","))
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, after = line.split(" - ", 1)
        kind, _source, options = after.split(" ", 2)
        root, directory = before.split(" ")[3:5]
        found = kind == "cgroup2" if controllers == "" else kind == "cgroup" and wanted <= set(options.split(","))
        if found and root == "/":
            return Path(directory)
    raise LookupError(f"the cgroup hierarchy '{controllers}' is not mounted")


@contextlib.contextmanager
def made(name: str, hierarchy: Hierarchy, record: Path) -> Iterator[list[Path]]:
    """Make a machine's cgroups and yield their directories; on exit kill their processes and remove them.

    Two machines must not share one: each would manage the other's units.
    record: a file to list them in first, for remove_recorded().
    """
    cgroups = [
        mount(controllers) / path.lstrip("/") / name
        for controllers, path in memberships("self")
        if hierarchy != "unified" or controllers in ("", "name=systemd")  # nspawn itself uses this one, too
    ]
    record.write_text("".join(f"{cgroup}\n" for cgroup in cgroups))
    try:
        for cgroup in cgroups:
            cgroup.mkdir()
            for attribute in ("cpuset.cpus", "cpuset.mems"):  # on v1 they start empty, and no process may enter
                if (cgroup / attribute).exists():
                    (cgroup / attribute).write_text((cgroup.parent / attribute).read_text())
        yield cgroups
    finally:
        _remove(cgroups)


def remove_recorded(record: Path) -> None:
    """Remove the cgroups that a killed made() left."""
    if record.exists():
        _remove([Path(line) for line in record.read_text().splitlines()])


def _remove(cgroups: Sequence[Path]) -> None:
    for kill in (cgroup / "cgroup.kill" for cgroup in cgroups):
        if kill.exists():  # not on v1; its processes are in the v2 cgroup as well
            kill.write_text("1")
    for cgroup in cgroups:
        poll(functools.partial(_removed, cgroup), what=f"{cgroup} to be empty", timeout_sec=10)


def _removed(cgroup: Path) -> bool:
    for directory, _children, _files in os.walk(cgroup, topdown=False):
        with contextlib.suppress(OSError):  # EBUSY: a killed process is not gone yet
            os.rmdir(directory)
    return not cgroup.exists()
