"""From a payload that runs to a service: adopted, announced to the service manager, held.

Apart from service.run, because what this room imports is first needed when the payload runs.
"""

from __future__ import annotations

import os

from systemd_docker import log
from systemd_docker.engine import http, multiplex
from systemd_docker.kernel.pidfd import NO_FD
from systemd_docker.plan.launch_plan import (
    NOTIFY_SHARED_DIRECTORY,
    NOTIFY_SOCKET_NAME,
    manager_signals_payload,
    patience_sec,
    shares_manager_signals,
    stop_timeout_sec,
)
from systemd_docker.sd.notify import Notifier
from systemd_docker.service.adoption import adopt
from systemd_docker.service.adoption.state import planned
from systemd_docker.service.notifications import guard, main_pid
from systemd_docker.service.notifications.status import Status, steady_text
from systemd_docker.service.output import sinks
from systemd_docker.service.output.relay import NO_LINE
from systemd_docker.service.start import id_files
from systemd_docker.service.supervise.state import Held

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.engine.models import ContainerFacts
    from systemd_docker.options.own import OwnOptions
    from systemd_docker.plan.launch_plan import LaunchPlan
    from systemd_docker.sd.notify import Listener
    from systemd_docker.service.adoption.state import AdoptionState
    from systemd_docker.service.start.launch import Container
    from systemd_docker.service.start.planning import Prepared
    from systemd_docker.undo import Undo
    from systemd_docker.unit import UnitContext


def take_over(
    own: OwnOptions,
    prepared: Prepared,
    container: Container,
    unit: UnitContext,
    undo: Undo,
    *,
    listener: Listener | None,
    begin_nsec: int,
) -> Held:
    """All that is still needed of a container that has just started, which the service manager knows of now.

    listener:   the payload's notification socket, if it has one. begin_nsec: when this invocation began.
    """
    plan = prepared.plan
    adoption = planned(plan.adoption, container.facts.runtime)
    if container.leader:
        adoption = adopt.adopt(adoption, unit, container.id, container.leader)
        if own.pid_file:
            id_files.write_pid_file(own.pid_file, container.leader, undo)
    notifier = Notifier(unit.notify_socket)
    leader_is_main = plan.leader_is_main and container.leader != 0
    guard_fd = _post_guard(unit, undo) if leader_is_main else NO_FD
    main_pid.announce(notifier, leader=container.leader if leader_is_main else 0, is_ready=plan.ready == "started")
    held = _hold(own, container, prepared, unit, adoption, listener, guard_fd, begin_nsec)
    Status(notifier, held).say()
    _log_choices(container, plan, unit)
    return held


def _post_guard(unit: UnitContext, undo: Undo) -> int:
    """Before the leader is announced: from then on systemd does not notice if we die."""
    fd = guard.start(unit.notify_socket, http.wait_ready)
    if fd != NO_FD:
        undo.callback(os.close, fd)
        undo.callback(guard.dismiss, fd)
    return fd


def _hold(
    own: OwnOptions,
    container: Container,
    prepared: Prepared,
    unit: UnitContext,
    adoption: AdoptionState,
    listener: Listener | None,
    guard_fd: int,
    begin_nsec: int,
) -> Held:
    plan, properties, facts = prepared.plan, prepared.properties, container.facts
    status = steady_text(container, plan, properties.restarts)
    exit_fd, exit_received = container.exit.parts()
    output, stdout_fd, stderr_fd = container.output, NO_FD, NO_FD
    as_records = own.journal == "fields" and unit.stdout_is_journal and unit.stderr_is_journal
    if output is not None:
        stdout_fd, stderr_fd = sinks.open_sinks(unit, container.name, own.log_priority, as_records=as_records)
    shared = f"{plan.notify_directory}/{NOTIFY_SHARED_DIRECTORY}"
    socket_files = (f"{shared}/{NOTIFY_SOCKET_NAME}",) if plan.notify_directory else ()
    output_fd = output.stream.detach() if output else NO_FD
    return Held(
        socket_path=prepared.engine.socket_path,
        api=prepared.engine.api,
        id=container.id,
        name=container.name,
        leader=container.leader,
        framed=not facts.tty,
        stop_signal=facts.stop_signal,
        stop_timeout_sec=stop_timeout_sec(facts.stop_timeout_sec, properties),
        patience_sec=patience_sec(properties),
        adoption=adoption.strategy,
        sweeps=adoption.sweeps,
        cgroups=adoption.cgroups,
        moved=adoption.moved,
        leader_is_main=plan.leader_is_main and container.leader != 0,
        shares_manager_signals=shares_manager_signals(plan.adoption, properties),
        manager_signals_payload=manager_signals_payload(plan.adoption, properties, facts.stop_signal),
        passes_signals_on=plan.passes_signals_on,
        as_code=own.exit_ == "code",
        removes=plan.remove,
        pid_file=own.pid_file if container.leader else "",
        files=(*socket_files, *((own.pid_file,) if own.pid_file and container.leader else ())),
        directories=(
            *((shared, plan.notify_directory) if plan.notify_directory else ()),
            *adopt.leftovers(plan.adoption, unit),
        ),
        output_fd=output_fd,
        output_is_log=False,
        tails={},
        frame=multiplex.BEGINNING,
        early_output=output.early if output else b"",
        exit_fd=exit_fd,
        exit_received=exit_received,
        pidfd=container.pidfd,
        guard_fd=guard_fd,
        stdin_fd=os.dup(output_fd) if plan.wants_input and output_fd != NO_FD else NO_FD,
        stdout_fd=stdout_fd,
        stderr_fd=stderr_fd,
        record_fields=_record_fields(container, plan) if as_records else b"",
        priorities=own.log_priority,
        unfinished=(NO_LINE, NO_LINE),
        drops_output=own.log_overflow == "drop",
        notify_fd=listener.socket.detach() if listener else NO_FD,
        health_fd=NO_FD,
        notify_socket=unit.notify_socket,
        steady_status=status,
        status=status,
        restarts=0,
        payload_says_ready=plan.ready == "payload",
        awaits_healthy=plan.ready == "healthy",
        healthcheck=facts.healthcheck,
        health=facts.health and "starting",
        health_found=facts.health,
        health_since_nsec=begin_nsec,
        health_on_failure=plan.health_on_failure,
        watchdog=_watchdog(plan, facts),
        watchdog_usec=plan.watchdog_usec,
    )


def _record_fields(container: Container, plan: LaunchPlan) -> bytes:
    from systemd_docker.service.output.journal_records import fields_of

    return fields_of(container.id, container.name, plan.image)


def _watchdog(plan: LaunchPlan, facts: ContainerFacts) -> str:
    if not plan.watchdog:
        return ""
    from systemd_docker.service.notifications.watchdog import source_of

    return source_of(plan.watchdog, plan.watchdog_usec, facts)


def _log_choices(container: Container, plan: LaunchPlan, unit: UnitContext) -> None:
    adoption = plan.adoption
    log.info(f"container '{container.name}' ({container.id[:12]}): adoption {adoption.strategy}, {adoption.reason}")
    if adoption.hint:
        log.info(adoption.hint)
    if plan.main_pid_hint:
        log.info(f"the wrapper stays the main process of {unit.name}: {plan.main_pid_hint}")
