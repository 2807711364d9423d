"""The fake engine's endpoints: one function each, and the table that names them all."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from typing import TYPE_CHECKING, Any

from tests.fakes.containers import Container, encode_frame, signal_name
from tests.fakes.http import HungUpError, StatusError, compact, encode_head
from tests.fakes.images import DENIED, Pull, pulled_reference

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.fakes.engine import Exchange, FakeEngine

JSON = {"Content-Type": "application/json"}
TEXT = {"Content-Type": "text/plain; charset=utf-8"}
WAIT_CONDITIONS = ("", "not-running", "next-exit", "removed")


def dispatch(engine: FakeEngine, exchange: Exchange) -> None:
    """Answer one request, or raise StatusError for it."""
    call = exchange.call
    for method, path, answer in ENDPOINTS:
        match = re.fullmatch(path, call.path)
        if match and call.method == method:
            answer(engine, exchange, *match.groups())
            return
    raise StatusError(404, "page not found")


def ping(engine: FakeEngine, exchange: Exchange) -> None:
    no_cache = {"Cache-Control": "no-cache, no-store, must-revalidate", "Pragma": "no-cache"}
    engine.answer(exchange, 200, b"" if exchange.call.method == "HEAD" else b"OK", **TEXT, **no_cache)


def version(engine: FakeEngine, exchange: Exchange) -> None:
    engine.answer(exchange, 200, engine.version, **JSON)


def info(engine: FakeEngine, exchange: Exchange) -> None:
    engine.answer(exchange, 200, engine.info, **JSON)


def create(engine: FakeEngine, exchange: Exchange) -> None:
    container = engine.add(exchange.call.query.get("name", ""), request=exchange.call.json())
    engine.answer(exchange, 201, {"Id": container.id, "Warnings": engine.warnings}, **JSON)


def list_containers(engine: FakeEngine, exchange: Exchange) -> None:
    query = exchange.call.query
    filters = json.loads(query.get("filters") or "{}")
    with engine.changed:
        found = [
            container.summary()
            for container in engine.containers.values()
            if (container.is_running or query.get("all") in ("1", "true")) and _passes(container, filters)
        ]
    engine.answer(exchange, 200, found, **JSON)


def _passes(container: Container, filters: Mapping[str, Any]) -> bool:
    labels = [f"{key}={value}" for key, value in container.labels.items()]
    facts = {
        "id": [container.id],
        "name": [container.name],
        "label": [*labels, *container.labels],
        "status": [container.status],
    }
    return all(set(_wanted(filters, key)) & set(have) for key, have in facts.items() if _wanted(filters, key))


def _wanted(filters: Mapping[str, Any], key: str) -> list[str]:
    """Both spellings of a filter: {"id": ["a"]} and {"id": {"a": true}}."""
    return list(filters.get(key, ()))


def inspect(engine: FakeEngine, exchange: Exchange, name: str) -> None:
    with engine.changed:
        answer = engine.find(name).inspect(engine.template)
    engine.answer(exchange, 200, answer, **JSON)


def inspect_volume(engine: FakeEngine, exchange: Exchange, name: str) -> None:
    with engine.changed:
        if name not in engine.volumes:
            raise StatusError(404, f"get {name}: no such volume")
        answer = engine.volumes[name]
    engine.answer(exchange, 200, answer, **JSON)


def start(engine: FakeEngine, exchange: Exchange, name: str) -> None:
    with engine.changed:
        container = engine.find(name)
        if container.is_running:
            status = 304
        else:
            _refuse_start(container)
            engine.begin(container)
            status = 204
    engine.answer(exchange, status)


def _refuse_start(container: Container) -> None:
    """What cannot be executed is the client's mistake for dockerd, 400, and leaves docker-run(1)'s exit code."""
    message = container.script.start_error
    if not message:
        return
    container.error = message
    if "executable file not found" in message or "no such file or directory" in message:
        container.exit_code = 127
    elif "permission denied" in message:
        container.exit_code = 126
    else:
        container.exit_code = 128
    raise StatusError(500 if container.exit_code == 128 else 400, message)


def stop(engine: FakeEngine, exchange: Exchange, name: str) -> None:
    with engine.changed:
        container = engine.find(name)
        was_running = container.is_running
        if was_running:
            _stop(engine, exchange, container)
    engine.answer(exchange, 204 if was_running else 304)


def _stop(engine: FakeEngine, exchange: Exchange, container: Container) -> None:
    """The stop signal, then KILL after ?t= seconds if it was ignored."""
    query = exchange.call.query
    grace_sec = int(query.get("t") or container.request.get("StopTimeout") or 10)
    with engine.changed:
        engine.signal(container, signal_name(query.get("signal") or container.stop_signal))
        engine.changed.wait_for(lambda: not container.is_running or exchange.connection.gone, grace_sec)
        if container.is_running:
            engine.signal(container, "KILL")
        engine.emit(container, "stop")


def restart(engine: FakeEngine, exchange: Exchange, name: str) -> None:
    with engine.changed:
        container = engine.find(name)
        if container.is_running:
            _stop(engine, exchange, container)
        engine.begin(container)
        engine.emit(container, "restart")
    engine.answer(exchange, 204)


def kill(engine: FakeEngine, exchange: Exchange, name: str) -> None:
    text = exchange.call.query.get("signal") or "KILL"
    with engine.changed:
        container = engine.find(name)
        try:
            signal = signal_name(text)
        except ValueError:
            raise StatusError(400, f"Invalid signal: {text}") from None
        if not container.is_running:
            raise StatusError(409, f"Cannot kill container: {name}: Container {container.id} is not running")
        engine.signal(container, signal)
    engine.answer(exchange, 204)


def pause(engine: FakeEngine, exchange: Exchange, name: str) -> None:
    with engine.changed:
        container = engine.find(name)
        if not container.is_running:
            raise StatusError(409, f"Container {container.id} is not running")
        if container.status == "paused":
            raise StatusError(409, f"Container {container.id} is already paused")
        container.status = "paused"
        engine.emit(container, "pause")
    engine.answer(exchange, 204)


def unpause(engine: FakeEngine, exchange: Exchange, name: str) -> None:
    with engine.changed:
        container = engine.find(name)
        if container.status != "paused":
            raise StatusError(500, f"Container {container.id} is not paused")
        container.status = "running"
        engine.emit(container, "unpause")
    engine.answer(exchange, 204)


def resize(engine: FakeEngine, exchange: Exchange, name: str) -> None:
    query = exchange.call.query
    with engine.changed:
        container = engine.find(name)
        if not container.is_running:
            raise StatusError(409, f"Container {container.id} is not running")
        container.size = (int(query["h"]), int(query["w"]))
        engine.emit(container, "resize", height=query["h"], width=query["w"])
    engine.answer(exchange, 200, b"", **TEXT)


def archive(engine: FakeEngine, exchange: Exchange, name: str) -> None:
    engine.find(name)
    engine.answer(exchange, 200, b"", **TEXT)


def rename(engine: FakeEngine, exchange: Exchange, name: str) -> None:
    with engine.changed:
        container = engine.find(name)
        engine.refuse_taken(exchange.call.query["name"])
        container.name = exchange.call.query["name"]
        engine.emit(container, "rename")
    engine.answer(exchange, 204)


def update(engine: FakeEngine, exchange: Exchange, name: str) -> None:
    with engine.changed:
        container = engine.find(name)
        container.request.setdefault("HostConfig", {}).update(exchange.call.json())
        engine.emit(container, "update")
    engine.answer(exchange, 200, {"Warnings": None}, **JSON)


def delete(engine: FakeEngine, exchange: Exchange, name: str) -> None:
    with engine.changed:
        container = engine.find(name)
        forced = exchange.call.query.get("force") in ("1", "true")
        if container.is_running and not forced:
            raise StatusError(
                409,
                f'cannot remove container "/{container.name}": container is running: '
                "stop the container before removing or force remove",
            )
        if container.is_running:
            engine.signal(container, "KILL")
        if not container.removed:
            engine.remove(container)
    engine.answer(exchange, 204)


def wait(engine: FakeEngine, exchange: Exchange, name: str) -> None:
    """The headers go out at once: they say that no exit from here on is missed. The body comes with the exit."""
    condition = exchange.call.query.get("condition", "")
    with engine.changed:
        container = engine.find(name)
        if condition not in WAIT_CONDITIONS:
            raise StatusError(400, f'invalid condition: "{condition}"')
        number = len(container.runs) - container.is_running
    exchange.connection.begin_chunks(200, engine.headers | JSON)
    if condition == "removed":
        engine.wait(exchange, lambda: container.removed)
    elif condition == "next-exit" or container.is_running:
        engine.wait(exchange, lambda: container.has_ended(number))
    body: dict[str, Any] = {"StatusCode": container.exit_code_of(number)}
    if engine.speaks_below(1, 42):
        body = {"Error": None, **body}
    exchange.connection.send_chunk(compact(body) + b"\n")
    exchange.connection.end_chunks()


def attach(engine: FakeEngine, exchange: Exchange, name: str) -> None:
    """Output of the current run, or of the next one, until it ends; stdin and its end the other way."""
    query, connection = exchange.call.query, exchange.connection
    with engine.changed:
        container = engine.find(name)
        if container.status == "paused":
            raise StatusError(409, f"container {name} is paused, unpause the container before attach")
        number = len(container.runs) - container.is_running
        seen = len(container.runs[number].output) if container.is_running and query.get("logs") != "1" else 0
        engine.emit(container, "attach")
    connection.send(_attach_head(engine, exchange, container) + container.script.greeting)
    if query.get("stdin") == "1":
        engine.start_thread(lambda: _read_stdin(engine, exchange, container))
    wanted = [stream for stream, word in ((1, "stdout"), (2, "stderr")) if query.get(word) == "1"]
    while output := _next_output(engine, exchange, container, number, seen):
        seen += len(output)
        for stream, data in output:
            if stream in wanted:
                connection.send(container.encoded(stream, data))
    raise HungUpError


def logs(engine: FakeEngine, exchange: Exchange, name: str) -> None:
    """All runs' output, and more until the container ends; in HTTP/1.0, as no other request."""
    query = exchange.call.query
    with engine.changed:
        container = engine.find(name)
        if (container.request.get("HostConfig") or {}).get("LogConfig", {}).get("Type") == "none":
            raise StatusError(501, "configured logging driver does not support reading")
        last = len(container.runs) - 1
        old = [output for run in container.runs[:last] for output in run.output]
    exchange.connection.send(encode_head("200 OK", {"Content-Type": "application/vnd.docker.multiplexed-stream"}))
    wanted = [stream for stream, word in ((1, "stdout"), (2, "stderr")) if query.get(word) == "1"]
    seen = 0
    output = old or _next_output(engine, exchange, container, last, seen)
    while output:
        for stream, data in output:
            if stream in wanted:
                exchange.connection.send(container.encoded(stream, data))
        seen += 0 if output is old else len(output)
        output = _next_output(engine, exchange, container, last, seen)
    raise HungUpError


