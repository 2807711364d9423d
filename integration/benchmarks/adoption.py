"""The cost of adopting a container of 1 to 1000 processes, by each way.

    python3 -m integration.benchmarks.adoption

In a machine, a transient unit makes such a container, waits until all of its processes are there, and then does what
a start does: "move" moves them, "parent" checks where they are. The manual has the figures under COSTS.
"""

from __future__ import annotations

import statistics
import sys
from typing import TYPE_CHECKING

from integration.harness import product
from integration.harness.machine import Spec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from integration.harness.machine import Machine

PROCESSES = (1, 10, 100, 1000)
ROUNDS = 5

PYTHON = "/opt/systemd-docker/bin/python3"
INSIDE = """
import subprocess, sys, time
from systemd_docker import unit
from systemd_docker.kernel import cgroup
from systemd_docker.plan.adoption import PAYLOAD_SLICE, SHIM_RUNTIME, AdoptionPlan
from systemd_docker.service.adoption import adopt
from systemd_docker.service.adoption.make_room import make_room
from systemd_docker.service.adoption.make_room import planned

strategy, processes = sys.argv[1], int(sys.argv[2])
here = unit.read_unit()
plan = AdoptionPlan(strategy, "measured", sweep=True)
make_room(plan, here)
place = [f"--cgroup-parent={here.cgroup.path}/{PAYLOAD_SLICE}", f"--runtime={SHIM_RUNTIME}"]
script = f"i=1; while [ $i -lt {processes} ]; do sleep 1000 & i=$((i+1)); done; exec sleep 1000"
docker = ["docker", "run", "--detach", *(place if strategy == "parent" else []), "busybox:musl", "sh", "-c", script]
container = subprocess.check_output(docker, text=True).strip()
try:
    format = ["docker", "inspect", "--format={{.State.Pid}}", container]
    leader = int(subprocess.check_output(format))
    members = cgroup.read_hierarchies().of_service(cgroup.read_proc_cgroup(leader))
    while len(members.pids()) < processes or b"sleep" not in open(f"/proc/{leader}/cmdline", "rb").read()[:6]:
        time.sleep(0.05)
    begin = time.perf_counter()
    adopt.adopt(planned(plan, ""), here, container, leader)
    print((time.perf_counter() - begin) * 1000)
finally:
    subprocess.run(["docker", "rm", "--force", container], stdout=subprocess.DEVNULL, check=True)
"""


def adopt_msec(machine: Machine, strategy: str, processes: int) -> float:
    run = "systemd-run --quiet --wait --pipe --collect --property=Delegate=yes --property=TasksMax=infinity"
    return float(machine.run(f"{run} {PYTHON} - {strategy} {processes}", stdin=INSIDE.encode(), timeout_sec=300))


def rows(machine: Machine) -> Iterator[str]:
    """Yield the table as lines of markdown."""
    yield "| processes | `parent` [ms] | `move` [ms] | `move`, each process [ms] |"
    yield "|---|---|---|---|"
    for processes in PROCESSES:
        parent, move = (
            statistics.median(adopt_msec(machine, strategy, processes) for _ in range(ROUNDS))
            for strategy in ("parent", "move")
        )
        yield f"| {processes} | {parent:.1f} | {move:.1f} | {move / processes:.2f} |"


def main() -> None:
    with product.installed(Spec("trixie")) as machine:
        for row in rows(machine):
            sys.stdout.write(f"{row}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
