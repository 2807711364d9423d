"""The command line of systemd-docker(1): options in front, a subcommand, and what each subcommand imports."""

from __future__ import annotations

import sys

from systemd_docker import __version__, log
from systemd_docker import unit as unit_context
from systemd_docker.errors import UsageError
from systemd_docker.exits import exit_after
from systemd_docker.options.own import parse_own
from systemd_docker.service.exit_status import Ending
from systemd_docker.service.start import inherited_fds
from systemd_docker.service.start.early_queries import EarlyQueries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from systemd_docker.options.own import OwnOptions
    from systemd_docker.unit import UnitContext

SUBCOMMANDS = ("run", "exec", "kill", "stop", "rm", "install-system")


def main() -> NoReturn:
    """Run systemd-docker(1) with this process's arguments."""
    exit_after(lambda unit: dispatch(sys.argv[1:], unit))


def dispatch(argv: Sequence[str], unit: UnitContext) -> Ending:
    """Do what one command line says; return how this process has to end.

    Each branch imports what only it needs: a start is not to take longer for the sake of `--help`.
    """
    own, words = parse_own(argv)
    log.messages.threshold = log.LEVELS[own.log_level]
    if own.version:
        print(f"systemd-docker {__version__}")
        return Ending(0)
    if own.help:
        from systemd_docker.options.help import own_help

        print(own_help(), end="")
        return Ending(0)
    known = f"Known are: {', '.join(SUBCOMMANDS)}. See --help."
    if not words:
        raise UsageError("no subcommand is given", hint=known)
    subcommand, *rest = words
    if unit.is_hidden:
        from systemd_docker.engine.http import wait_ready
        from systemd_docker.service.hidden_unit import reveal

        unit = reveal(unit, wait_ready)
    match subcommand:
        case "run":
            return _run(own, rest, unit)
        case "exec" | "kill" | "stop" | "rm":
            from systemd_docker.commands import container

            return Ending(container.main(subcommand, rest, unit))
        case "install-system":
            from systemd_docker.commands import install_system

            return Ending(install_system.main(rest))
        case _:
            raise UsageError(f"unknown subcommand: '{subcommand}'", hint=known)


def _run(own: OwnOptions, argv: Sequence[str], unit: UnitContext) -> Ending:
    if own.sdnotify == "ignore":
        unit = unit_context.without_notifications(unit)
    if "LISTEN_FDS" in unit.environ:
        inherited_fds.close_all()
    # The engine and systemd look things up while the rest is imported.
    queries = EarlyQueries(unit)
    try:
        return _run_container(own, argv, unit, queries)
    finally:
        queries.close()


def _run_container(own: OwnOptions, argv: Sequence[str], unit: UnitContext, queries: EarlyQueries) -> Ending:
    from systemd_docker.options.run_options import parse_run

    options = parse_run(argv)
    if options.switch("help"):
        from systemd_docker.options.help import run_help

        print(run_help(), end="")
        return Ending(0)
    if own.dry_run:
        from systemd_docker.commands import dry_run

        return Ending(dry_run.main(own, options, unit, queries))
    from systemd_docker.service.run import run

    return run(own, options, unit, queries)