def _attach_head(engine: FakeEngine, exchange: Exchange, container: Container) -> bytes:
    framed = not container.has_tty and not engine.speaks_below(1, 42)
    kind = {"Content-Type": f"application/vnd.docker.{'multiplexed' if framed else 'raw'}-stream"}
    if "upgrade" not in exchange.call.headers:
        return encode_head("200 OK", kind)
    return encode_head("101 UPGRADED", {**kind, "Connection": "Upgrade", "Upgrade": "tcp", **engine.headers})


def create_exec(engine: FakeEngine, exchange: Exchange, name: str) -> None:
    with engine.changed:
        container = engine.find(name)
        if not container.is_running:
            raise StatusError(409, f"Container {container.id} is not running")
        if container.status == "paused":
            raise StatusError(409, f"Container {name} is paused, unpause the container before exec")
        exec_id = f"{len(engine.execs):064x}"
        engine.execs[exec_id] = exchange.call.json()
        engine.emit(container, f"exec_create: {' '.join(exchange.call.json()['Cmd'])}", execID=exec_id)
    engine.answer(exchange, 201, {"Id": exec_id}, **JSON)


def start_exec(engine: FakeEngine, exchange: Exchange, exec_id: str) -> None:
    if exec_id not in engine.execs:
        raise StatusError(404, f"No such exec instance: {exec_id}")
    output = b"".join(encode_frame(stream, data) for stream, data in engine.exec_script.output)
    head = {"Content-Type": "application/vnd.docker.multiplexed-stream", "Connection": "Upgrade", "Upgrade": "tcp"}
    exchange.connection.send(encode_head("101 UPGRADED", head) + output)
    raise HungUpError


