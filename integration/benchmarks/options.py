"""The cost of reading a command line beyond the interpreter's start: `python3 -m integration.benchmarks.options`.

Both are measured in turn, as processor time; the least of some tries counts. The promise is 5 ms on a machine whose
interpreter starts in 10.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

COMMAND_LINE = [
    "--rm", "--name", "web", "-p", "80:8080", "-v", "/srv/web:/data:ro", "-e", "TZ=UTC", "-l", "a=b", "--memory",
    "512m", "--cpus=1.5", "--restart=no", "--network", "backend", "--read-only", "--tmpfs", "/run", "nginx:1.25",
    "nginx", "-g", "daemon off;",
]  # fmt: skip

READ = """
import sys, time
before, start = set(sys.modules), time.process_time()
sys.path.insert(0, sys.argv[1])
from systemd_docker.options.run_options import parse_run
from systemd_docker.options.own import parse_own
from systemd_docker.options.client import Client
from systemd_docker.options.create_request import create_request
own, rest = parse_own(["--logs=false", "run", *sys.argv[2:]])
create_request(parse_run(rest[1:]), Client({}, "/", lambda name: b"", {}, (1, 50), "/run/docker.sock"))
milliseconds = (time.process_time() - start) * 1000
modules = sorted(set(sys.modules) - before)
import json
print(json.dumps([modules, milliseconds]))
"""

TRIES = 15


def read_msec() -> float:
    command = [sys.executable, "-I", "-S", "-c", READ, str(ROOT), *COMMAND_LINE]
    answer: tuple[list[str], float] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return answer[1]


def bare_msec() -> float:
    """Return the processor time of an interpreter that does nothing."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-I", "-S", "-c", "pass"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


def main() -> None:
    tries = [(bare_msec(), read_msec()) for _ in range(TRIES)]
    bare, reading = min(bare for bare, _ in tries), min(reading for _, reading in tries)
    print(f"bare interpreter {bare:.1f} ms, reading a command line {reading:.1f} ms more, ratio {reading / bare:.2f}")


if __name__ == "__main__":
    main()
