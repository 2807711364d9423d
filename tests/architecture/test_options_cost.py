"""Reading a command line happens at each start of each unit, so it imports nothing heavy.

integration/benchmarks/options.py measures how long it takes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

READ = """
import sys
before = set(sys.modules)
sys.path.insert(0, sys.argv[1])
from systemd_docker.options.run_options import parse_run
from systemd_docker.options.own import parse_own
from systemd_docker.options.client import Client
from systemd_docker.options.create_request import create_request
own, rest = parse_own(["--logs=false", "run", *sys.argv[2:]])
create_request(parse_run(rest[1:]), Client({}, "/", lambda name: b"", {}, (1, 50), "/run/docker.sock"))
modules = sorted(set(sys.modules) - before)
import json
print(json.dumps(modules))
"""

COMMAND_LINE = [
    "--rm", "--name", "web", "-p", "80:8080", "-v", "/srv/web:/data:ro", "-e", "TZ=UTC", "-l", "a=b", "--memory",
    "512m", "--cpus=1.5", "--network", "backend", "--read-only", "--tmpfs", "/run", "nginx:1.25", "nginx",
]  # fmt: skip


def test_reading_a_command_line_imports_nothing_heavy() -> None:
    command = [sys.executable, "-I", "-S", "-c", READ, str(ROOT), *COMMAND_LINE]

    modules = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)

    assert [name for name in modules if not name.startswith("systemd_docker")] == ["__future__"]
