"""A pull in a child process, as its parent sees it: start, progress, cancellation.

Credentials take the docker package, 20 MB, which a service would keep for as long as its container runs. So a pull is
a child, engine.pull_worker, that reports one line of JSON per change and ends with the pull.

Why posix_spawn(3) and not fork(2): a forked child shares its parent's signal handlers and wakeup descriptor until it
has reset them, and a SIGTERM for the whole unit would in that moment be counted twice; its pages would be copied from
a parent that stays. A new interpreter starts in 15 ms, a tenth of the import of docker.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys

from systemd_docker import jsonobj, program
from systemd_docker.engine.image_reference import is_image_id, parse_reference
from systemd_docker.engine.pull_progress import PullProgress
from systemd_docker.errors import EngineError, EngineUnreachableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_LINE_BYTES = 32 * 1024
"""Of a report: the longest message, every character escaped as a surrogate pair, and its hint stay below."""

NO_HTTP_STATUS = 0
"""EngineError.http_status where the pull failed before or after any answer with a status."""

_CHILD = """\
import sys
sys.path[:] = sys.argv[6:]
from systemd_docker.engine.pull_worker import main
main(*sys.argv[1:6])
"""


class Pull:
    """A running pull. Owns the child and the pipe until close().

    pid: of the child, 0 once it has been reaped.
    """

    def __init__(self, pid: int, pipe: int) -> None:
        self.pid = pid
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
        """Return the latest progress since the last call, or None; never blocks.

        Raises EngineError with the engine's words, or EngineUnreachableError; a child that ended without a report is
        an EngineError too. After that, and after `finished`, there is nothing more to receive.
        """
        try:
            data = os.read(self._pipe, MAX_LINE_BYTES)
        except BlockingIOError:
            return None
        if not data:
            raise _silent_end(self.cancel())
        *lines, self._received = (self._received + data).split(b"\n")
        if len(self._received) > MAX_LINE_BYTES:
            raise EngineError(
                f"a report from the pulling process is longer than {MAX_LINE_BYTES} bytes", http_status=NO_HTTP_STATUS
            )
        latest = None
        for line in lines:
            latest = _decode(line)
        return latest

    def cancel(self) -> int:
        """End the child and its credential helper; return its wait status. The engine then gives up the pull."""
        if self.pid:
            # The child leads a group of its own and is not reaped yet, so the number is still its own.
            os.killpg(self.pid, signal.SIGKILL)
            self._wait_status = os.waitpid(self.pid, 0)[1]
            self.pid = 0
        return self._wait_status

    def close(self) -> None:
        """End the pull if it has not ended, and release everything; idempotent."""
        self.cancel()
        if self._is_open:
            self._is_open = False
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

    environ:     the child's; names the place of the credentials (DOCKER_CONFIG, HOME) and of the helpers (PATH).
    import_path: where the child finds this package and docker; sys.path if empty.
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
        stack.pop_all()
    return Pull(pid, pipe)


def _spawn(argv: list[str], environ: Mapping[str, str], stdout: int) -> int:
    """Start a child with this process's standard error and archive, default signals and a group of its own."""
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
    """Read one report of the child. Raises the error that it reports."""
    try:
        report = jsonobj.parse_object(line)
        if "error" not in report:
            current, total, unpacked, layers, done = (jsonobj.get(report, name, int) for name in COUNTS)
            return PullProgress(current, total, unpacked, layers, done, jsonobj.get(report, "finished", bool))
        message, hint = jsonobj.get(report, "error", str), jsonobj.get(report, "hint", str)
        status, is_unreachable = jsonobj.get(report, "http_status", int), jsonobj.get(report, "unreachable", bool)
    except jsonobj.JsonError as error:
        raise EngineError(f"malformed report from the pulling process: {error}", http_status=NO_HTTP_STATUS) from None
    if is_unreachable:
        raise EngineUnreachableError(message, hint=hint)
    raise EngineError(message, http_status=status, hint=hint)


COUNTS = ("current_bytes", "total_bytes", "unpacked_bytes", "layers", "layers_done")
"""The fields of PullProgress in a report, but for `finished`."""
