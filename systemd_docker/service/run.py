"""The story of `systemd-docker run`: plan, launch, finish the start, supervise."""

from __future__ import annotations

import time
from contextlib import ExitStack

from systemd_docker import log
from systemd_docker.errors import EngineError
from systemd_docker.frozen import replace
from systemd_docker.kernel.signals import Signals, StopRequestedError
from systemd_docker.plan.adoption import is_parent_refusal
from systemd_docker.sd import notify
from systemd_docker.service import id_files, ownership
from systemd_docker.service.adoption.make_room import make_room, remove_leftovers
from systemd_docker.service.exit_status import Ending
from systemd_docker.service.notifications.payload_socket import make_payload_socket
from systemd_docker.service.start import planning
from systemd_docker.service.start.launch import Container, Launch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.options.own import OwnOptions
    from systemd_docker.options.run_options import RunOptions
    from systemd_docker.service.start.early_queries import EarlyQueries
    from systemd_docker.service.start.planning import Prepared
    from systemd_docker.service.supervise.state import ServiceState
    from systemd_docker.unit import UnitContext


def run(own: OwnOptions, options: RunOptions, unit: UnitContext, queries: EarlyQueries) -> Ending:
    """Run one container for as long as it lives; return how this process has to end then.

    Raises Error; OSError where a mechanism failed that no policy has a plan for. Either way a start that failed
    leaves nothing that this invocation created.
    """
    signals = Signals()
    try:
        try:
            with ExitStack() as cleanup:
                state = start(own, options, unit, queries, signals, cleanup)
                # The start is not to be undone any more: the container stays until it ends.
                cleanup.pop_all()
        except StopRequestedError as stopped:
            return Ending(128 + stopped.signo, stopped.signo)
        # Imported by import_the_rest() already.
        from systemd_docker.service.supervise.lifetime import supervise

        return supervise(state, unit, signals, is_new=True)
    finally:
        signals.close()


def start(
    own: OwnOptions,
    options: RunOptions,
    unit: UnitContext,
    queries: EarlyQueries,
    signals: Signals,
    cleanup: ExitStack,
) -> ServiceState:
    """Return the state of a running container. Closing cleanup takes all of it back."""
    begin_nsec = time.time_ns()
    prepared = planning.prepare(own, options, unit, queries, signals.wait)
    socket = None
    if prepared.plan.notify_directory:
        socket = make_payload_socket(prepared.plan.notify_directory, cleanup)
    cid_file = None
    if options.text("cidfile"):
        engine = prepared.engine
        cid_file = id_files.reserve_cid_file(
            options.text("cidfile"), cleanup, lambda id_: ownership.is_dead_or_gone(engine, unit, id_)
        )
    prepared, container = _launch(prepared, unit, signals, cleanup, is_quiet=options.switch("quiet"))
    if cid_file:
        cid_file.write(container.id)
    # Imported by import_the_rest() already.
    from systemd_docker.service.start.finish_start import Start, finish_start

    return finish_start(Start(own, unit, prepared, begin_nsec), container, socket, signals.wait, cleanup)


def import_the_rest(unit: UnitContext) -> None:
    """Import the second half of a start, and all of the supervising, while the engine starts the container.

    The engine takes a third of a second for it, in which this costs no time.
    """
    from systemd_docker.service.start import finish_start  # noqa: F401
    from systemd_docker.service.supervise import lifetime  # noqa: F401

    if unit.notify_socket:
        notify.load()


def _launch(
    prepared: Prepared, unit: UnitContext, signals: Signals, cleanup: ExitStack, *, is_quiet: bool
) -> tuple[Prepared, Container]:
    """Launch as planned or, where the engine refuses to create the container inside the unit, by the next plan."""
    plan = prepared.plan
    with ExitStack() as attempt:
        try:
            make_room(plan.adoption, unit)
            attempt.callback(remove_leftovers, unit)
            launch = Launch(prepared, unit, signals, attempt, is_quiet=is_quiet)
            container = launch.run(lambda: import_the_rest(unit))
        except EngineError as error:
            if plan.fallback is None or not is_parent_refusal(str(error)):
                raise
            log.warning(f"{error}; trying adoption {plan.fallback.adoption.strategy} instead")
            prepared = replace(prepared, plan=plan.fallback)
        else:
            cleanup.push(attempt.pop_all())
            return prepared, container
    return _launch(prepared, unit, signals, cleanup, is_quiet=is_quiet)
