"""The story of `systemd-docker run`, in order: plan, launch, adopt, ready; then service.live takes over."""

from __future__ import annotations

import contextlib
import os
import time

from systemd_docker import log
from systemd_docker.adoption import is_parent_refusal
from systemd_docker.engine import frames
from systemd_docker.errors import EngineError
from systemd_docker.plan import (
    NOTIFY_SHARED_DIRECTORY,
    NOTIFY_SOCKET_NAME,
    manager_signals_payload,
    patience_sec,
    shares_manager_signals,
    stop_timeout_sec,
)
from systemd_docker.record import replace
from systemd_docker.sd_notify import Notifier
from systemd_docker.service import adopt, idfiles, live, mainpid, prepare, readiness, sinks
from systemd_docker.service.ending import Ending
from systemd_docker.service.held import NO_FD, Held
from systemd_docker.service.launch import launch
from systemd_docker.service.proxy import make_payload_socket
from systemd_docker.service.relay import NO_LINE
from systemd_docker.service.signals import Signals, StopRequestedError
from systemd_docker.service.status import steady_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from systemd_docker.engine.client import ContainerFacts, Engine
    from systemd_docker.options.grammar import RunOptions
    from systemd_docker.options.own import OwnOptions
    from systemd_docker.plan import LaunchPlan
    from systemd_docker.sd_notify import Listener
    from systemd_docker.service.launch import Container
    from systemd_docker.service.prepare import Prepared
    from systemd_docker.systemctl import Question
    from systemd_docker.unit import UnitContext


def run(own: OwnOptions, options: RunOptions, unit: UnitContext, question: Question | None) -> Ending:
    """Run one container for as long as it lives; how this process has to end then.

    question: what asking.ask() gave; closed here.

    Raises Error; OSError where a mechanism failed that no policy has a plan for. Either way nothing that this
    invocation created is left.
    """
    with contextlib.closing(Signals()) as signals:
        try:
            with contextlib.ExitStack() as undo:
                if question is not None:
                    undo.callback(question.close)
                held = start(own, options, unit, question, signals, undo)
                # What was done is no longer to be undone, but the container's to keep until it ends.
                undo.pop_all()
        except StopRequestedError as stopped:
            return Ending(128 + stopped.signo, stopped.signo)
        return live.live(held, unit, signals)


def start(
    own: OwnOptions,
    options: RunOptions,
    unit: UnitContext,
    question: Question | None,
    signals: Signals,
    undo: contextlib.ExitStack,
) -> Held:
    """A running container and everything about it that is still needed. Closing undo takes all of it back."""
    begin_nsec = time.time_ns()
    notifier = Notifier(unit.notify_socket)
    engine = prepare.connect(unit, signals.wait)
    prepared = prepare.prepare(own, options, unit, engine, question)
    plan = prepared.plan
    listener = make_payload_socket(plan.notify_directory, undo) if plan.notify_directory else None
    cid_path = options.text("cidfile")
    if cid_path:
        idfiles.reserve_cid_file(cid_path, undo)

    def pull() -> None:
        # Only an image that is not there costs the memory and the time of the room that pulls.
        from systemd_docker.service.pull import pull_image

        pull_image(plan, engine, unit.environ, notifier, signals.wait, is_quiet=options.switch("quiet"))

    def on_started() -> None:
        # From here on a signal to stop is the container's business, and no longer a reason to give up.
        signals.can_interrupt = False

    plan, container = _launch(engine, plan, unit, undo, pull=pull, on_started=on_started, wants_output=own.logs)
    if container.leader:
        adopt.adopt(plan.adoption, unit, container.id, container.leader)
        if own.pid_file:
            idfiles.write_pid_file(own.pid_file, container.leader, undo)
    if cid_path:
        idfiles.write_cid_file(cid_path, container.id)
    leader_is_main = plan.leader_is_main and container.leader != 0
    mainpid.announce(notifier, leader=container.leader if leader_is_main else 0, is_ready=plan.ready == "started")
    readiness.say_status(notifier, steady_text(container, plan))
    _log_choices(container, plan, unit)
    return _hold(own, engine, container, replace(prepared, plan=plan), unit, listener, begin_nsec)


