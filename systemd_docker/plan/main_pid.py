"""Choose the unit's main process: the container's first process, or systemd-docker."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.plan.adoption import AdoptionPlan
    from systemd_docker.sd.unit_properties import UnitProperties
    from systemd_docker.unit import UnitContext


def choose_main_pid(
    wanted: str, adoption: AdoptionPlan, unit: UnitContext, properties: UnitProperties, ready: str
) -> tuple[bool, str]:
    """Return (the leader is to be the main process, the reason where it is not although --main-pid=auto).

    systemd-docker has to name itself again when the leader is dead: with NotifyAccess=main systemd would not listen.
    With KillMode=mixed or process systemd sends SIGKILL to the rest as soon as the main process is signalled, because
    it does not wait for a process that is not its child. With cgroup v1 alone it waits for no other process of a
    delegated unit: SIGKILL comes as soon as the main process has ended. A main process that it may not signal it
    leaves behind. Since systemd 262 a unit of Type=notify-reload fails where its main process has no handler for
    SIGHUP at READY=1 (service_check_reload_signal_handler() in its service.c): a payload that does not send READY=1
    itself has not come that far.
    """
    if adoption.is_foreign:
        return False, "" if wanted == "wrapper" else "a user's manager may not signal what the system's engine runs"
    if wanted != "auto":
        return wanted == "container", ""
    if adoption.strategy == "none":
        return False, ""
    if not properties.kill_mode:
        # systemd has not reported on the unit, and a warning is out already.
        return False, ""
    if properties.notify_access != "all":
        return False, "NotifyAccess=all would make the container's process the unit's main process"
    if properties.kill_mode != "control-group":
        return False, "KillMode=control-group would make the container's process the unit's main process"
    if properties.type == "notify-reload" and ready != "payload":
        return False, "with Type=notify-reload only a container that sends READY=1 itself can be the main process"
    if unit.is_v1_alone:
        return False, "with cgroup v1 alone systemd waits for nothing but the main process"
    return True, ""
