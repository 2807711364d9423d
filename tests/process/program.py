"""`python3 -m systemd_docker` as a process of its own, with an environment that has nothing of the tests' own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.fakes.engine import FakeEngine

ROOT = Path(__file__).parents[2]

ARGV = [sys.executable, "-m", "systemd_docker"]

MEASURING = "COVERAGE_PROCESS_CONFIG"
"""Has coverage(1) measure a new interpreter; the tests' own environment has it where they are measured."""

FINISH_TIMEOUT_SEC = 20


def environ_of(engine: FakeEngine, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what the program needs to run and to find this engine, and what environ adds."""
    needed = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "DOCKER_HOST": f"unix://{engine.path}"}
    measuring = {name: os.environ[name] for name in (MEASURING,) if name in os.environ}
    return needed | measuring | dict(environ or {})


def command(
    engine: FakeEngine,
    *words: str,
    environ: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.PIPE,
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*ARGV, *words],
        env=environ_of(engine, environ),
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Return the exit status, standard output and standard error of a process that ends by itself."""
    try:
        stdout, stderr = process.communicate(timeout=FINISH_TIMEOUT_SEC)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return process.returncode, stdout, stderr


def run(engine: FakeEngine, *words: str, **environ: str) -> tuple[int, str, str]:
    return finish(command(engine, "--adopt=none", "run", *words, environ=environ))
