"""Take up a container that runs again with another leader: PID file, adoption, MAINPID=."""

from __future__ import annotations

from systemd_docker import log
from systemd_docker.errors import AdoptionError, Error
from systemd_docker.frozen import replace
from systemd_docker.kernel import pidfd
from systemd_docker.service import id_files
from systemd_docker.service.adoption.adopt import adopt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.service.notifications.main_pid import MainPid
    from systemd_docker.service.supervise.state import ServiceState
    from systemd_docker.unit import UnitContext


def take_up(state: ServiceState, unit: UnitContext, main_pid: MainPid) -> ServiceState:
    """Return state for its new leader, which has become part of the unit as the old one was, and its main process.

    A leader that cannot become part of the unit is killed.
    """
    container, adoption = state.container, state.adoption
    if not container.leader:
        return state
    log.info(f"container '{container.name}' was started again, with process {container.leader}")
    if state.clean_up.pid_file:
        try:
            id_files.replace_pid_file(state.clean_up.pid_file, container.leader)
        except Error as error:
            log.warning(f"{error}: it names the process of the container's last run")
    try:
        adoption = adopt(adoption, unit, container.id, container.leader)
    except AdoptionError as error:
        log.error(f"killing container '{container.name}', which was started again outside of {unit.name}: {error}")
        pidfd.kill(container.pidfd)
        return state
    if state.notify.leader_is_main:
        main_pid.give(container.leader)
    return replace(state, adoption=adoption)
