"""The cost of systemd-docker-generator for a daemon-reload: wall and CPU time, for load paths of 300 services.

    python3 -m integration.benchmarks.generator [PYTHON]

PYTHON is started as the installed launcher starts it, with -ISXutf8; Debian's own by default. The services, half of
them with drop-ins, are made in a directory that takes the place of /etc/systemd/system; the output goes to a tmpfs,
as /run/systemd/generator is one.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SERVICES = 300
ROUNDS = 15
PROMISED_MS = 100

PACKAGE_HOME = Path(__file__).parents[2]

OTHER = "".join(
    f"# line {number} of a comment of the usual length, as found in the units of a distribution\n"
    for number in range(20)
)
SERVICE = """
[Unit]
Description=Service {number}
After=network.target docker.service
Requires=docker.service

[Service]
Type=notify
NotifyAccess=all
TimeoutStartSec=0
Restart=always
ExecStart={program} run --rm --name service-{number} \\
    --publish 80{number}:80 \\
    --env 'GREETING=hello world' \\
    busybox /bin/sh -c 'while true; do echo hello world; sleep 60; done'

[Install]
WantedBy=multi-user.target
"""
DROP_IN = "[Service]\nMemoryMax=64M\nEnvironment=A=b\n"

PROGRAM = """
import sys
sys.path.append({home!r})
from systemd_docker.generator import main
load_path = [{etc!r}, "/usr/local/lib/systemd/system", "/usr/lib/systemd/system"]
sys.exit(main.write(main.generate(load_path, main.running_systemd_version()), {output!r}))
"""


def make_services(directory: Path, *, own: int) -> None:
    for number in range(SERVICES):
        program = "/usr/local/bin/systemd-docker" if number < own else "/usr/bin/docker"
        text = OTHER + SERVICE.format(number=number, program=program)
        (directory / f"service-{number}.service").write_text(text)
        if number % 2:
            (directory / f"service-{number}.service.d").mkdir()
            (directory / f"service-{number}.service.d" / "override.conf").write_text(DROP_IN)


def measure(command: list[str]) -> tuple[float, float]:
    """Return the wall and CPU milliseconds of one run."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall * 1000, cpu * 1000


def main() -> int:
    python = sys.argv[1] if len(sys.argv) > 1 else "/usr/bin/python3"
    slowest = 0.0
    for own in (0, 10, SERVICES):
        with tempfile.TemporaryDirectory() as etc, tempfile.TemporaryDirectory(dir="/dev/shm") as output:
            make_services(Path(etc), own=own)
            program = PROGRAM.format(home=str(PACKAGE_HOME), etc=etc, output=output)
            rounds = [measure([python, "-ISXutf8", "-c", program]) for _ in range(ROUNDS)]
            assert len(os.listdir(output)) == own
        wall, cpu = (statistics.median(values) for values in zip(*rounds, strict=True))
        slowest = max(slowest, cpu)  # other processes of the host disturb wall time
        sys.stdout.write(
            f"{SERVICES} services, {own:3} of them of systemd-docker: {wall:5.1f} ms, {cpu:5.1f} ms of CPU\n"
        )
    sys.stdout.write(f"promised: at most {PROMISED_MS} ms of CPU\n")
    return int(slowest > PROMISED_MS)


if __name__ == "__main__":
    sys.exit(main())
