"""`systemd-docker kill|stop|rm|exec`: for ExecReload=, ExecStop=, ExecStopPost= of a unit that runs a container.

The container needs no name there: it is the unit's own, found by the labels that `systemd-docker run` gave it, and
the unit is the one whose process we are.

    ExecReload=systemd-docker kill --signal=HUP
    ExecReload=systemd-docker exec nginx -s reload
    ExecStopPost=-systemd-docker rm
"""

from __future__ import annotations

import contextlib
import os
import time

from systemd_docker import unit as unit_room
from systemd_docker.engine import client, http, multiplex
from systemd_docker.errors import Error, UsageError
from systemd_docker.frozen import frozen, replace
from systemd_docker.options.pflag import Flag, Spellings, parse_flags, switch
from systemd_docker.options.values import environment
from systemd_docker.plan.launch_plan import DEFAULT_STOP_TIMEOUT_SEC
from systemd_docker.service.adoption import adopt
from systemd_docker.service.start import ownership, planning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from systemd_docker.engine.models import Listed
    from systemd_docker.jsonobj import JsonValue
    from systemd_docker.unit import UnitContext

RUNNING_STATUS = ("running", "paused", "restarting")

RECEIVE_BYTES = 64 * 1024

_UNIT_FLAG = Flag("unit", "NAME", "Of this unit, in place of the one that we are started by")
_HELP_FLAG = switch("help", "Print this help", short="h")


@frozen
class Request:
    """A command line of one of the verbs, and whom it is about.

    engine: asked only for what it can tell at once; see wire.promptly().
    values: by a flag's long name; of a flag that repeats, all values.
    """

    unit: UnitContext
    engine: client.Engine
    values: Mapping[str, tuple[object, ...]]
    words: tuple[str, ...]

    @property
    def patient_engine(self) -> client.Engine:
        """For what takes its time, now that the engine is known to be there."""
        return client.Engine(self.engine.socket_path, self.engine.api)

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
    """Do what the verb says; the exit status. prompt_sec: see wire.promptly(). Raises Error."""
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
    unit = _meant_unit(unit, values)
    return verb.run(Request(unit, _connect(unit, prompt_sec), values, words))


def _connect(unit: UnitContext, prompt_sec: float) -> client.Engine:
    api = unit.environ.get("DOCKER_API_VERSION", "")
    return client.connect(unit_room.engine_socket(unit), api=api, wait=http.promptly(prompt_sec))


def _meant_unit(unit: UnitContext, values: Mapping[str, tuple[object, ...]]) -> UnitContext:
    if named := values.get("unit"):
        name = str(named[-1])
        return replace(unit, name=name if "." in name else f"{name}.service", invocation_id="")
    if not unit.name:
        raise UsageError(
            "not started by a unit, so there is no telling whose container is meant", hint="Use --unit NAME."
        )
    return unit


def _kill(request: Request) -> int:
    container = _running(request)
    name = request.text("signal", "KILL")
    _finish(request.engine.kill(container.id, name), f"cannot send {name} to container '{container.name}'")
    return 0


def _stop(request: Request) -> int:
    """That nothing runs is success: the service manager calls ExecStop= also for what has ended by itself."""
    seconds = request.values.get("time", (None,))[-1]
    for container in ownership.containers_of(request.engine, request.unit):
        if container.status in RUNNING_STATUS:
            timeout_sec = seconds if isinstance(seconds, int) else None
            exchange = request.engine.stop(container.id, timeout_sec=timeout_sec)
            longest_sec = timeout_sec if timeout_sec is not None else _own_timeout_sec(request.engine, container)
            _finish(exchange, f"cannot stop container '{container.name}'", longest_sec)
    return 0


def _own_timeout_sec(engine: client.Engine, container: Listed) -> int:
    own = engine.inspect(container.id).stop_timeout_sec
    return DEFAULT_STOP_TIMEOUT_SEC if own is None else own


def _remove(request: Request) -> int:
    """That there is nothing is success: it is what the wrapper leaves when it can remove its container itself."""
    for container in ownership.containers_of(request.engine, request.unit):
        request.patient_engine.remove(container.id)
    if "unit" not in request.values:
        adopt.remove_leftovers(request.unit)
    return 0


def _exec(request: Request) -> int:
    container = _running(request)
    texts = [str(value) for value in request.values.get("env", ())]
    variables = environment.variables(texts, (), {}, request.unit.environ, planning.read_file)
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
    """The command's output to ours, until it ends. How long that may take the unit says: TimeoutStartSec= for a
    reload."""
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
    raise Error(
        f"no container of {request.unit.name} runs",
        hint="Only what 'systemd-docker run' has created is found, by its label: see docker ps --all --filter"
        f" label=systemd-docker.unit={request.unit.name}",
    )


def _finish(exchange: http.Exchange, doing: str, longest_sec: int = 0) -> None:
    """Wait for an answer that may take longest_sec longer than others. Raises Error; not for what has ended (304)."""
    with contextlib.closing(exchange):
        deadline = time.monotonic() + longest_sec + client.ANSWER_TIMEOUT_SEC
        failure = client.complete(exchange, http.wait_ready, deadline)
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
    "rm": Verb("Remove what containers the unit has left, also where they run", _remove),
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
