"""Pulls, with credentials, through the docker package: the one room that imports it, and only in a child process.

The docker package knows what we should not write again: config.json in $DOCKER_CONFIG or ~/.docker/, its auths,
credsStore, credHelpers and identity tokens. It also costs 20 MB, which a service would keep for as long as its
container runs; so a pull is a child that ends with it and tells its parent one line of JSON per change.

Why posix_spawn(3) and not fork(2): a forked child shares our signal handlers and the wakeup descriptor until it has
reset them, and a SIGTERM for the whole unit would in that moment be counted twice; its pages would be copied from a
parent that stays. A new interpreter starts in 15 ms, a tenth of what importing docker takes.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys

from systemd_docker import jsonobj, program
from systemd_docker.engine.pull_progress import PullProgress, Tally, is_image_id, parse_reference
from systemd_docker.errors import EngineError, EngineUnreachableError
from systemd_docker.frozen import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from systemd_docker.jsonobj import JsonObject, JsonValue

MAX_MESSAGE_CHARS = 700
"""Of an engine's error; they are rarely over 300."""

MAX_LINE_BYTES = 16 * 1024
"""Of a report: such a message, every character escaped as a surrogate pair, and its hint stay below."""

REPORT_INTERVAL_SEC = 0.25
"""A pull makes hundreds of progress lines a second; nobody reads that fast."""

NO_HTTP_STATUS = 0
"""EngineError.http_status where the pull failed before or after any answer with a status."""

_CHILD = """\
import sys
sys.path[:] = sys.argv[6:]
from systemd_docker.engine.pull import report_pull
report_pull(*sys.argv[1:6])
"""


class Pull:
    """A pull that goes on in a child. Owns the child, its pidfd and the pipe until close().

    pidfd: of the child; it is readable once the child has ended, but the pipe says so too.
    """

    def __init__(self, pid: int, pidfd: int, pipe: int) -> None:
        self.pidfd = pidfd
        self._pid = pid
        self._pipe = pipe
        self._received = b""
        self._wait_status = 0
        self._is_open = True

    def __enter__(self) -> Pull:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def fileno(self) -> int:
        """Readable when receive() has something to do."""
        return self._pipe

    def receive(self) -> PullProgress | None:
        """The latest progress since the last call, or None while there is no news; never blocks.

        Raises EngineError with the engine's words, or EngineUnreachableError; a child that ended without a word is an
        EngineError too. After that, and after `finished`, there is nothing more to receive.
        """
        try:
            data = os.read(self._pipe, MAX_LINE_BYTES)
        except BlockingIOError:
            return None
        if not data:
            raise _silent_end(self.cancel())
        *lines, self._received = (self._received + data).split(b"\n")
        if len(self._received) > MAX_LINE_BYTES:
            raise EngineError("the pulling process writes without end", http_status=NO_HTTP_STATUS)
        latest = None
        for line in lines:
            latest = _decode(line)
        return latest

    def cancel(self) -> int:
        """End the child and whatever credential helper it runs; its wait status. The engine gives up the pull."""
        if self._pid:
            # The child leads a group of its own and is not reaped yet, so the number is still its own.
            os.killpg(self._pid, signal.SIGKILL)
            self._wait_status = os.waitpid(self._pid, 0)[1]
            self._pid = 0
        return self._wait_status

    def close(self) -> None:
        """End the pull if it has not ended, and release everything; may be called twice."""
        self.cancel()
        if self._is_open:
            self._is_open = False
            os.close(self.pidfd)
            os.close(self._pipe)


