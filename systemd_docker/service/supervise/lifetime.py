"""The life of a service from its container's start to this process's end."""

from __future__ import annotations

from systemd_docker import log
from systemd_docker.errors import EngineUnreachableError
from systemd_docker.kernel.fd import NO_FD
from systemd_docker.kernel.loop import Loop
from systemd_docker.kernel.signals import Signals
from systemd_docker.service.exit_status import Ended, Ending, Outcome, ending_of
from systemd_docker.service.id_files import remove_pid_file
from systemd_docker.service.notifications.guard import dismiss
from systemd_docker.service.supervise import state as service_state
from systemd_docker.service.supervise.clean_up import (
    LATE_STOP_SEC,
    REMOVAL_TIMEOUT_SEC,
    remove_container,
    remove_files,
)
from systemd_docker.service.supervise.reexec import reexec
from systemd_docker.service.supervise.supervisor import Supervisor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.service.supervise.state import ServiceState
    from systemd_docker.unit import UnitContext

LAST_REMOVAL_SEC = 1
"""The least time for a removal, of what STOP_MARGIN_SEC leaves."""


def supervise(state: ServiceState, unit: UnitContext, signals: Signals, *, is_new: bool) -> Ending:
    """Supervise a container until it has ended, and remove what it leaves; return how this process has to end.

    is_new: the container has just been started by this image of the program, which may execute itself again.
    Owns the descriptors in state. Only an ending removes anything: after an exception the container is as it was.
    Raises EngineUnreachableError: the container has ended while the engine was away, so its exit status is unknown.
    """
    supervisor = Supervisor(Loop(), state, unit, signals)
    try:
        again = (lambda now: reexec(now, unit.environ, signals.has_caught)) if is_new else None
        ended = supervisor.run(is_new=is_new, reexec=again)
        _clean_up(supervisor, ended, signals)
    except Exception:
        name = state.container.name
        log.error(f"systemd-docker stops supervising container '{name}', which is left as it is")
        log.info(f"'docker ps' shows whether it runs; 'docker rm --force {name}' removes it.")
        raise
    finally:
        supervisor.close()
        service_state.close(supervisor.state)
    return ending_of(_outcome(ended, supervisor.state), as_code=state.as_code)


def resume(state: ServiceState, unit: UnitContext) -> Ending:
    """Continue in a new image of the program; see service.supervise.reexec."""
    log.messages.threshold = state.log_level
    signals = Signals()
    try:
        return supervise(state, unit, signals, is_new=False)
    finally:
        signals.close()


def _outcome(ended: Ended, state: ServiceState) -> Outcome:
    """A container that was to stop, and is dead, has stopped; any other unknown exit status is an error."""
    if ended.outcome is not None:
        return ended.outcome
    name = state.container.name
    if ended.stopped_by:
        log.warning(f"no exit status for container '{name}' from the engine, assuming signal {ended.stopped_by}")
        return Outcome(128 + ended.stopped_by, ended.stopped_by)
    raise EngineUnreachableError(
        f"container '{name}' has ended, and the engine cannot tell its exit status",
        hint="See 'systemctl status docker.service'.",
    )


def _clean_up(supervisor: Supervisor, ended: Ended, signals: Signals) -> None:
    state = supervisor.state
    if state.notify.guard_fd != NO_FD:
        # First, so that the guard is gone at this process's end: systemd waits for every process of the unit.
        dismiss(state.notify.guard_fd)
    if state.clean_up.removes and ended.may_remove:
        limit_sec = supervisor.stopper.left_sec(REMOVAL_TIMEOUT_SEC, at_least_sec=LAST_REMOVAL_SEC)
        late_stop_sec = min(LATE_STOP_SEC, state.stop.budget_sec / 2)
        remove_container(state.engine, state.container, signals, limit_sec, late_stop_sec)
    if state.clean_up.pid_file:
        remove_pid_file(state.clean_up.pid_file, state.container.leader)
    remove_files(state.clean_up)
