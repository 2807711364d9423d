"""Reading a command line costs every start of every unit: no heavy module, and a few milliseconds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

COMMAND_LINE = [
    "--rm", "--name", "web", "-p", "80:8080", "-v", "/srv/web:/data:ro", "-e", "TZ=UTC", "-l", "a=b", "--memory",
    "512m", "--cpus=1.5", "--restart=no", "--network", "backend", "--read-only", "--tmpfs", "/run", "nginx:1.25",
    "nginx", "-g", "daemon off;",
]  # fmt: skip

READ = """
import sys, time
before, start = set(sys.modules), time.process_time()
sys.path.insert(0, sys.argv[1])
from systemd_docker.options.grammar import parse_run
from systemd_docker.options.own import parse_own
from systemd_docker.options.request import Client, create_request
own, rest = parse_own(["--logs=false", "run", *sys.argv[2:]])
create_request(parse_run(rest[1:]), Client({}, "/", lambda name: b"", {}, (1, 50), "/run/docker.sock"))
milliseconds = (time.process_time() - start) * 1000
modules = sorted(set(sys.modules) - before)
import json
print(json.dumps([modules, milliseconds]))
"""

MAX_MILLISECONDS = 5.0
TRIES = 7


def read() -> tuple[list[str], float]:
    command = [sys.executable, "-I", "-S", "-c", READ, str(ROOT), *COMMAND_LINE]
    modules, milliseconds = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return modules, milliseconds


def test_reading_a_command_line_imports_nothing_heavy() -> None:
    modules, _ = read()

    assert [name for name in modules if not name.startswith("systemd_docker")] == ["__future__"]


def test_reading_a_command_line_takes_a_few_milliseconds() -> None:
    # Processor time, and the best of some tries: the others say how busy the machine is.
    assert min(read()[1] for _ in range(TRIES)) < MAX_MILLISECONDS
