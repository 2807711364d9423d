"""`systemd-docker kill|stop|rm|exec`: for ExecReload=, ExecStop=, ExecStopPost= of a unit that runs a container.

The container needs no name there: it is the one that `systemd-docker run` has created for the unit, and the unit is
the one that this process belongs to, or the one that --unit names.

    ExecReload=systemd-docker kill --signal=HUP
    ExecReload=systemd-docker exec nginx -s reload
    ExecStopPost=-systemd-docker rm
"""

from __future__ import annotations

import contextlib
import os
import time

from systemd_docker import log
from systemd_docker.engine import answers, client, http, multiplex
from systemd_docker.errors import Error, NoContainerError, UsageError
from systemd_docker.frozen import frozen
from systemd_docker.options.pflag import Flag, Spellings, parse_flags, switch
from systemd_docker.options.values import environment
from systemd_docker.plan.notify import parent_of
from systemd_docker.plan.stop import DEFAULT_STOP_TIMEOUT_SEC
from systemd_docker.sd.unit_properties import ANSWER_TIMEOUT_SEC, PropertiesQuery, UnitProperties
from systemd_docker.service import client_side, ownership
from systemd_docker.service.adoption.make_room import remove_leftovers
from systemd_docker.service.notifications.payload_socket import remove_stale
from systemd_docker.unit import engine_socket, other_unit, unit_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from systemd_docker.engine.models import Listed
    from systemd_docker.jsonobj import JsonValue
    from systemd_docker.unit import UnitContext

RUNNING_STATUS = ("running", "paused", "restarting")

RECEIVE_BYTES = 64 * 1024

_UNIT_FLAG = Flag("unit", "NAME", "Act on this unit instead of the calling one")
_HELP_FLAG = switch("help", "Print this help", short="h")


@frozen
class Request:
    """A command line of one of the verbs, and the unit that it is about.

    named:  what systemd reports of a unit that --unit names; None for the calling unit.
    engine: asked only for what it can tell at once; see http.promptly().
    values: by a flag's long name; of a flag that repeats, all values.
    """

    unit: UnitContext
    named: UnitProperties | None
    engine: client.Engine
    values: Mapping[str, tuple[object, ...]]
    words: tuple[str, ...]

    @property
    def patient_engine(self) -> client.Engine:
        """For requests that take their time, now that the engine is known to be there."""
        return client.Engine(self.engine.socket_path, self.engine.api, http.wait_ready)

    def text(self, long: str, default: str = "") -> str:
        values = self.values.get(long, ())
        return str(values[-1]) if values else default


@frozen
class Verb:
    """One subcommand.

    arguments: behind the flags, as the help shows them; "" where there are none.
    """

    help: str
    run: Callable[[Request], int]
    flags: tuple[Flag, ...] = ()
    arguments: str = ""

    @property
    def all_flags(self) -> tuple[Flag, ...]:
        return tuple(sorted((*self.flags, _UNIT_FLAG, _HELP_FLAG), key=lambda flag: flag.long))


def main(name: str, argv: Sequence[str], unit: UnitContext, *, prompt_sec: float = http.PROMPT_SEC) -> int:
    """Run one verb; return the exit status. prompt_sec: see http.promptly(). Raises Error."""
    verb = VERBS[name]
    uses, words = parse_flags(argv, Spellings(verb.all_flags))
    if any(flag is _HELP_FLAG for flag, _ in uses):
        from systemd_docker.options.help import verb_help

        print(verb_help(name, verb.arguments, verb.help, verb.all_flags), end="")
        return 0
    if bool(words) != bool(verb.arguments):
        usage = f"systemd-docker {name} [OPTIONS] {verb.arguments}".rstrip()
        message = (
            f"'systemd-docker {name}' takes no arguments" if words else f"'systemd-docker {name}' needs a command"
        )
        raise UsageError(message, hint=f"Usage: {usage}. The container is found by the unit's name.")
    values = {flag.long: tuple(value for other, value in uses if other is flag) for flag, _ in uses}
    unit, named = _meant_unit(unit, values)
    return verb.run(Request(unit, named, _connect(unit, prompt_sec), values, words))


def _connect(unit: UnitContext, prompt_sec: float) -> client.Engine:
    api = unit.environ.get("DOCKER_API_VERSION", "")
    return client.connect(engine_socket(unit), api=api, wait=http.promptly(prompt_sec))


def _meant_unit(
    unit: UnitContext, values: Mapping[str, tuple[object, ...]]
) -> tuple[UnitContext, UnitProperties | None]:
    """The unit that the command line is about, and what systemd reports of it where it is not the calling one."""
    given = values.get("unit")
    name = unit_name(str(given[-1])) if given else unit.name
    if not name:
        raise UsageError("not started by a unit, so no unit's container is meant", hint="Use --unit NAME.")
    if name == unit.name:
        return unit, None
    properties = _properties_of(name, unit)
    return other_unit(unit, properties.name or name, properties.invocation_id), properties


def _properties_of(name: str, unit: UnitContext) -> UnitProperties:
    try:
        query = PropertiesQuery(name, unit.environ, is_user=unit.is_user)
        return query.answer(http.wait_ready, time.monotonic() + ANSWER_TIMEOUT_SEC)
    except OSError as error:
        log.warning(
            f"cannot ask systemd for the state of {name}, taking it for active: {error.filename}: {error.strerror}"
        )
        log.info(f"See 'systemctl status {name}'.")
        return UnitProperties()


def _kill(request: Request) -> int:
    container = _running(request)
    name = request.text("signal", "KILL")
    _finish(request, request.engine.kill(container.id, name), f"cannot send {name} to container '{container.name}'")
    return 0


