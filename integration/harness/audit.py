"""Compare a machine before and after a test, and clean it for the next one.

A test does not clean up itself: the fixtures in conftest.py photograph the machine before it, and afterwards stop the
units that it installed, compare, and remove them. What a failure prints of the machine is in report.py.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from integration.harness.machine import UNIT_DIRECTORY
from integration.harness.polling import poll

if TYPE_CHECKING:
    from collections.abc import Iterator

    from integration.harness.machine import Machine

PATIENCE_SEC = 5
"""How long systemd and the engine may take to remove what has ended."""

WARNING = 4

IDENTIFIERS = ("systemd-docker", "systemd-docker-generator")
"""SYSLOG_IDENTIFIER= of the product's own lines. A payload's lines have the container's name there."""

_DIRECTORIES = "/run /run/systemd-docker* /tmp /var/tmp /dev/shm /"
"""Directories in which the product's files, or core dumps, could remain."""

_SYSTEMS_OWN = "^/run/mount$|/systemd-private-"
"""Files of libmount, and those of PrivateTmp= while a service runs."""

_PARENT_CGROUPS = "/(docker|system.slice|commands|docker.service/.control|systemd-docker-guards.service)$"
"""Cgroups that a test may leave: the engine's parent of all containers, on v1 those that runc makes above it, the one
of Machine.run(), the one that systemd may leave of an ExecReload=, and the home of the guards, which stays active."""

_LISTINGS = {
    "cgroup": rf"find /sys/fs/cgroup -mindepth 1 -type d -printf '/%P\n' | grep -vE '{_PARENT_CGROUPS}'",
    "mount": "cut -d ' ' -f 5 /proc/1/mountinfo",
    "file": f"find {_DIRECTORIES} -xdev -mindepth 1 -maxdepth 1 2>/dev/null | grep -vE '{_SYSTEMS_OWN}'",
    "container": "docker ps --all --format '{{.Names}} ({{.Status}})'",
    "guard": "pgrep --full --list-full '^systemd-docker-guard' || true",
    "failed unit": "systemctl list-units --failed --plain --no-legend --full | cut -d ' ' -f 1",
}
"""Commands that print one line per existing thing, by kind."""


@dataclass(frozen=True, slots=True)
class Photograph:
    """The things that existed on a machine at one time, and where its journal and its console ended.

    things: e.g. {("mount", "/tmp"), ("cgroup", "/system.slice/docker.service")}.
    """

    things: frozenset[tuple[str, str]]
    journal_cursor: str
    console_lines: int


def photograph(machine: Machine) -> Photograph:
    """Photograph the machine; from now on its journal() begins here."""
    shown = machine.run("journalctl --sync; journalctl --lines=0 --show-cursor --quiet")
    machine.journal_cursor = shown.removeprefix("-- cursor: ")
    return Photograph(_things(machine), machine.journal_cursor, len(machine.console().splitlines()))


def _things(machine: Machine) -> frozenset[tuple[str, str]]:
    """List everything with one command. The error message of a listing that fails counts as a thing, too."""
    script = "\n".join(f"echo '=={kind}'; {{ {command}; }} 2>&1 || true" for kind, command in _LISTINGS.items())
    things, kind = set(), ""
    for line in machine.run(script).splitlines():
        if line.startswith("=="):
            kind = line.removeprefix("==")
        elif line:
            things.add((kind, line))
    return frozenset(things)


def findings(machine: Machine, before: Photograph, *, patience_sec: float = PATIENCE_SEC) -> list[str]:
    """Return one line per thing that the test left, and per unexpected line of the product in the journal."""

    def left() -> list[str]:
        return [f"{kind} left: {name}" for kind, name in sorted(_things(machine) - before.things)]

    with contextlib.suppress(TimeoutError):
        poll(lambda: not left(), what="everything to go", timeout_sec=patience_sec * machine.slowness)
    return [*left(), *_journal_findings(machine, before)]


def _journal_findings(machine: Machine, before: Photograph) -> Iterator[str]:
    machine.run("journalctl --sync")
    records = machine.journal(after=before.journal_cursor)
    messages = [record.get("MESSAGE", "") for record in records]
    allowed = [*machine.announced, *machine.tolerated]
    for record in records:
        message = record.get("MESSAGE", "")
        if _is_alarming(record) and not any(re.search(pattern, message) for pattern in allowed):
            yield f"journal: {record.get('_SYSTEMD_UNIT', '')}: {message}"
    for pattern in machine.announced:
        if not any(re.search(pattern, message) for message in messages):
            yield f"announced, but not in the journal: {pattern}"


def _is_alarming(record: dict[str, str]) -> bool:
    """Whether it is the product's at warning or above, a traceback of it, or systemd's message about a core dump."""
    message = record.get("MESSAGE", "")
    if record.get("SYSLOG_IDENTIFIER") in IDENTIFIERS:
        return int(record.get("PRIORITY", "6")) <= WARNING or message.startswith("Traceback")
    return record.get("_PID") == "1" and "code=dumped" in message


def stop_units(machine: Machine) -> None:
    """Stop the units that the test installed, each as its own settings say."""
    if services := [_instances(name) for name in machine.units if "/" not in name]:
        machine.run(f"systemctl stop {' '.join(services)}", timeout_sec=120)


def clear(machine: Machine) -> None:
    """Remove the units that the test installed."""
    if machine.units:
        machine.run(f"{'; '.join(map(_removal, machine.units))}; systemctl daemon-reload")
    machine.units.clear()
    machine.announced.clear()
    machine.tolerated.clear()


def _removal(name: str) -> str:
    """Return the shell command that removes a unit, or a drop-in and then its directory if that is empty."""
    directory, _, drop_in = name.rpartition("/")
    if drop_in and directory:
        return f"rm {UNIT_DIRECTORY}/{name}; rmdir --ignore-fail-on-non-empty {UNIT_DIRECTORY}/{directory}"
    return f"systemctl --quiet disable {name}; rm {UNIT_DIRECTORY}/{name}"


def clear_by_force(machine: Machine) -> None:
    """Clean the machine after a failure, so that the next test does not fail because of this one.

    A unit that hangs cannot be stopped, so the machine is reset; that takes a second.
    """
    machine.attempt("; ".join(map(_removal, machine.units)))
    machine.units.clear()
    machine.reboot(reset=True)
    machine.attempt("docker rm --force --volumes $(docker ps --all --quiet)")
    clear(machine)


def _instances(name: str) -> str:
    """ "docker@.service" -> "'docker@*.service'", which systemctl(1) takes for all that are loaded."""
    return f"'{name.replace('@.', '@*.')}'"
