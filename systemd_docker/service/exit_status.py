"""How the container ended is how the unit ends: an Outcome to an exit status or a signal of our own.

Why a signal: systemd treats "exited with 143" and "killed by SIGTERM" differently. Restart=on-abnormal and on-abort,
SuccessExitStatus= and a clean stop work only where the main process dies as a native service would have died.
"""

from __future__ import annotations

import os

from systemd_docker.frozen import frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from typing import NoReturn
else:
    import _signal as signal

DEADLY_SIGNALS = frozenset(
    {
        signal.SIGHUP,
        signal.SIGINT,
        signal.SIGQUIT,
        signal.SIGILL,
        signal.SIGTRAP,
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGKILL,
        signal.SIGUSR1,
        signal.SIGSEGV,
        signal.SIGUSR2,
        signal.SIGPIPE,
        signal.SIGALRM,
        signal.SIGTERM,
        signal.SIGXCPU,
        signal.SIGXFSZ,
        signal.SIGSYS,
    }
)
"""What ends a process by default; signal(7). 128 + any other number is a plain exit code."""

CORE_LIMIT_NONE = 1
"""RLIMIT_CORE of one byte: no core file, and none for a core_pattern that is a pipe either, which takes 0 for
unlimited; core(5). The core that matters was the payload's."""


INIT_STOPPED = 2
"""The exit code of a `runc init` that a signal has met before it could execute the payload, as `systemctl stop` sends
it to all processes of the unit: PID 1 does not die of its own signals, and Go's runtime exits with 2."""


@frozen
class Outcome:
    """How the container ended.

    exit_code: the payload's exit code, or 128 + signal number, as the engine reports it.
    stopped_by: the signal that asked systemd-docker for the end, or 0.
    killed:    whether the stopper sent SIGKILL, because the payload did not stop in time.
    at_start:  whether that signal came so early that there may have been no payload yet; see EARLY_SEC.
    """

    exit_code: int
    stopped_by: int = 0
    killed: bool = False
    at_start: bool = False


@frozen
class Ended:
    """The end of a container's life.

    outcome:    None where the engine could not tell how it ended.
    stopped_by: the signal that asked for the end, or 0.
    may_remove: whether the engine answers: one that is away removes nothing.
    """

    outcome: Outcome | None
    stopped_by: int
    may_remove: bool


@frozen
class Ending:
    """How this process ends: with an exit status, or by a signal (then signo is not 0)."""

    exit_status: int
    signo: int = 0


def ending_of(outcome: Outcome, *, as_code: bool = False) -> Ending:
    """as_code: docker-run(1)'s plain 128 + signal number instead of a signal.

    A payload that was asked to stop and had to be killed in the end was stopped as asked: `docker stop` succeeds as
    well, and a unit must not fail because its payload ignores SIGTERM, as every shell does that is PID 1. So was one
    that was not even there yet.
    """
    was_killed = outcome.killed and outcome.exit_code == 128 + signal.SIGKILL
    was_met_early = outcome.at_start and outcome.exit_code == INIT_STOPPED
    if outcome.stopped_by and (was_killed or was_met_early):
        return Ending(0) if as_code else Ending(128 + outcome.stopped_by, outcome.stopped_by)
    signo = outcome.exit_code - 128
    if signo in DEADLY_SIGNALS and not as_code:
        return Ending(outcome.exit_code, signo)
    return Ending(outcome.exit_code)


def end(ending: Ending) -> NoReturn:
    """End this process as ending says."""
    if ending.signo:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (CORE_LIMIT_NONE, CORE_LIMIT_NONE))
        if ending.signo != signal.SIGKILL:
            signal.signal(ending.signo, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {ending.signo})
        os.kill(os.getpid(), ending.signo)
    os._exit(ending.exit_status)
