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
from systemd_docker.kernel.fd import NO_FD
from systemd_docker.kernel.pidfd import open_or_none
from systemd_docker.kernel.signals import StopRequestedError
from systemd_docker.plan.ownership import is_of_invocation
from systemd_docker.service import ownership
from systemd_docker.service.notifications.health import require_healthcheck
from systemd_docker.service.start import existing_containers
from systemd_docker.service.start.registry_credentials import put_docker_config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from systemd_docker.engine.client import Attachment
    from systemd_docker.engine.http import Exchange
    from systemd_docker.engine.models import ContainerFacts
    from systemd_docker.kernel.fd import Fd
    from systemd_docker.kernel.signals import Signals
    from systemd_docker.plan.launch_plan import LaunchPlan
    from systemd_docker.service.start.planning import Prepared
    from systemd_docker.unit import UnitContext


@frozen
class Obtained:
    """A container that can be started, or runs already; is_new: it was created here."""

    id: str
    is_new: bool = False
    runs: bool = False


@frozen
class Container:
    """One started container and the connections to it.

    name:       the engine's, or the id's first digits for a container without one.
    leader:     PID of the payload's first process, or 0 if the container had ended before it was inspected.
    pidfd:      of the leader, or NO_FD.
    output:     the connection that its output comes on, or None where it is not relayed.
    exit:       completes when the container has ended.
    """

    id: str
    name: str
    leader: int
    pidfd: Fd
    facts: ContainerFacts
    output: Attachment | None
    exit: Exchange


class Launch:
    """One attempt to create and start a container as planned. What it creates or opens goes when cleanup closes."""

    def __init__(
        self, prepared: Prepared, unit: UnitContext, signals: Signals, cleanup: ExitStack, *, is_quiet: bool
    ) -> None:
        """is_quiet: a pull shows no progress."""
        self._engine = prepared.engine
        self._plan = prepared.plan
        self._unit = unit
        self._signals = signals
        self._cleanup = cleanup
        self._is_quiet = is_quiet

    def run(self, while_starting: Callable[[], None]) -> Container:
        """Return a started container. while_starting: called when the engine has been asked to start it."""
        engine, plan, cleanup = self._engine, self._plan, self._cleanup
        existing_containers.clear_leftovers(engine, plan, self._unit)
        obtained = self._obtain()
        if obtained.is_new:
            cleanup.callback(lambda: remove(undoing(engine, plan), obtained.id))
        if plan.needs_healthcheck:
            require_healthcheck(engine, plan.needs_healthcheck, plan.image, obtained.id)
        if obtained.is_new and plan.docker_config is not None:
            put_docker_config(engine, obtained.id, plan.docker_config)
        output, exit_exchange = self._start(obtained, while_starting)
        # From here on a signal to stop is the container's business, and no longer a reason to give up at once.
        self._signals.patience_sec = plan.cleanup_timeout_sec
        facts = engine.inspect(obtained.id)
        leader, pidfd = open_or_none(facts.pid)
        if pidfd != NO_FD:
            cleanup.callback(os.close, pidfd)
        return Container(obtained.id, facts.name or obtained.id[:12], leader, pidfd, facts, output, exit_exchange)

    def _start(self, obtained: Obtained, while_starting: Callable[[], None]) -> tuple[Attachment | None, Exchange]:
        """Attach before the start, so that no first line is missed; wait before it, so that no exit is."""
        engine, plan, container_id = self._engine, self._plan, obtained.id
        output = None
        if plan.wants_output:
            output = engine.attach(container_id, stdin=plan.wants_input)
            self._cleanup.callback(output.stream.close)
        exit_exchange = engine.wait(container_id)
        self._cleanup.callback(exit_exchange.close)
        try:
            if not obtained.runs:
                engine.start(container_id, while_starting)
        except Error as error:
            raise _start_error(error).while_doing(
                f"cannot start container '{plan.name or container_id[:12]}'"
            ) from None
        return output, exit_exchange

    def _obtain(self) -> Obtained:
        plan = self._plan
        if plan.pull == "always":
            self._pull()
        try:
            return Obtained(self._create(), is_new=True)
        except EngineError as error:
            if error.http_status == 404 and plan.pull == "missing":
                self._pull()
            elif error.http_status == 409 and plan.name:
                if reused := existing_containers.resolve_conflict(self._engine, plan, self._unit):
                    return Obtained(reused.id, runs=reused.running)
            else:
                raise _explained(error, plan) from None
        try:
            return Obtained(self._create(), is_new=True)
        except EngineError as error:
            raise _explained(error, plan) from None

    def _pull(self) -> None:
        # Time: only an image that is not there costs the import of what pulls.
        from systemd_docker.service.start.pull import pull_image

        pull_image(self._plan, self._engine, self._unit, self._signals.wait, is_quiet=self._is_quiet)

    def _create(self) -> str:
        """Return the new container's id.

        The engine creates it even if its client has gone, and does not list it before: so its answer is waited for,
        or there would be nothing to be removed yet.
        """
        plan = self._plan
        self._signals.patience_sec = plan.cleanup_timeout_sec
        try:
            created = self._engine.create(plan.body, name=plan.name, platform=plan.platform)
        except (StopRequestedError, EngineUnreachableError):
            _remove_unheard_of(undoing(self._engine, plan), self._unit)
            raise
        finally:
            self._signals.patience_sec = 0
        for warning in created.warnings:
            log.warning(f"the engine warns: {warning}")
        return created.id


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
        log.warning(f"cannot remove container {container_id[:12]}: {error}")


def _remove_unheard_of(engine: Engine, unit: UnitContext) -> None:
    """Remove what this invocation has created without learning its id."""
    if not unit.invocation_id:
        return
    try:
        found = ownership.containers_of(engine, unit)
    except Error as error:
        log.warning(f"cannot tell whether the engine has created the container: {error}")
        return
    for listed in found:
        # Other commands of the unit, ExecStartPre= for one, run containers of the same invocation.
        if is_of_invocation(listed.labels, unit) and listed.status == "created":
            remove(engine, listed.id)


def undoing(engine: Engine, plan: LaunchPlan) -> Engine:
    """Return engine with a wait that a signal to stop does not cut short: it may be the reason for the undoing."""
    return Engine(engine.socket_path, engine.api, http.no_longer_than(plan.cleanup_timeout_sec, http.wait_ready))


def _explained(error: EngineError, plan: LaunchPlan) -> EngineError:
    """Return error with what an administrator should read when the engine does not create the container."""
    if error.http_status == 404:
        error.hint = "Pull it with 'docker pull', or use --pull=missing."
    return error.while_doing(f"cannot create container '{plan.name}'" if plan.name else "cannot create the container")
