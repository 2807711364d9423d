"""`systemd-docker --help` and `systemd-docker run --help`, made from the tables of flags."""

from __future__ import annotations

from systemd_docker.options.flags import FLAGS
from systemd_docker.options.own import OWN_FLAGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from systemd_docker.options.pflag import Flag

_WIDTH = 100

_RUN = """\
Usage:  systemd-docker [OPTIONS] run [RUN OPTIONS] IMAGE [COMMAND] [ARG...]

Run a container as a systemd service; for ExecStart=

Run options, as for 'docker run':
"""

_OWN = """\
Usage:  systemd-docker [OPTIONS] COMMAND …

Run Docker containers as systemd services

Commands:
  run              Run a container as a systemd service; for ExecStart=
  exec             Run a command in the unit's container; for ExecReload=, ExecStartPost=
  kill             Send a signal to the unit's container; for ExecReload=
  stop             Stop the unit's container; for ExecStop=
  rm               Remove all containers of the unit; for ExecStopPost=
  install-system   Install the launchers, units and manual pages

Options:
"""

_VERB = """\
Usage:  systemd-docker {usage}

{explanation}

Options:
"""


def run_help() -> str:
    return _RUN + _table(FLAGS)


def own_help() -> str:
    return _OWN + _table(OWN_FLAGS) + "\nSee 'systemd-docker run --help' for the options of 'run'.\n"


def verb_help(verb: str, arguments: str, explanation: str, flags: Iterable[Flag]) -> str:
    usage = f"{verb} [OPTIONS] {arguments}".rstrip()
    return _VERB.format(usage=usage, explanation=explanation) + _table(flags)


def _table(flags: Iterable[Flag]) -> str:
    rows = [(_usage(flag), _explanation(flag)) for flag in flags if flag.help]
    column = min(max(len(usage) for usage, _ in rows), 36) + 3
    return "".join(_row(usage, explanation, column) for usage, explanation in rows)


def _usage(flag: Flag) -> str:
    short = f"-{flag.short}, " if flag.short else "    "
    return f"  {short}--{flag.long} {flag.kind}".rstrip()


def _explanation(flag: Flag) -> str:
    facts = []
    if flag.default not in ("", "0", "0s", "false"):
        facts.append(f"default {flag.default}")
    if flag.api > (1, 40):
        facts.append(f"API {flag.api[0]}.{flag.api[1]}")
    return f"{flag.help} ({', '.join(facts)})" if facts else flag.help


def _row(usage: str, explanation: str, column: int) -> str:
    lines = [""]
    for word in explanation.split():
        if lines[-1] and len(lines[-1]) + len(word) + 1 > _WIDTH - column:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    head = f"{usage:<{column}}" if len(usage) < column else f"{usage}\n{'':<{column}}"
    return head + f"\n{'':<{column}}".join(lines) + "\n"