def inspect_exec(engine: FakeEngine, exchange: Exchange, exec_id: str) -> None:
    answer = {"ID": exec_id, "Running": False, "ExitCode": engine.exec_script.exit_code}
    engine.answer(exchange, 200, answer, **JSON)


def _next_output(
    engine: FakeEngine, exchange: Exchange, container: Container, number: int, seen: int
) -> list[tuple[int, bytes]]:
    """What the run wrote after `seen` frames; [] at its end."""
    with engine.changed:
        engine.wait(exchange, lambda: container.output_of(number)[seen:] or container.has_ended(number))
        return container.output_of(number)[seen:]


def _read_stdin(engine: FakeEngine, exchange: Exchange, container: Container) -> None:
    with contextlib.suppress(HungUpError):
        while data := exchange.connection.recv():
            with engine.changed:
                container.stdin += data
                engine.changed.notify_all()
    with engine.changed:
        container.stdin_closed = True
        engine.changed.notify_all()


def events(engine: FakeEngine, exchange: Exchange) -> None:
    """Every event from now on, or since the ?since= (seconds.nanoseconds) of one, for as long as the client stays."""
    query = exchange.call.query
    filters = json.loads(query.get("filters") or "{}")
    with engine.changed:
        seconds, _, nanoseconds = query.get("since", "").partition(".")
        since = int(seconds or 0) * 10**9 + int((nanoseconds or "0").ljust(9, "0"))
        seen = sum(event["timeNano"] < since for event in engine.events) if since else len(engine.events)
    exchange.connection.begin_chunks(200, engine.headers | JSON)
    for number in itertools.count(seen):
        if query.get("until") and number >= len(engine.events):
            exchange.connection.end_chunks()
            return
        event = _event(engine, exchange, number)
        if _matches(event, filters):
            exchange.connection.send_chunk(compact(event) + b"\n")


