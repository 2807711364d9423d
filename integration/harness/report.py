"""The state of a machine on which a test failed, for its reader. audit.py decides what is a failure."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from integration.harness.audit import Photograph
    from integration.harness.machine import Machine

CONSOLE_LINES = 40


def report(machine: Machine, before: Photograph) -> str:
    """Describe the machine now, and its journal and console since the photograph. Never raises."""
    commands = list(_commands(machine, before))
    return "\n".join([*(_transcript(machine, command) for command in commands), _console(machine, before)])


def _commands(machine: Machine, before: Photograph) -> Iterator[str]:
    since = f"journalctl --no-pager --quiet --after-cursor='{before.journal_cursor}'"
    for unit in (name for name in machine.units if "/" not in name):
        yield f"systemctl status --no-pager --full --lines=0 '{unit.replace('@.', '@*.')}'"
    yield "systemctl list-units --failed --plain --no-legend --full"
    yield "docker ps --all"
    yield "systemd-cgls --no-pager --xattr=no"
    yield f"{since} --output=short-precise"


def _transcript(machine: Machine, command: str) -> str:
    try:
        result = machine.attempt(command, timeout_sec=20)
    except (OSError, TimeoutError, subprocess.SubprocessError) as error:
        return f"# {command}\n{error}\n"
    return f"# {command}\n{result.stdout}{result.stderr}"


def _console(machine: Machine, before: Photograph) -> str:
    lines = machine.console().splitlines()[before.console_lines :]
    return "\n".join([f"# {machine.name}'s console", *lines[-CONSOLE_LINES:]])
