"""Linters are tests; a missing linter is a skip by hand and a failure in .ci/run, which installs them all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def lint(*argv: str) -> None:
    tool = Path(sys.executable).parent / argv[0]
    command = str(tool) if tool.exists() else shutil.which(argv[0])
    if command is None:
        if os.environ.get("CI"):
            pytest.fail(f"{argv[0]} is not installed")
        pytest.skip(f"{argv[0]} is not installed")
    result = subprocess.run([command, *argv[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{' '.join(argv)}\n{result.stdout}{result.stderr}"


def test_ruff_check() -> None:
    lint("ruff", "check", ".")


def test_ruff_format() -> None:
    lint("ruff", "format", "--check", ".")


@pytest.mark.timeout(300)
def test_mypy() -> None:
    lint("mypy")
