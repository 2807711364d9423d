"""The story of `systemd-docker run`, in order: plan, launch, take over; then service.supervise.lifetime goes on."""

from __future__ import annotations

import time

from systemd_docker import log
from systemd_docker.errors import EngineError
from systemd_docker.frozen import replace
from systemd_docker.kernel.signals import Signals, StopRequestedError
from systemd_docker.plan.adoption import is_parent_refusal
from systemd_docker.service import ownership
from systemd_docker.service.adoption import adopt
from systemd_docker.service.exit_status import Ending
from systemd_docker.service.start import id_files, planning
from systemd_docker.service.start.launch import Steps, launch
from systemd_docker.undo import Undo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.engine.client import Engine
    from systemd_docker.options.own import OwnOptions
    from systemd_docker.options.run_options import RunOptions
    from systemd_docker.plan.launch_plan import LaunchPlan
    from systemd_docker.sd.notify import Listener
    from systemd_docker.service.start.early_queries import EarlyQueries
    from systemd_docker.service.start.launch import Container
    from systemd_docker.service.supervise.state import Held
    from systemd_docker.unit import UnitContext


def run(own: OwnOptions, options: RunOptions, unit: UnitContext, queries: EarlyQueries) -> Ending:
    """Run one container for as long as it lives; how this process has to end then.

    Raises Error; OSError where a mechanism failed that no policy has a plan for. Either way nothing that this
    invocation created is left.
    """
    signals = Signals()
    try:
        try:
            with Undo() as undo:
                held = start(own, options, unit, queries, signals, undo)
                # What was done is no longer to be undone, but the container's to keep until it ends.
                undo.pop_all()
        except StopRequestedError as stopped:
            return Ending(128 + stopped.signo, stopped.signo)
        from systemd_docker.service.supervise.lifetime import live

        return live(held, unit, signals)
    finally:
        signals.close()


def start(
    own: OwnOptions,
    options: RunOptions,
    unit: UnitContext,
    queries: EarlyQueries,
    signals: Signals,
    undo: Undo,
) -> Held:
    """A running container and everything about it that is still needed. Closing undo takes all of it back."""
    begin_nsec = time.time_ns()
    prepared = planning.prepare(own, options, unit, queries, signals.wait)
    listener = _listen(prepared.plan, undo)
    cid_file = None
    if options.text("cidfile"):
        engine = prepared.engine
        cid_file = id_files.reserve_cid_file(
            options.text("cidfile"), undo, lambda id_: ownership.is_dead_or_gone(engine, unit, id_)
        )

    def pull() -> None:
        # Only an image that is not there costs the memory and the time of the room that pulls.
        from systemd_docker.service.start.pull import pull_image

        is_quiet = options.switch("quiet")
        pull_image(prepared.plan, prepared.engine, unit, signals.wait, is_quiet=is_quiet)

    def be_patient(sec: float) -> None:
        signals.patience_sec = sec

    steps = Steps(pull, lambda: _import_the_rest(unit), be_patient)
    plan, container = _launch(prepared.engine, prepared.plan, unit, undo, steps)
    if cid_file:
        cid_file.write(container.id)
    from systemd_docker.service.start.finish_start import take_over

    prepared = replace(prepared, plan=plan)
    return take_over(own, prepared, container, unit, undo, listener=listener, begin_nsec=begin_nsec)


def _import_the_rest(unit: UnitContext) -> None:
    """What is needed when the payload runs, and when it has ended: now it costs no time."""
    from systemd_docker.sd import notify
    from systemd_docker.service.start import finish_start  # noqa: F401

    if unit.notify_socket:
        notify.load()


def _listen(plan: LaunchPlan, undo: Undo) -> Listener | None:
    if not plan.notify_directory:
        return None
    from systemd_docker.service.notifications.payload_socket import make_payload_socket

    return make_payload_socket(plan.notify_directory, undo)


def _launch(
    engine: Engine, plan: LaunchPlan, unit: UnitContext, undo: Undo, steps: Steps
) -> tuple[LaunchPlan, Container]:
    """Launch as planned or, where the engine refuses to make the container inside the unit, as planned otherwise."""
    with Undo() as attempt:
        try:
            adopt.make_room(plan.adoption, unit)
            attempt.callback(adopt.remove_leftovers, unit)
            container = launch(engine, plan, unit, attempt, steps)
        except EngineError as error:
            otherwise = plan.otherwise
            if otherwise is None or not is_parent_refusal(str(error)):
                raise
            log.warning(f"{error}, ignoring: going on with adoption {otherwise.adoption.strategy}")
        else:
            undo.callback(attempt.pop_all().close)
            return plan, container
    return _launch(engine, otherwise, unit, undo, steps)
