"""Everything that the process of a running service holds, as one record of plain values and descriptor numbers.

It is made once, when the container has started, and is all that supervising, stopping and cleaning up need. Because
it is plain, it also goes through execve(2): see service.rest.
"""

from __future__ import annotations

import marshal
import os

from systemd_docker.frozen import frozen
from systemd_docker.kernel.pidfd import NO_FD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


@frozen
class Held:
    """One running container, what was decided about it, and what has to be cleared away in the end.

    Descriptors are owned by whoever holds the record, and NO_FD where there is none.

    socket_path, api:    the engine's.
    id, name, leader:    the container's; leader is 0 if it had ended before it could be looked at.
    framed:              whether output comes in frames (no --tty).
    stop_signal:         as the engine shows it, "" for SIGTERM.
    stop_timeout_sec:    how long the payload has between that signal and SIGKILL.
    patience_sec:        how long we may need for all of it once we were told to stop: TimeoutStopSec= cuts it off.
    adoption, sweeps, cgroups: the strategy by which the container is part of the unit, and as in AdoptionPlan.
    moved:               (mount, from, to): the engine's cgroup for the container, and where its processes were moved
                         to from there, and others have to follow; () where they do not.
    leader_is_main:      whether the service manager takes the leader for the main process.
    shares_manager_signals:  whether what `systemctl kill` sends to the unit reaches the payload by itself.
    manager_signals_payload: whether `systemctl stop` sends it its stop signal by itself.
    passes_signals_on:   whether other signals that we get are the payload's.
    as_code:             whether a signal that ended the payload is reported as exit status 128 + n.
    removes:             whether the container goes when it has ended.
    pid_file:            where the leader's PID is written, "" for nowhere.
    files, directories:  what else goes then, in this order.
    output_fd:           the container's output, non-blocking; frame: where in a frame it stands, see Demultiplexer.
    output_is_log:       whether it is the engine's log, which begins before what was passed on last.
    tails:               by stream, what of it was passed on last and when, see Tails.
    early_output:        bytes of it that were received and not passed on yet.
    exit_fd:             the engine's answer when the container has ended; exit_received: what came of it so far.
    pidfd:               the leader's.
    guard_fd:            what the guard sees close if we die, see service.notifications.guard.
    stdin_fd:            a duplicate of output_fd that standard input is written to.
    stdout_fd, stderr_fd: where output goes.
    record_fields:       what each record to the journal says of the container; b"" where output goes as it comes.
    priorities:          of standard output and standard error, in such records.
    unfinished:          lines of them whose end has not come; see RecordSink.state.
    drops_output:        what a reader does not take at once is lost, instead of slowing the payload down.
    notify_fd:           the socket that the payload's notifications come to.
    health_fd:           the engine's events, if a resting process waits for news of the container's health.
    notify_socket:       where ours go, "" for nowhere.
    steady_status:       what is said in STATUS= of a container that says nothing itself.
    status:              what is said, without the health behind it.
    restarts:            how often the container was started again in this invocation of the unit.
    payload_says_ready:  whether READY=1 is the payload's to say.
    awaits_healthy:      whether READY=1 is still to be said, at the first healthy.
    healthcheck:         the container's, see ContainerFacts; "" for none.
    health:              the engine's word, as far as we have acted on it; "" for a container without a healthcheck.
    health_found:        what it was when we looked at the container; "" once that was acted on.
    health_since_nsec:   when the engine's events were last listened to; see Health.
    health_on_failure:   "none", "kill", "restart", "stop".
    watchdog:            who says WATCHDOG=1: "payload", "health", "engine", or "" for nobody.
    watchdog_usec:       WatchdogSec=.
    """

    socket_path: str
    api: tuple[int, int]
    id: str
    name: str
    leader: int
    framed: bool
    stop_signal: str
    stop_timeout_sec: int
    patience_sec: int
    adoption: str
    sweeps: bool
    cgroups: tuple[str, ...]
    moved: tuple[str, ...]
    leader_is_main: bool
    shares_manager_signals: bool
    manager_signals_payload: bool
    passes_signals_on: bool
    as_code: bool
    removes: bool
    pid_file: str
    files: tuple[str, ...]
    directories: tuple[str, ...]
    output_fd: int
    output_is_log: bool
    tails: Mapping[int, tuple[float, bytes]]
    frame: tuple[bytes, int, int]
    early_output: bytes
    exit_fd: int
    exit_received: bytes
    pidfd: int
    guard_fd: int
    stdin_fd: int
    stdout_fd: int
    stderr_fd: int
    record_fields: bytes
    priorities: tuple[int, int]
    unfinished: tuple[tuple[bytes, int, bytes, int], tuple[bytes, int, bytes, int]]
    drops_output: bool
    notify_fd: int
    health_fd: int
    notify_socket: str
    steady_status: str
    status: str
    restarts: int
    payload_says_ready: bool
    awaits_healthy: bool
    healthcheck: str
    health: str
    health_found: str
    health_since_nsec: int
    health_on_failure: str
    watchdog: str
    watchdog_usec: int

    def fds(self) -> tuple[int, ...]:
        """The descriptors there are."""
        numbers = (
            self.output_fd,
            self.exit_fd,
            self.pidfd,
            self.guard_fd,
            self.stdin_fd,
            self.stdout_fd,
            self.stderr_fd,
            self.notify_fd,
            self.health_fd,
        )
        return tuple(fd for fd in numbers if fd != NO_FD)


def dump(held: Held) -> bytes:
    """For load(), in the same interpreter: marshal costs nothing to import, and promises no more than that."""
    return marshal.dumps({name: getattr(held, name) for name in Held.__match_args__})


def load(data: bytes) -> Held:
    fields: dict[str, object] = marshal.loads(data)
    return Held(**fields)  # type: ignore[arg-type]  # dump() wrote them


def close(held: Held) -> None:
    for fd in held.fds():
        os.close(fd)