def _launch(
    engine: Engine,
    plan: LaunchPlan,
    unit: UnitContext,
    undo: contextlib.ExitStack,
    *,
    pull: Callable[[], None],
    on_started: Callable[[], None],
    wants_output: bool,
) -> tuple[LaunchPlan, Container]:
    """Launch as planned or, where the engine refuses to make the container inside the unit, as planned otherwise."""
    with contextlib.ExitStack() as attempt:
        try:
            adopt.make_room(plan.adoption, unit)
            attempt.callback(adopt.remove_leftovers, plan.adoption, unit)
            container = launch(
                engine, plan, unit, attempt, pull=pull, on_started=on_started, wants_output=wants_output
            )
        except EngineError as error:
            otherwise = plan.otherwise
            if otherwise is None or not is_parent_refusal(str(error)):
                raise
            log.warning(f"{error}, ignoring: going on with adoption {otherwise.adoption.strategy}")
        else:
            undo.push(attempt.pop_all())
            return plan, container
    return _launch(engine, otherwise, unit, undo, pull=pull, on_started=on_started, wants_output=wants_output)


def _hold(
    own: OwnOptions,
    engine: Engine,
    container: Container,
    prepared: Prepared,
    unit: UnitContext,
    listener: Listener | None,
    begin_nsec: int,
) -> Held:
    plan, properties, facts = prepared.plan, prepared.properties, container.facts
    exit_fd, exit_received = container.exit.parts()
    output, stdout_fd, stderr_fd = container.output, NO_FD, NO_FD
    as_records = own.journal == "fields" and unit.stdout_is_journal and unit.stderr_is_journal
    if output is not None:
        stdout_fd, stderr_fd = sinks.open_sinks(unit, container.name, own.log_priority, as_records=as_records)
    shared = f"{plan.notify_directory}/{NOTIFY_SHARED_DIRECTORY}"
    socket_files = (f"{shared}/{NOTIFY_SOCKET_NAME}",) if plan.notify_directory else ()
    output_fd = output.stream.detach() if output else NO_FD
    return Held(
        socket_path=engine.socket_path,
        api=engine.api,
        id=container.id,
        name=container.name,
        leader=container.leader,
        framed=not facts.tty,
        stop_signal=facts.stop_signal,
        stop_timeout_sec=stop_timeout_sec(facts.stop_timeout_sec, properties),
        patience_sec=patience_sec(properties),
        adoption=plan.adoption.strategy,
        sweeps=plan.adoption.sweep,
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
        frame=frames.BEGINNING,
        early_output=output.early if output else b"",
        exit_fd=exit_fd,
        exit_received=exit_received,
        pidfd=container.pidfd,
        stdin_fd=os.dup(output_fd) if plan.wants_input and output_fd != NO_FD else NO_FD,
        stdout_fd=stdout_fd,
        stderr_fd=stderr_fd,
        record_fields=_record_fields(container, plan) if as_records else b"",
        priorities=own.log_priority,
        unfinished=(NO_LINE, NO_LINE),
        drops_output=own.log_overflow == "drop",
        notify_fd=listener.socket.detach() if listener else NO_FD,
        notify_socket=unit.notify_socket,
        status=steady_text(container, plan),
        payload_says_ready=plan.ready == "payload",
        awaits_healthy=plan.ready == "healthy",
        healthcheck=facts.healthcheck,
        health="",
        health_since_nsec=begin_nsec,
        health_on_failure=plan.health_on_failure,
        watchdog=_watchdog(plan, facts),
        watchdog_usec=plan.watchdog_usec,
    )


def _record_fields(container: Container, plan: LaunchPlan) -> bytes:
    from systemd_docker.service.records import fields_of

    return fields_of(container.id, container.name, plan.image)


def _watchdog(plan: LaunchPlan, facts: ContainerFacts) -> str:
    if not plan.watchdog:
        return ""
    from systemd_docker.service.watchdog import source_of

    return source_of(plan.watchdog, plan.watchdog_usec, facts)


def _log_choices(container: Container, plan: LaunchPlan, unit: UnitContext) -> None:
    adoption = plan.adoption
    log.info(f"container '{container.name}' ({container.id[:12]}): adoption {adoption.strategy}, {adoption.reason}")
    if adoption.hint:
        log.info(adoption.hint)
    if plan.main_pid_hint:
        log.info(f"the wrapper stays the main process of {unit.name}: {plan.main_pid_hint}")
