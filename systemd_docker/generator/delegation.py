"""Delegate= for services that need it and do not know: units written for the Go systemd-docker.

That tool moved the container's processes into the unit's own cgroup. Here the engine makes the container's cgroup
below the unit's, which on cgroup v2 needs Delegate=yes: else systemd may take the controllers away again, and
ExecReload= or ExecStop= fail with EBUSY. Pure: a unit file with its drop-ins in, the text of one more drop-in out.
"""

from __future__ import annotations

import itertools

from systemd_docker.sd import unit_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PROGRAM = "systemd-docker"

DELEGATE_SUBGROUP_SINCE = 254
"""First systemd that knows DelegateSubgroup=; older ones would warn about it at every reload."""

DROP_IN = "0-systemd-docker-delegate.conf"
"""Sorts before what others call theirs, 00-… included, so that they win wherever they say something else."""

SHELLS = frozenset({"ash", "bash", "dash", "ksh", "sh", "zsh"})

LAUNCHERS = frozenset(
    {"chrt", "env", "flock", "ionice", "nice", "nohup", "numactl", "setpriv", "setsid", "stdbuf", "sudo",
     "systemd-cat", "systemd-inhibit", "taskset", "timeout"}
)  # fmt: skip
"""Programs that run the command line behind their own options."""

SHELL_SEPARATORS = ";&|(){}\n`"
SHELL_WORDS = frozenset({"!", "command", "do", "else", "exec", "if", "then", "time", "until", "while"})

TEXT = """\
# Written by systemd-docker-generator(8): ExecStart= runs systemd-docker, and nothing sets Delegate=. The engine makes
# the container's cgroup below that of the service, which is only allowed where systemd has delegated it.
# Set Delegate= yourself, in the unit or in a drop-in, and this file is no longer written.
[Service]
Delegate=yes
"""
SUBGROUP_TEXT = "DelegateSubgroup=supervisor\n"


GUARDS_DROP_IN = "0-systemd-docker-guards.conf"

GUARDS_TEXT = """\
# Written by systemd-docker-generator(8): ExecStart= runs systemd-docker, whose guard lives in this service. It tells
# systemd when every process of the unit was killed at once, which systemd itself may not notice; systemd-docker(1).
[Unit]
Wants=systemd-docker-guards.service
After=systemd-docker-guards.service
"""


def drop_in(unit: unit_file.UnitFile, systemd_version: int) -> str:
    """The text of the drop-in that unit needs, "" where it needs none.

    unit:            the unit file and its drop-ins, merged.
    systemd_version: 0 where it is not known.
    """
    if unit.values("Service", "Delegate") or not runs_container(unit):
        return ""
    if systemd_version < DELEGATE_SUBGROUP_SINCE or unit.values("Service", "DelegateSubgroup"):
        return TEXT
    return TEXT + SUBGROUP_TEXT


def runs_container(unit: unit_file.UnitFile) -> bool:
    """Return whether an ExecStart= in force is `systemd-docker … run …`, by itself, behind a launcher or in a shell
    line."""
    return any(_is_run(words) for value in unit.listed("Service", "ExecStart") for words in _commands(value))


def _commands(value: str) -> Iterator[list[str]]:
    try:
        commands = unit_file.parse_commands(value)
    except unit_file.UnitSyntaxError:
        return  # systemd ignores the assignment, too
    for command in commands:
        yield [command.program, *command.arguments]


def _is_run(words: Sequence[str]) -> bool:
    program, arguments = _basename(words[0]), words[1:]
    if program == PROGRAM:
        return "run" in arguments
    if program in SHELLS:
        return any(_is_run(command) for command in _shell_commands(arguments))
    if program in LAUNCHERS:
        for number, word in enumerate(arguments):
            if _basename(word) in SHELLS | {PROGRAM}:
                return _is_run(arguments[number:])
    return False


def _shell_commands(arguments: Sequence[str]) -> Iterator[list[str]]:
    """The simple commands of `sh -c SCRIPT`, as far as they can be told without being a shell."""
    for option, script in itertools.pairwise(arguments):
        if option.startswith("-") and not option.startswith("--") and "c" in option:
            for separator in SHELL_SEPARATORS:
                script = script.replace(separator, ";")
            for command in script.split(";"):
                words = _split(command)
                while words and (words[0] in SHELL_WORDS or "=" in words[0]):
                    del words[0]
                if words:
                    yield words
            return


def _split(command: str) -> list[str]:
    try:
        return unit_file.split_words(command)
    except unit_file.UnitSyntaxError:
        return command.split()  # a quoted separator has cut it in two


def _basename(word: str) -> str:
    return word.rpartition("/")[2]