def _stop(request: Request) -> int:
    """Stop every container of the unit. None is success: systemd runs ExecStop= also when it has ended by itself."""
    seconds = request.values.get("time", (None,))[-1]
    for container in ownership.containers_of(request.engine, request.unit):
        if container.status in RUNNING_STATUS:
            timeout_sec = seconds if isinstance(seconds, int) else None
            exchange = request.engine.stop(container.id, timeout_sec=timeout_sec)
            longest_sec = timeout_sec if timeout_sec is not None else _own_timeout_sec(request.engine, container)
            _finish(request, exchange, f"cannot stop container '{container.name}'", longest_sec)
    return 0


def _own_timeout_sec(engine: client.Engine, container: Listed) -> int:
    own = engine.inspect(container.id).stop_timeout_sec
    return DEFAULT_STOP_TIMEOUT_SEC if own is None else own


def _remove(request: Request) -> int:
    """Remove every container of the unit. For the calling unit none is success: `run` removes its own at the end."""
    remove_stale(parent_of(request.unit))
    containers = ownership.containers_of(request.engine, request.unit)
    if request.named is not None:
        _check_removal(request, request.named, containers)
    for container in containers:
        request.patient_engine.remove(container.id)
        log.info(
            f"removed container '{container.name}' ({container.id[:12]}, {container.status}) of {request.unit.name}"
        )
    if request.named is None:
        remove_leftovers(request.unit)
    return 0


def _check_removal(request: Request, named: UnitProperties, containers: Sequence[Listed]) -> None:
    """Raises Error: a typing error must not pass for success, nor end a service."""
    name = request.unit.name
    if not containers:
        raise NoContainerError(f"{name} has no container", hint=_how_to_look(name))
    if named.is_live and not request.values.get("force", (False,))[-1]:
        state = named.active_state or "not known to be inactive"
        raise Error(
            f"cannot remove the container of {name}: the unit is {state}",
            hint=f"Stop it with 'systemctl stop {name}', or add --force.",
        )


def _exec(request: Request) -> int:
    container = _running(request)
    texts = [str(value) for value in request.values.get("env", ())]
    variables = environment.variables(texts, (), {}, request.unit.environ, client_side.read_file)
    body: dict[str, JsonValue] = {
        "AttachStdout": True,
        "AttachStderr": True,
        "Cmd": list(request.words),
        "Env": [*variables],
        "Privileged": bool(request.values.get("privileged", (False,))[-1]),
        "User": request.text("user"),
        "WorkingDir": request.text("workdir"),
    }
    engine = request.patient_engine
    try:
        exec_id = engine.create_exec(container.id, body)
        attachment = engine.start_exec(exec_id)
        with contextlib.closing(attachment.stream):
            _copy(attachment)
        return engine.exec_exit_code(exec_id)
    except Error as error:
        raise error.while_doing(f"cannot run a command in container '{container.name}'") from None


def _copy(attachment: client.Attachment) -> None:
    """Copy the command's output until it ends. The limit is the unit's: TimeoutStartSec= for a reload."""
    attachment.stream.setblocking(True)
    demultiplexer = multiplex.Demultiplexer(framed=True)
    data = attachment.early or attachment.stream.recv(RECEIVE_BYTES)
    while data:
        for stream, piece in demultiplexer.feed(memoryview(data)):
            rest = piece
            while rest:
                rest = rest[os.write(stream, rest) :]
        data = attachment.stream.recv(RECEIVE_BYTES)


def _running(request: Request) -> Listed:
    for container in ownership.containers_of(request.engine, request.unit):
        if container.status in RUNNING_STATUS:
            return container
    name = request.unit.name
    raise Error(f"no container of {name} is running", hint=_how_to_look(name))


def _how_to_look(unit_name: str) -> str:
    return (
        "Only containers that 'systemd-docker run' has created for the unit are found: see docker ps --all --filter"
        f" label=systemd-docker.unit={unit_name}"
    )


def _finish(request: Request, exchange: http.Exchange, doing: str, longest_sec: int = 0) -> None:
    """Wait for an answer that may take longest_sec longer than others. Raises Error; not for what has ended (304)."""
    failure = request.patient_engine.finish(exchange, longest_sec + answers.ANSWER_TIMEOUT_SEC)
    if failure is not None and failure.http_status != 304:
        raise failure.while_doing(doing)


def _seconds(text: str) -> int:
    if not text.isdecimal():
        raise UsageError("must be a number of seconds")
    return int(text)


VERBS: Mapping[str, Verb] = {
    "kill": Verb(
        "Send a signal to the unit's container",
        _kill,
        (Flag("signal", "SIGNAL", "Which one", short="s", default="KILL"),),
    ),
    "stop": Verb(
        "Stop the unit's container, as 'docker stop' does",
        _stop,
        (Flag("time", "SECONDS", "How long to wait before killing it", read=_seconds, short="t"),),
    ),
    "rm": Verb(
        "Remove all containers of the unit, running ones included",
        _remove,
        (switch("force", "Also while the unit that --unit names is active", short="f"),),
    ),
    "exec": Verb(
        "Run a command in the unit's container",
        _exec,
        (
            Flag("env", "NAME=VALUE", "Set an environment variable", read=environment.assignment, short="e",
                 repeats=True),
            switch("privileged", "Give extended privileges to the command"),
            Flag("user", "NAME", "User to run it as: name or UID, and group behind a colon", short="u"),
            Flag("workdir", "DIR", "Working directory in the container", short="w"),
        ),
        "COMMAND [ARG...]",
    ),
}  # fmt: skip