def start_pull(
    reference: str,
    *,
    platform: str = "",
    socket_path: str,
    api_version: str,
    environ: Mapping[str, str],
    import_path: Sequence[str] = (),
) -> Pull:
    """Begin to pull reference, "nginx:1", into the engine at socket_path; "linux/arm64" is a platform.

    environ:     ours; says where the credentials are (DOCKER_CONFIG, HOME) and which helpers there are (PATH).
    import_path: where the child finds this package and docker; ours if empty.
    Raises EngineError for an image id, which cannot be pulled; OSError if no process can be started.
    """
    if is_image_id(reference):
        raise EngineError(f"No such image: {reference}", http_status=404)
    wanted = parse_reference(reference)
    request = (socket_path, api_version, wanted.repository, wanted.tag, platform)
    argv = [sys.executable, "-IS", "-Wignore", "-c", _CHILD, *request, *(import_path or sys.path)]
    with contextlib.ExitStack() as stack:
        pipe, write_end = os.pipe()
        stack.callback(os.close, pipe)
        try:
            pid = _spawn(argv, environ, write_end)
        finally:
            os.close(write_end)
        os.set_blocking(pipe, False)
        stack.callback(os.waitpid, pid, 0)
        stack.callback(os.killpg, pid, signal.SIGKILL)
        pull = Pull(pid, os.pidfd_open(pid), pipe)
        stack.pop_all()
        return pull


def _spawn(argv: list[str], environ: Mapping[str, str], stdout: int) -> int:
    """Start a child with our standard error and archive, default signals and a process group of its own."""
    files = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), (os.POSIX_SPAWN_DUP2, stdout, 1)]
    if (archive := program.held_fd()) != program.NOT_HELD:
        files.append((os.POSIX_SPAWN_DUP2, archive, archive))  # sys.path names it by this number
    return os.posix_spawn(
        argv[0],
        argv,
        environ,
        file_actions=files,
        setpgroup=0,
        setsigmask=(),
        setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
    )


def _silent_end(wait_status: int) -> EngineError:
    code = os.waitstatus_to_exitcode(wait_status)
    how = f"exited with {code}" if code >= 0 else f"was killed by {signal.Signals(-code).name}"
    return EngineError(f"the pulling process {how} without a result", http_status=NO_HTTP_STATUS)


def _decode(line: bytes) -> PullProgress:
    """One line of the child's; raises what the line says went wrong."""
    try:
        report = jsonobj.parse_object(line)
        if "error" not in report:
            current, total, unpacked, layers, done = (jsonobj.get(report, name, int) for name in _COUNTS)
            return PullProgress(current, total, unpacked, layers, done, jsonobj.get(report, "finished", bool))
        message, hint = jsonobj.get(report, "error", str), jsonobj.get(report, "hint", str)
        status, is_unreachable = jsonobj.get(report, "http_status", int), jsonobj.get(report, "unreachable", bool)
    except jsonobj.JsonError as error:
        raise EngineError(
            f"the pulling process wrote what it should not: {error}", http_status=NO_HTTP_STATUS
        ) from None
    if is_unreachable:
        raise EngineUnreachableError(message, hint=hint)
    raise EngineError(message, http_status=status, hint=hint)


_COUNTS = ("current_bytes", "total_bytes", "unpacked_bytes", "layers", "layers_done")


# Everything below runs in the child only.


def report_pull(socket_path: str, api_version: str, repository: str, tag: str, platform: str) -> None:
    """Pull, and tell the parent how it goes on what was standard output."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    report = os.dup(1)
    os.dup2(2, 1)
    try:
        for progress in _pull(socket_path, api_version, repository, tag, platform):
            _write(report, {name: getattr(progress, name) for name in (*_COUNTS, "finished")})
    except (EngineError, EngineUnreachableError) as error:
        status = error.http_status if isinstance(error, EngineError) else NO_HTTP_STATUS
        _write(
            report,
            {
                "error": " ".join(str(error).split())[:MAX_MESSAGE_CHARS],
                "hint": error.hint,
                "http_status": status,
                "unreachable": isinstance(error, EngineUnreachableError),
            },
        )


def _write(report: int, value: dict[str, JsonValue]) -> None:
    # A parent that is gone wants no report, and the engine gives up a pull whose client is gone.
    with contextlib.suppress(BrokenPipeError):
        os.write(report, json.dumps(value).encode() + b"\n")
        return
    os._exit(0)


def _pull(socket_path: str, api_version: str, repository: str, tag: str, platform: str) -> Iterator[PullProgress]:
    """Changes, at most a few per second, and the end; raises what a parent's receive() raises."""
    import time

    tally, reported, next_report = Tally(), PullProgress(), 0.0
    for line in _lines(socket_path, api_version, repository, tag, platform):
        if "error" in line:
            raise _stream_error(line, repository)
        tally.add(line)
        if (progress := tally.progress()) != reported and time.monotonic() >= next_report:
            yield progress
            reported, next_report = progress, time.monotonic() + REPORT_INTERVAL_SEC
    yield replace(tally.progress(), finished=True)


