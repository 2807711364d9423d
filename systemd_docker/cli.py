"""The console entry point: the only place that turns exceptions into messages and exit statuses, and that exits."""

from __future__ import annotations

import errno
import os
import sys

from systemd_docker import __version__, log
from systemd_docker.errors import EX_SOFTWARE, Error, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from systemd_docker.options.own import OwnOptions
    from systemd_docker.service.exit_status import Ending
    from systemd_docker.service.start.early_queries import EarlyQueries
    from systemd_docker.unit import UnitContext

USAGE_HINT = "See 'systemd-docker --help' and 'systemd-docker run --help'."
"""Where a command line is wrong and nothing more can be said about it."""

SUBCOMMANDS = ("run", "exec", "kill", "stop", "rm", "install-system")


def main() -> NoReturn:
    """systemd-docker(1)."""
    from systemd_docker.service.exit_status import end

    closed = open_closed_streams()
    ending = run_command(sys.argv[1:], closed)
    if sys.stdout is not None:
        sys.stdout.flush()
    end(ending)


def open_closed_streams() -> tuple[int, ...]:
    """Standard streams that were closed are /dev/null from now on; which those are.

    Else the next descriptors to be opened would have their numbers, and be written to.
    """
    closed = []
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            # The lowest free number is what open(2) takes.
            os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(fd, True)
            closed.append(fd)
    return tuple(closed)


def run_command(argv: Sequence[str], closed: Sequence[int] = ()) -> Ending:
    """Run one command line; how this process has to end.

    closed: standard streams that somebody has closed.
    """
    from systemd_docker import unit as unit_room
    from systemd_docker.service.exit_status import Ending
    from systemd_docker.service.supervise import reexec

    unit = unit_room.read_unit()
    log.messages.level_prefix = unit.stderr_is_journal
    if 1 in closed:
        log.warning("standard output is closed, ignoring: what is written to it is lost")
    try:
        if (held := reexec.resumed(unit.environ)) is not None:
            from systemd_docker.service.supervise import lifetime

            return lifetime.resume(held, unit)
        return _dispatch(argv, unit)
    except Error as error:
        log.error(str(error))
        if hint := error.hint or (USAGE_HINT if isinstance(error, UsageError) else ""):
            log.info(hint)
        return Ending(error.exit_status)
    except OSError as error:
        # A mechanism failed and no policy had a plan for it. The errno's name is what gets searched for.
        log.error(f"{error} ({errno.errorcode.get(error.errno or 0, '?')})")
        return Ending(Error.exit_status)
    except Exception:
        import traceback

        log.error(f"a bug in systemd-docker {__version__}, please report it:\n{traceback.format_exc()}")
        return Ending(EX_SOFTWARE)


def _dispatch(argv: Sequence[str], unit: UnitContext) -> Ending:
    from systemd_docker.options.own import parse_own
    from systemd_docker.service.exit_status import Ending

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
    from systemd_docker import unit as unit_room
    from systemd_docker.service.start.early_queries import EarlyQueries

    if own.sdnotify == "ignore":
        unit = unit_room.without_notifications(unit)
    if "LISTEN_FDS" in unit.environ:
        from systemd_docker.service.start import inherited_fds

        inherited_fds.close_all()
    # The engine and the service manager look it up while the rest is imported.
    queries = EarlyQueries(unit)
    try:
        return _run_container(own, argv, unit, queries)
    finally:
        queries.close()


def _run_container(own: OwnOptions, argv: Sequence[str], unit: UnitContext, queries: EarlyQueries) -> Ending:
    from systemd_docker.options.run_options import parse_run
    from systemd_docker.service.exit_status import Ending

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
