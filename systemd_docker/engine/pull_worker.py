"""The child process of a pull: credentials, the engine's progress, and reports to the parent, engine.pull.

A report is one line of JSON on standard output: PullProgress, or an error as engine.pull raises it.
"""

from __future__ import annotations

import os
import signal
import time

from systemd_docker import jsonobj
from systemd_docker.engine import answers, client, http
from systemd_docker.engine.credentials import registry_auth
from systemd_docker.engine.image_reference import Reference
from systemd_docker.engine.pull import COUNTS, NO_HTTP_STATUS
from systemd_docker.engine.pull_progress import PullProgress, Tally
from systemd_docker.errors import EngineError, EngineUnreachableError, Error
from systemd_docker.frozen import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from systemd_docker.jsonobj import JsonObject

MAX_MESSAGE_CHARS = 700
"""Of an engine's error; they are rarely over 300."""

MAX_LINE_BYTES = 1024 * 1024
"""Of one line of progress: only a broken engine reaches it."""

REPORT_INTERVAL_SEC = 0.25
"""A pull makes hundreds of progress lines a second; no reader of a status needs more than a few."""

SILENCE_SEC = 24 * 3600
"""Between two lines; the parent ends a pull that stalls, and much earlier."""


def main(socket_path: str, api_version: str, repository: str, tag: str, platform: str) -> None:
    """Pull, and report to the parent on what was standard output."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    report = os.dup(1)
    os.dup2(2, 1)
    major, _, minor = api_version.partition(".")
    engine = client.Engine(socket_path, (int(major), int(minor)), http.wait_ready)
    try:
        for progress in _pull(engine, Reference(repository, tag), platform):
            _write(report, {name: getattr(progress, name) for name in (*COUNTS, "finished")})
    except Error as error:
        _write(
            report,
            {
                "error": " ".join(str(error).split())[:MAX_MESSAGE_CHARS],
                "hint": error.hint,
                "http_status": error.http_status if isinstance(error, EngineError) else NO_HTTP_STATUS,
                "unreachable": isinstance(error, EngineUnreachableError),
            },
        )


def _write(report: int, value: JsonObject) -> None:
    try:
        os.write(report, jsonobj.dump(value) + b"\n")
    except BrokenPipeError:
        # The parent has ended, and the engine gives up a pull whose client has.
        os._exit(0)


def _pull(engine: client.Engine, reference: Reference, platform: str) -> Iterator[PullProgress]:
    """Yield changes, a few per second at most, and the end. Raises Error."""
    tally, reported, next_report = Tally(), PullProgress(), 0.0
    try:
        for line in _lines(engine, reference, platform):
            if "error" in line:
                status = jsonobj.get_or(line, "errorDetail.code", NO_HTTP_STATUS)
                raise EngineError(jsonobj.get_or(line, "error", "?"), http_status=status)
            tally.add(line)
            if (progress := tally.progress()) != reported and time.monotonic() >= next_report:
                yield progress
                reported, next_report = progress, time.monotonic() + REPORT_INTERVAL_SEC
    except EngineError as error:
        error.hint = _login_hint(str(error), reference.repository)
        raise
    yield replace(tally.progress(), finished=True)


def _lines(engine: client.Engine, reference: Reference, platform: str) -> Iterator[JsonObject]:
    """Yield the engine's lines of progress. Raises Error."""
    exchange = engine.pull(reference, platform=platform, credentials=registry_auth(reference.repository))
    unfinished = b""
    try:
        for piece in answers.pieces(exchange, http.wait_ready, SILENCE_SEC):
            *lines, unfinished = (unfinished + piece).split(b"\n")
            if len(unfinished) > MAX_LINE_BYTES:
                raise answers.unexpected(exchange, f"a line of progress is longer than {MAX_LINE_BYTES} bytes")
            for line in lines:
                if line.strip():
                    yield answers.read(exchange, jsonobj.parse_object, line)
    finally:
        exchange.close()


def _login_hint(message: str, repository: str) -> str:
    """dockerd answers 404 both to a name that does not exist and to one that the user may not see."""
    if not any(word in message.lower() for word in ("denied", "unauthorized", "authentication required")):
        return ""
    registry = repository.partition("/")[0]
    login = "docker login" if registry == "docker.io" else f"docker login {registry}"
    return f"Check the name, or log in with '{login}' as the user that the unit runs as."
