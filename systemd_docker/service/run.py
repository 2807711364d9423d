"""The story of `systemd-docker run`, in order: plan, launch, adopt, ready, supervise, clean up."""

from __future__ import annotations

import contextlib

from systemd_docker import log
from systemd_docker.engine import frames
from systemd_docker.errors import Error
from systemd_docker.sd_notify import Notifier
from systemd_docker.service import adopt, idfiles, launch, prepare, readiness, relay
from systemd_docker.service.ending import Ending, Outcome, ending_of
from systemd_docker.service.loop import Loop
from systemd_docker.service.requests import Requests
from systemd_docker.service.signals import Signals, StopRequestedError
from systemd_docker.service.stop import Stopper
from systemd_docker.service.supervise import Supervisor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from systemd_docker.options.grammar import RunOptions
    from systemd_docker.options.own import OwnOptions
    from systemd_docker.plan import LaunchPlan
    from systemd_docker.service.launch import Container
    from systemd_docker.unit import UnitContext


def run(own: OwnOptions, options: RunOptions, unit: UnitContext) -> Ending:
    """Run one container for as long as it lives; how this process has to end then.

    Raises Error; OSError where a mechanism failed that no policy has a plan for. Either way nothing that this
    invocation created is left.
    """
    with contextlib.closing(Signals()) as signals:
        try:
            outcome = _run(own, options, unit, signals)
        except StopRequestedError as stopped:
            return Ending(128 + stopped.signo, stopped.signo)
    return ending_of(outcome, as_code=own.exit_ == "code")


def _run(own: OwnOptions, options: RunOptions, unit: UnitContext, signals: Signals) -> Outcome:
    notifier = _notifier(unit)
    engine = prepare.connect(unit, signals.wait)
    prepared = prepare.prepare(own, options, unit, engine)
    plan = prepared.plan
    adopt.make_room(plan.adoption, unit)

    def pull() -> None:
        # Only an image that is not there costs the memory and the time of the room that pulls.
        from systemd_docker.service.pull import pull_image

        pull_image(plan, engine, unit.environ, notifier, signals.wait, is_quiet=options.switch("quiet"))

    with (
        readiness.payload_socket(plan) as listener,
        idfiles.cid_file(options.text("cidfile")) as write_cid,
        idfiles.pid_file(own.pid_file) as write_pid,
        launch.launched(engine, plan, unit, pull=pull, wants_output=own.logs) as container,
    ):
        if container.leader:
            adopt.verify(plan.adoption, unit, container.id, container.leader)
            write_pid(str(container.leader))
        write_cid(container.id)
        # From here on a signal to stop is the container's business, and no longer a reason to give up.
        signals.can_interrupt = False
        main_pid = readiness.MainPid(notifier)
        main_pid.announce(plan, container.leader)
        readiness.say_status(notifier, _status(container, plan))
        _log_choices(container, plan, unit)
        loop = Loop()
        with (
            contextlib.closing(Requests(loop)) as requests,
            _relay(loop, container, unit) as output,
        ):
            stopper = Stopper(loop, engine, requests, container, plan, prepared.properties)
            proxy = readiness.Proxy(loop, listener, notifier) if listener else None
            return Supervisor(loop, container, main_pid, stopper, output, proxy).run(signals)


def _notifier(unit: UnitContext) -> Notifier:
    try:
        return Notifier(unit.notify_socket)
    except OSError as error:
        raise Error(
            f"cannot reach the service manager at '{unit.notify_socket}': {error.strerror}",
            hint="NOTIFY_SOCKET is set by systemd; unset it to run without notifications.",
        ) from error


@contextlib.contextmanager
def _relay(loop: Loop, container: Container, unit: UnitContext) -> Iterator[relay.Relay | None]:
    if container.attachment is None:
        yield None
        return
    sinks = {
        frames.STDOUT: _sink(1, container.name, relay.STDOUT_PRIORITY, is_journal=unit.stdout_is_journal),
        frames.STDERR: _sink(2, container.name, relay.STDERR_PRIORITY, is_journal=unit.stderr_is_journal),
    }
    framed = not container.facts.tty
    with contextlib.closing(relay.Relay(loop, container.attachment, framed=framed, sinks=sinks)) as output:
        yield output


def _sink(fd: int, identifier: str, priority: int, *, is_journal: bool) -> relay.Sink:
    return relay.open_journal_sink(identifier, priority) if is_journal else relay.open_sink(fd)


def _status(container: Container, plan: LaunchPlan) -> str:
    """What `systemctl status` shows in its Status: line."""
    place = "in this unit" if plan.adoption.strategy == "parent" else "outside of this unit"
    return f"Container {container.name} ({container.id[:12]}) from {plan.image} runs {place}"


def _log_choices(container: Container, plan: LaunchPlan, unit: UnitContext) -> None:
    adoption = plan.adoption
    log.info(f"container '{container.name}' ({container.id[:12]}): adoption {adoption.strategy}, {adoption.reason}")
    if plan.main_pid_hint:
        log.info(f"the wrapper stays the main process of {unit.name}: {plan.main_pid_hint}")
