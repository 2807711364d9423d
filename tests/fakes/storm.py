"""A payload that forks without pause, and begins with it when it is where it should be."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator

from systemd_docker.kernel.cgroup import Cgroup

FORKS = "(exec true)"
ORPHANS = "(read _ </dev/null &)"
"""It does not wait for them."""


@contextlib.contextmanager
def storm(*cgroups: Cgroup, act: str = FORKS) -> Iterator[int]:
    """The PID of a shell in these cgroups, one of each hierarchy, that acts already; it is killed on the way out."""
    script = f"read _; echo started; while :; do {act}; done"
    with subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as shell:
        for one in cgroups:
            one.attach(shell.pid)
        assert shell.stdin is not None
        assert shell.stdout is not None
        shell.stdin.write(b"go\n")
        shell.stdin.flush()
        shell.stdout.readline()
        try:
            yield shell.pid
        finally:
            shell.kill()
