"""Commands on a leash: all that they start ends with this process, even if it is killed with SIGKILL.

setpriv(1) asks the kernel to kill unshare(1) when the starting thread dies (PR_SET_PDEATHSIG(2const)), and unshare
asks the same for its child, which is PID 1 of a PID namespace: with it the kernel ends all processes in there. Mounts
are made in a mount namespace of their own and vanish with its last process.
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
"""The words in front of a command's. The process to wait for, or to kill, is unshare."""


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
    """Run a shell script with its output in log; yield a PID: the script's processes end with it, and it with them.

    unshare: more options of unshare(1). env: additions to this process's environment.
    """
    with log.open("wb") as output:
        launcher = subprocess.Popen(
            [*LEASH, *unshare, "sh", str(script), *words],
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C goes to the tests, which then end the machine
        )
    try:
        yield launcher.pid
    finally:
        launcher.kill()
        launcher.wait()