def _event(engine: FakeEngine, exchange: Exchange, number: int) -> dict[str, Any]:
    """The event of that number, once it has happened."""
    engine.wait(exchange, lambda: len(engine.events) > number)
    return engine.events[number]


def _matches(event: Mapping[str, Any], filters: Mapping[str, Any]) -> bool:
    attributes = event["Actor"]["Attributes"]
    facts = {
        "type": [event["Type"]],
        "event": [event["Action"], event["Action"].partition(":")[0]],
        "container": [event["Actor"]["ID"], attributes.get("name", "")],
        "label": [*attributes, *(f"{key}={value}" for key, value in attributes.items())],
    }
    return all(set(_wanted(filters, key)) & set(have) for key, have in facts.items() if _wanted(filters, key))


def inspect_image(engine: FakeEngine, exchange: Exchange, name: str) -> None:
    engine.answer(exchange, 200, engine.find_image(name), **JSON)


def commit(engine: FakeEngine, exchange: Exchange) -> None:
    query = exchange.call.query
    image = engine.commit(query["container"], query["repo"])
    engine.answer(exchange, 201, {"Id": image["Id"]}, **JSON)


def delete_image(engine: FakeEngine, exchange: Exchange, name: str) -> None:
    engine.answer(exchange, 200, engine.remove_image(name), **JSON)


def pull(engine: FakeEngine, exchange: Exchange) -> None:
    reference = pulled_reference(exchange.call.query)
    script = engine.registry.get(reference)
    if script is None:
        raise StatusError(
            404, DENIED.format(exchange.call.query.get("fromImage", "").removeprefix("docker.io/library/"))
        )
    exchange.connection.begin_chunks(200, engine.headers | JSON)
    failed = _send_progress(engine, exchange, script)
    if not failed:
        with engine.changed:
            engine.images[reference] = engine.image | {"RepoTags": [reference]}
            engine.changed.notify_all()
    exchange.connection.end_chunks()


def _send_progress(engine: FakeEngine, exchange: Exchange, script: Pull) -> bool:
    """Send the lines; whether one of them was an error."""
    for number, line in enumerate(script.lines):
        engine.wait(exchange, lambda number=number: script.stall_at is None or number < script.stall_at)  # type: ignore[misc]
        exchange.connection.send_chunk(compact(line) + b"\r\n")
    return any("error" in line for line in script.lines)


ENDPOINTS: tuple[tuple[str, str, Callable[..., None]], ...] = (
    ("HEAD", "/_ping", ping),
    ("GET", "/_ping", ping),
    ("GET", "/version", version),
    ("GET", "/info", info),
    ("GET", "/events", events),
    ("POST", "/containers/create", create),
    ("GET", "/containers/json", list_containers),
    ("GET", "/containers/([^/]+)/json", inspect),
    ("POST", "/containers/([^/]+)/start", start),
    ("POST", "/containers/([^/]+)/stop", stop),
    ("PUT", "/containers/([^/]+)/archive", archive),
    ("POST", "/containers/([^/]+)/restart", restart),
    ("POST", "/containers/([^/]+)/kill", kill),
    ("POST", "/containers/([^/]+)/pause", pause),
    ("POST", "/containers/([^/]+)/unpause", unpause),
    ("POST", "/containers/([^/]+)/resize", resize),
    ("POST", "/containers/([^/]+)/rename", rename),
    ("POST", "/containers/([^/]+)/update", update),
    ("POST", "/containers/([^/]+)/wait", wait),
    ("POST", "/containers/([^/]+)/attach", attach),
    ("GET", "/containers/([^/]+)/logs", logs),
    ("POST", "/containers/([^/]+)/exec", create_exec),
    ("POST", "/exec/([^/]+)/start", start_exec),
    ("GET", "/exec/([^/]+)/json", inspect_exec),
    ("DELETE", "/containers/([^/]+)", delete),
    ("GET", "/volumes/([^/]+)", inspect_volume),
    ("GET", "/images/(.+)/json", inspect_image),
    ("POST", "/images/create", pull),
    ("POST", "/commit", commit),
    ("DELETE", "/images/(.+)", delete_image),
)
"""Method, path without the API version, and the function that answers."""
