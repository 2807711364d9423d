"""From a plan to a running container: pull, create, attach, wait, start; and back to nothing if a step fails."""

from __future__ import annotations

import os

from systemd_docker import log
from systemd_docker.engine import http
from systemd_docker.engine.client import Engine
from systemd_docker.errors import (
    CommandNotExecutableError,
    CommandNotFoundError,
    EngineError,
    EngineUnreachableError,
    Error,
)
from systemd_docker.frozen import frozen
from systemd_docker.kernel.pidfd import NO_FD, hold
from systemd_docker.kernel.signals import StopRequestedError
from systemd_docker.plan.ownership import is_of_invocation
from systemd_docker.service import ownership
from systemd_docker.service.start import existing_containers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from systemd_docker.engine.client import Attachment
    from systemd_docker.engine.http import Exchange
    from systemd_docker.engine.models import ContainerFacts
    from systemd_docker.plan.launch_plan import LaunchPlan
    from systemd_docker.undo import Undo
    from systemd_docker.unit import UnitContext


@frozen
class Obtained:
    """A container that can be started, or runs already; is_new: it was created here."""

    id: str
    is_new: bool = False
    runs: bool = False


@frozen
class Container:
    """One started container and what we hold of it.

    name:       the engine's, or its id where nobody has named it.
    leader:     PID of the payload's first process, or 0 if the container had ended before it could be looked at.
    pidfd:      of the leader, or NO_FD.
    output:     where its output comes from, or None where nobody wants it.
    exit:       completes when the container has ended.
    """

    id: str
    name: str
    leader: int
    pidfd: int
    facts: ContainerFacts
    output: Attachment | None
    exit: Exchange


@frozen
class Steps:
    """What the caller does in the middle of a launch.

    pull:           makes the image be there, or raises Error.
    while_starting: the engine has been asked to start the payload, and takes its time.
    be_patient:     a signal to stop, from now on, ends what is waited for only after so many seconds.
    """

    pull: Callable[[], None]
    while_starting: Callable[[], None]
    be_patient: Callable[[float], None]


def launch(engine: Engine, plan: LaunchPlan, unit: UnitContext, undo: Undo, steps: Steps) -> Container:
    """A started container. Everything that was created or opened for it goes when undo is closed."""
    existing_containers.clear_leftovers(engine, plan, unit)
    obtained = _obtain(engine, plan, unit, steps)
    if obtained.is_new:
        undo.callback(lambda: remove(_undoing(engine, plan), obtained.id))
    if plan.needs_healthcheck:
        from systemd_docker.service.notifications.health import require_healthcheck

        require_healthcheck(engine, plan.needs_healthcheck, plan.image, obtained.id)
    if obtained.is_new and plan.docker_config is not None:
        from systemd_docker.service.start.registry_credentials import put_docker_config

        put_docker_config(engine, obtained.id, plan.docker_config)
    output, exit_exchange = _start(engine, plan, obtained, undo, steps.while_starting)
    # From here on a signal to stop is the container's business, and no longer a reason to give up at once.
    steps.be_patient(plan.undo_sec)
    facts = engine.inspect(obtained.id)
    leader, pidfd = hold(facts.pid)
    if pidfd != NO_FD:
        undo.callback(os.close, pidfd)
    return Container(obtained.id, facts.name or obtained.id[:12], leader, pidfd, facts, output, exit_exchange)


def _start(
    engine: Engine,
    plan: LaunchPlan,
    obtained: Obtained,
    undo: Undo,
    while_starting: Callable[[], None],
) -> tuple[Attachment | None, Exchange]:
    """Attached before it starts, so that no first line is missed; waited for before, so that no exit is."""
    container_id = obtained.id
    output = None
    if plan.wants_output:
        output = engine.attach(container_id, stdin=plan.wants_input)
        undo.callback(output.stream.close)
    exit_exchange = engine.wait(container_id)
    undo.callback(exit_exchange.close)
    try:
        if not obtained.runs:
            engine.start(container_id, while_starting)
    except Error as error:
        raise _start_error(error).while_doing(f"cannot start container '{plan.name or container_id[:12]}'") from None
    return output, exit_exchange


def _start_error(error: Error) -> Error:
    """Return the error with docker-run(1)'s exit status for a failed start: 127, 126 or 125.

    The API has one status, 400 or 500, for all of them, and only runc's message tells them apart; the docker CLI
    looks for the same words.
    """
    text = str(error)
    if not isinstance(error, EngineError):
        return error
    if any(words in text for words in ("executable file not found", "no such file or directory")):
        return CommandNotFoundError(text, hint="Commands are looked for in the image, along its PATH.")
    if any(words in text for words in ("permission denied", "is a directory")):
        return CommandNotExecutableError(text, hint="The image has the command, but it may not be executed.")
    return error


def remove(engine: Engine, container_id: str) -> None:
    """Remove the container; that it cannot be done is a warning."""
    try:
        engine.remove(container_id)
    except (Error, StopRequestedError) as error:
        log.warning(f"cannot remove container {container_id[:12]}, ignoring: {error}")


def _remove_unheard_of(engine: Engine, unit: UnitContext) -> None:
    """Remove the container that the engine has created although its answer was not read."""
    if not unit.invocation_id:
        return
    try:
        found = ownership.containers_of(engine, unit)
    except Error as error:
        log.warning(f"cannot tell whether the engine has created the container, ignoring: {error}")
        return
    for listed in found:
        # Other commands of the unit, ExecStartPre= for one, run containers of the same invocation.
        if is_of_invocation(listed.labels, unit) and listed.status == "created":
            remove(engine, listed.id)


def _undoing(engine: Engine, plan: LaunchPlan) -> Engine:
    """The same one, for undoing what was done: a signal to stop does not cut that short, it may have asked for it."""
    return Engine(engine.socket_path, engine.api, http.no_longer_than(plan.undo_sec, http.wait_ready))


def _obtain(engine: Engine, plan: LaunchPlan, unit: UnitContext, steps: Steps) -> Obtained:
    if plan.pull == "always":
        steps.pull()
    try:
        return Obtained(_create(engine, plan, unit, steps), is_new=True)
    except EngineError as error:
        if error.http_status == 404 and plan.pull == "missing":
            steps.pull()
        elif error.http_status == 409 and plan.name:
            if reused := existing_containers.resolve_conflict(engine, plan, unit):
                return Obtained(reused.id, runs=reused.running)
        else:
            raise _explained(error, plan) from None
    try:
        return Obtained(_create(engine, plan, unit, steps), is_new=True)
    except EngineError as error:
        raise _explained(error, plan) from None


def _create(engine: Engine, plan: LaunchPlan, unit: UnitContext, steps: Steps) -> str:
    """The id. The engine creates it even if nobody waits for that, and does not know of it before it has: so its
    answer is waited for, or there would be nothing to be removed yet."""
    steps.be_patient(plan.undo_sec)
    try:
        created = engine.create(plan.body, name=plan.name, platform=plan.platform)
    except (StopRequestedError, EngineUnreachableError):
        _remove_unheard_of(_undoing(engine, plan), unit)
        raise
    finally:
        steps.be_patient(0)
    for warning in created.warnings:
        log.warning(f"{warning}, ignoring")
    return created.id


def _explained(error: EngineError, plan: LaunchPlan) -> EngineError:
    """What an administrator should read when the engine does not create the container."""
    if error.http_status == 404:
        error.hint = "Pull it with 'docker pull', or use --pull=missing."
    return error.while_doing(f"cannot create container '{plan.name}'" if plan.name else "cannot create the container")