def _lines(socket_path: str, api_version: str, repository: str, tag: str, platform: str) -> Iterator[JsonObject]:
    """The engine's progress lines. Every way in which the docker package fails becomes one of our two errors."""
    try:
        import docker
        from docker.credentials import StoreError
        from docker.errors import APIError, DockerException, StreamParseError
        from urllib3.exceptions import HTTPError
    except ImportError as error:
        raise EngineError(
            f"pulling needs the Python package docker: {error}",
            http_status=NO_HTTP_STATUS,
            hint="Install it, or pull the image beforehand with 'docker pull'.",
        ) from None
    began = False
    try:
        client = docker.APIClient(base_url=f"unix://{socket_path}", version=api_version)
        # Neither proxies nor a .netrc have a say in who is spoken to on a local socket.
        client.trust_env = False
        with contextlib.closing(client):
            for line in client.pull(repository, tag=tag, platform=platform or None, stream=True, decode=True):
                began = True
                yield line
    except APIError as error:
        raise _refusal(str(error.explanation or error), error.status_code or NO_HTTP_STATUS, repository) from None
    except StoreError as error:
        raise _credential_error(error) from None
    except DockerException as error:
        raise _credential_error(error.__cause__ or error.__context__ or error) from None
    except (OSError, HTTPError, StreamParseError) as error:
        raise _broken(error, socket_path, began=began) from None


def _refusal(message: str, http_status: int, repository: str) -> EngineError:
    """The engine's no. dockerd answers 404 both to a name that does not exist and to one that we may not see."""
    registry = repository.partition("/")[0]
    login = "docker login" if registry == "docker.io" else f"docker login {registry}"
    denied = any(word in message.lower() for word in ("denied", "unauthorized", "authentication required"))
    hint = f"Check the name, or log in with '{login}' as the user whom the unit runs as." if denied else ""
    return EngineError(message, http_status=http_status, hint=hint)


def _stream_error(line: JsonObject, repository: str) -> EngineError:
    """{"error": "denied", "errorDetail": {"code": 401, "message": "denied"}}; the code may be missing."""
    status = jsonobj.get_or(line, "errorDetail.code", NO_HTTP_STATUS)
    return _refusal(jsonobj.get_or(line, "error", "?"), status, repository)


def _credential_error(error: BaseException) -> EngineError:
    return EngineError(
        f"cannot get credentials: {error}",
        http_status=NO_HTTP_STATUS,
        hint="See credsStore and credHelpers in ~/.docker/config.json, or in config.json in $DOCKER_CONFIG.",
    )


def _broken(error: BaseException, socket_path: str, *, began: bool) -> EngineUnreachableError:
    if began:
        return EngineUnreachableError(f"the engine at {socket_path} went away in the middle of the pull")
    reason = next((cause.strerror for cause in _causes(error) if isinstance(cause, OSError) and cause.strerror), "")
    return EngineUnreachableError(f"cannot reach the engine at {socket_path}: {reason or 'it hung up'}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and those it was made from: requests and urllib3 hand them on as arguments."""
    yield error
    for argument in error.args:
        if isinstance(argument, BaseException):
            yield from _causes(argument)
