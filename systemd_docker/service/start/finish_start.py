"""From a container that runs to a service: adopted, its state made, announced to systemd last."""

from __future__ import annotations

import os

from systemd_docker import log
from systemd_docker.frozen import frozen, replace
from systemd_docker.kernel import cgroup
from systemd_docker.kernel.fd import NO_FD, Fd
from systemd_docker.plan import notify
from systemd_docker.plan.stop import reaches_payload, stop_budget_sec, stop_timeout_sec, stops_payload
from systemd_docker.sd.notify import Notifier
from systemd_docker.service import id_files
from systemd_docker.service.adoption.adopt import adopt
from systemd_docker.service.adoption.make_room import leftovers, planned
from systemd_docker.service.container_state import ContainerState
from systemd_docker.service.engine_requests import EngineAddress
from systemd_docker.service.exit_wait import ExitWaitState
from systemd_docker.service.notifications import guard, main_pid
from systemd_docker.service.notifications.state import HealthState, NotifyState, WatchdogState
from systemd_docker.service.notifications.status import Status
from systemd_docker.service.notifications.watchdog import source_of
from systemd_docker.service.output.journal_records import fields_of
from systemd_docker.service.output.open_sinks import open_sinks
from systemd_docker.service.output.state import OutputState, Position, SinkState
from systemd_docker.service.stop_policy import StopPolicy
from systemd_docker.service.supervise.clean_up import CleanUp
from systemd_docker.service.supervise.state import ServiceState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import ExitStack

    from systemd_docker.engine.http import Wait
    from systemd_docker.options.own import OwnOptions
    from systemd_docker.plan.launch_plan import LaunchPlan
    from systemd_docker.service.adoption.state import AdoptionState
    from systemd_docker.service.notifications.payload_socket import PayloadSocket
    from systemd_docker.service.start.launch import Container
    from systemd_docker.service.start.planning import Prepared
    from systemd_docker.unit import UnitContext


@frozen
class Start:
    """The beginning of a start, and its plan. begin_nsec: when it began, since the epoch."""

    own: OwnOptions
    unit: UnitContext
    prepared: Prepared
    begin_nsec: int


def finish_start(
    start: Start, container: Container, socket: PayloadSocket | None, wait: Wait, cleanup: ExitStack
) -> ServiceState:
    """Make the container part of the unit, and tell systemd; return the state of the service, which owns everything.

    socket: the container's notification socket, if it has one. cleanup: gets what takes all of it back.
    Announcing is the last step: whatever fails before it, systemd was not told that the unit is ready.
    """
    own, unit, plan = start.own, start.unit, start.prepared.plan
    adoption = planned(plan.adoption, container.facts.runtime)
    if container.leader:
        adoption = adopt(adoption, unit, container.id, container.leader)
        if own.pid_file:
            id_files.write_pid_file(own.pid_file, container.leader, cleanup)
    sinks = _open_sinks(start, container, cleanup)
    leader_is_main = plan.leader_is_main and container.leader != 0
    guard_fd = _post_guard(unit, wait, cleanup) if leader_is_main else NO_FD
    told = NotifyState(
        manager_socket=unit.notify_socket,
        payload_fd=Fd(socket.listener.socket.detach()) if socket else NO_FD,
        lock_fd=socket.lock_fd if socket else NO_FD,
        guard_fd=guard_fd,
        leader_is_main=leader_is_main,
        ready=plan.ready,
        steady_status=steady_text(container, plan, start.prepared.properties.restarts),
    )
    told = replace(told, status=told.steady_status)
    state = _state(start, container, adoption, sinks, told)
    notifier = Notifier(unit.notify_socket)
    main_pid.announce(notifier, leader=container.leader if leader_is_main else 0, is_ready=plan.ready == "started")
    Status(notifier, told, state.health.status).send()
    _log_choices(start, container)
    return state


def _state(
    start: Start, container: Container, adoption: AdoptionState, sinks: SinkState, told: NotifyState
) -> ServiceState:
    own, engine = start.own, start.prepared.engine
    exit_fd, exit_received = container.exit.parts()
    return ServiceState(
        log_level=log.LEVELS[own.log_level],
        as_code=own.exit_ == "code",
        engine=EngineAddress(engine.socket_path, engine.api),
        container=ContainerState(container.id, container.name, container.leader, container.pidfd),
        exit_wait=ExitWaitState(Fd(exit_fd), exit_received),
        stop=_stop_policy(start, container),
        adoption=adoption,
        output=_output(start, container, sinks),
        notify=told,
        health=_health(start, container),
        watchdog=_watchdog(start, container),
        clean_up=_clean_up(start, container),
    )


