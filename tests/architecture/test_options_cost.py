"""Reading a command line costs every start of every unit: it imports no heavy module. For how long it takes, see
integration/benchmarks/options.py."""

from __future__ import annotations

import json
import subprocess
import sys

from integration.benchmarks.options import COMMAND_LINE, READ, ROOT


def test_reading_a_command_line_imports_nothing_heavy() -> None:
    command = [sys.executable, "-I", "-S", "-c", READ, str(ROOT), *COMMAND_LINE]

    modules, _milliseconds = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)

    assert [name for name in modules if not name.startswith("systemd_docker")] == ["__future__"]
