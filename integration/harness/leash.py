"""Commands on a leash: whatever they start ends with this process, even when it is killed with SIGKILL.

setpriv(1) asks the kernel to kill unshare(1) when we die, and unshare the same for its child, which is PID 1 of a
PID namespace: with it the kernel ends everybody in there. Mounts are made in a mount namespace of their own and
vanish with its last process. "We" are the thread that starts the command, see PR_SET_PDEATHSIG(2const).
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

LEASH = (
    "setpriv", "--pdeathsig=KILL",
    "unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child", "--mount-proc",
)  # fmt: skip
"""Put in front of a command's words. The process to wait for, or to kill, is unshare."""


def run_on_leash(argv: Sequence[str], *, stdin: bytes = b"") -> bytes:
    """Run a command to its end and return its stdout, or fail showing both streams."""
    result = subprocess.run([*LEASH, *argv], input=stdin, capture_output=True, check=False)
    if result.returncode != 0:
        output = (result.stdout + result.stderr).decode(errors="replace")
        raise ChildProcessError(f"{argv[0]} exited {result.returncode}\n{output}")
    return result.stdout


@contextlib.contextmanager
def launched(
    script: Path,
    words: Sequence[str],
    log: Path,
    *,
    unshare: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
) -> Iterator[int]:
    """Run a shell script with its output in log; yield the PID that ends with what it starts, and that with it.

    unshare: more of unshare(1)'s options. env: besides our own.
    """
    with log.open("wb") as output:
        launcher = subprocess.Popen(
            [*LEASH, *unshare, "sh", str(script), *words],
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the tests, which end the machine in their own time
        )
    try:
        yield launcher.pid
    finally:
        launcher.kill()
        launcher.wait()
