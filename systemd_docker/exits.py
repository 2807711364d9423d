"""The one place that turns exceptions into messages and exit statuses, and that exits."""

from __future__ import annotations

import errno
import os
import sys

from systemd_docker import __version__, log
from systemd_docker.errors import EX_SOFTWARE, Error, UsageError
from systemd_docker.service.exit_status import Ending, end
from systemd_docker.unit import read_unit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from systemd_docker.unit import UnitContext

USAGE_HINT = "See 'systemd-docker --help' and 'systemd-docker run --help'."
"""Where a command line is wrong and nothing more can be said about it."""


def exit_after(work: Callable[[UnitContext], Ending]) -> NoReturn:
    """Do the work of this process, and end as it returns, or as it fails."""
    closed = open_closed_streams()
    ending = outcome_of(work, is_stdout_closed=1 in closed)
    if sys.stdout is not None:
        sys.stdout.flush()
    end(ending)


def open_closed_streams() -> tuple[int, ...]:
    """Open /dev/null for each standard stream that is closed; return which those were.

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


def outcome_of(work: Callable[[UnitContext], Ending], *, is_stdout_closed: bool = False) -> Ending:
    """Return how this process has to end; every failure is logged here, once."""
    unit = read_unit()
    log.messages.level_prefix = unit.stderr_is_journal
    if is_stdout_closed:
        log.warning("standard output is closed: what is written to it is lost")
    try:
        return work(unit)
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
        # Memory: a service without a bug does not need it.
        import traceback

        log.error(f"a bug in systemd-docker {__version__}, please report it:\n{traceback.format_exc()}")
        return Ending(EX_SOFTWARE)
