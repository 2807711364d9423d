"""Runs inside a machine, as a service: how long commands take and what their processes cost, interleaved.

    python3 bench_once.py ROUNDS '{"name": "command line", ...}'

Prints one JSON list of [name, wall ms, CPU ms, peak kB] per round. Each is started by busybox's time(1), because a
process that is started by this one would have this one's peak for its own: execve(2) does not reset it.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import time

PEAK = "/run/bench/peak"


def run(command: str) -> tuple[float, float, int]:
    argv = ["busybox", "time", "-f", "%M", "-o", PEAK, *shlex.split(command)]
    began = time.monotonic()
    _pid, status, usage = os.wait4(os.posix_spawnp(argv[0], argv, os.environ), 0)
    wall = time.monotonic() - began
    if status != 0:
        sys.exit(f"{command}: wait status {status}")
    with open(PEAK, encoding="ascii") as file:
        peak_kb = int(file.read())
    return wall * 1000, (usage.ru_utime + usage.ru_stime) * 1000, peak_kb


def main() -> None:
    rounds, commands = int(sys.argv[1]), json.loads(sys.argv[2])
    names = list(commands)
    for number in range(rounds + 1):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            figures = run(commands[name])
            if number:  # the first round is for the caches
                print(json.dumps([name, *figures]), flush=True)


if __name__ == "__main__":
    main()