def steady_text(container: Container, plan: LaunchPlan, unit_restarts: int) -> str:
    """Return "Container web (4f2b8c7d9e01) from nginx:1, adoption parent: created in this unit's cgroup".

    unit_restarts: how often Restart= has started the unit again; see LaunchPlan and AdoptionPlan for the rest.
    """
    again = f", restart {unit_restarts} of the unit" if unit_restarts else ""
    adoption = f"adoption {plan.adoption.strategy}: {plan.adoption.reason}"
    return f"Container {container.name} ({container.id[:12]}) from {plan.image}{again}, {adoption}"


def _post_guard(unit: UnitContext, wait: Wait, cleanup: ExitStack) -> Fd:
    """Post the guard before the leader is announced: from then on systemd does not notice if this process dies."""
    place = guard.Place()
    if unit.cgroup is not None and unit.unified and not unit.is_in_namespace:
        own = cgroup.read_hierarchies().of_service(cgroup.read_proc_cgroup("self"))
        place = guard.place_of(unit.cgroup.mount, own.path)
    fd = guard.start(unit.notify_socket, place, wait)
    if fd != NO_FD:
        cleanup.callback(os.close, fd)
        cleanup.callback(guard.dismiss, fd)
    return Fd(fd)


def _open_sinks(start: Start, container: Container, cleanup: ExitStack) -> SinkState:
    if container.output is None:
        return SinkState()
    own, unit = start.own, start.unit
    as_records = own.journal == "fields" and unit.stdout_is_journal and unit.stderr_is_journal
    stdout_fd, stderr_fd = open_sinks(unit, container.name, own.log_priority, as_records=as_records)
    for fd in (stdout_fd, stderr_fd):
        cleanup.callback(os.close, fd)
    fields = fields_of(container.id, container.name, start.prepared.plan.image) if as_records else b""
    return SinkState(stdout_fd, stderr_fd, fields, own.log_priority, own.log_overflow == "drop")


def _output(start: Start, container: Container, sinks: SinkState) -> OutputState:
    if container.output is None:
        return OutputState()
    fd = Fd(container.output.stream.detach())
    wants_input = start.prepared.plan.wants_input
    return OutputState(
        fd=fd,
        stdin_fd=Fd(os.dup(fd)) if wants_input else NO_FD,
        framed=not container.facts.tty,
        sinks=sinks,
        position=Position(early=container.output.early),
    )


def _stop_policy(start: Start, container: Container) -> StopPolicy:
    plan, properties, facts = start.prepared.plan, start.prepared.properties, container.facts
    return StopPolicy(
        signal=facts.stop_signal,
        timeout_sec=float(stop_timeout_sec(facts.stop_timeout_sec, properties)),
        budget_sec=float(stop_budget_sec(properties)),
        reaches_payload=reaches_payload(plan.adoption, properties),
        stops_payload=stops_payload(plan.adoption, properties, facts.stop_signal),
        forwards=plan.passes_signals_on,
    )


def _health(start: Start, container: Container) -> HealthState:
    facts = container.facts
    return HealthState(
        check=facts.healthcheck,
        status="starting" if facts.health else "",
        found=facts.health,
        since_nsec=start.begin_nsec,
        on_failure=start.prepared.plan.health_on_failure,
    )


def _watchdog(start: Start, container: Container) -> WatchdogState:
    plan = start.prepared.plan
    if not plan.watchdog:
        return WatchdogState()
    return WatchdogState(source_of(plan.watchdog, plan.watchdog_usec, container.facts), plan.watchdog_usec)


def _clean_up(start: Start, container: Container) -> CleanUp:
    plan, unit = start.prepared.plan, start.unit
    pid_file = start.own.pid_file if container.leader else ""
    directory = plan.notify_directory
    return CleanUp(
        removes=plan.remove,
        pid_file=pid_file,
        files=(f"{directory}/{notify.SHARED}/{notify.SOCKET}",) if directory else (),
        directories=(
            *((f"{directory}/{notify.SHARED}", directory, notify.parent_of(unit)) if directory else ()),
            *leftovers(plan.adoption, unit),
        ),
    )


def _log_choices(start: Start, container: Container) -> None:
    plan = start.prepared.plan
    adoption = plan.adoption
    log.info(f"container '{container.name}' ({container.id[:12]}): adoption {adoption.strategy}, {adoption.reason}")
    if adoption.hint:
        log.info(adoption.hint)
    if plan.main_pid_hint:
        log.info(f"systemd-docker stays the main process of {start.unit.name}: {plan.main_pid_hint}")
