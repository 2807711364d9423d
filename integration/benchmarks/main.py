"""`integration/bench`: what a unit costs with systemd-docker, docker run and podman run, side by side in one machine.

In each round each client is measured once. The table has medians and, in brackets, their ratio to docker run's.
clients.py has the clients, measures.py the measures.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from integration.benchmarks import measures
from integration.benchmarks.clients import CLIENTS, COLUMNS, DOCKER, DRIVER, ENGINE, SYSTEMD_DOCKER, prepare
from integration.benchmarks.figures import Figures, Limit, table
from integration.benchmarks.plot import svg
from integration.harness import product
from integration.harness.machine import Spec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from integration.benchmarks.clients import Client
    from integration.harness.machine import Machine

MEASURES = ("once", "start", "idle", "relay")

IDLE_SEC = {1: 20, 20: 20, 100: 20}
"""How long wake-ups are counted, by number of units."""

LIMITS = (
    Limit(measures.WALL, SYSTEMD_DOCKER, at_most=1.25, other=(measures.WALL, DOCKER)),
    Limit(measures.WALL, SYSTEMD_DOCKER, at_most=1.05, other=(measures.WALL, DOCKER)),
    Limit(measures.CPU, SYSTEMD_DOCKER, at_most=1, other=(measures.CPU, DOCKER)),
    Limit(measures.PEAK, SYSTEMD_DOCKER, at_most=1, other=(measures.PEAK, DOCKER)),
    Limit(measures.OVERHEAD, SYSTEMD_DOCKER, at_most=60),
    Limit(measures.resident(1), SYSTEMD_DOCKER, at_most=10 * 1024),
    Limit(measures.private(1), SYSTEMD_DOCKER, at_most=5 * 1024),
    Limit(measures.own(1), SYSTEMD_DOCKER, at_most=5 * 1024),
    Limit(measures.resident(1), SYSTEMD_DOCKER, at_most=0.45, other=(measures.resident(1), DOCKER)),
    Limit(measures.threads(1), SYSTEMD_DOCKER, at_most=1),
    Limit(measures.wakeups(1), SYSTEMD_DOCKER, at_most=0),
    Limit(measures.wakeups(100), SYSTEMD_DOCKER, at_most=0),
    Limit(measures.private(100), SYSTEMD_DOCKER, at_most=6 * 1024),
    Limit(measures.JOURNALD_CPU, SYSTEMD_DOCKER, at_least=5, other=(measures.JOURNAL_CPU, SYSTEMD_DOCKER)),
    Limit(measures.JOURNAL_RATE, SYSTEMD_DOCKER, at_least=1, other=(measures.JOURNAL_RATE, DOCKER)),
    Limit(measures.JOURNAL_RATE, SYSTEMD_DOCKER, at_least=2.5, other=(measures.JOURNAL_RATE, DRIVER)),
    Limit(measures.stop_together(100), SYSTEMD_DOCKER, at_most=2),
    Limit(measures.stop_beyond(100), SYSTEMD_DOCKER, at_most=2),
)
"""The promises of the manual. 600 MB of private memory of 100 units are 6 MB each."""


def main(argv: Sequence[str]) -> int:
    options = _parse(argv)
    began = time.monotonic()

    def stage(text: str) -> None:
        sys.stderr.write(f"[{time.monotonic() - began:3.0f} s] {text}\n")

    figures = Figures()
    stage(f"a machine: {options.suite}")
    with product.installed(Spec(options.suite)) as machine:
        left_out = list(prepare(machine))
        for line in left_out:
            stage(f"left out: {line}")
        clients = [client for client in CLIENTS if not any(line.startswith(client.name) for line in left_out)]
        about = _about(machine.run("docker version --format '{{.Server.Version}}'; systemctl --version | head -n 1"))
        try:
            _measure(machine, figures, clients, options, stage)
        finally:
            _report(figures, f"{about}, load {os.getloadavg()[0]:.1f} at the end", options.output)
    stage("done")
    return 0


def _measure(
    machine: Machine,
    figures: Figures,
    clients: Sequence[Client],
    options: argparse.Namespace,
    stage: Callable[[str], None],
) -> None:
    if "once" in options.measures:
        stage("run --rm true")
        measures.run_true(machine, figures, clients, options.rounds)
    if "start" in options.measures:
        stage("start and stop of one unit")
        measures.start_and_stop(machine, figures, clients, options.rounds)
    if "relay" in options.measures:
        stage("output into the journal and into a file")
        measures.relay(machine, figures, clients, max(3, options.rounds // 5), options.lines)
    for units in options.units if "idle" in options.measures else ():
        for client in clients:
            stage(f"{units} units: {client.name}")
            measures.many(machine, figures, client, units, idle_sec=IDLE_SEC.get(units, 10))
        stage(f"{units} containers: {ENGINE}")
        measures.engine_alone(machine, figures, units)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="integration/bench", description=__doc__)
    parser.add_argument("--suite", default="trixie-podman", help="the machine's root (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=20, help="of what is short (default %(default)s)")
    parser.add_argument("--lines", type=int, default=300_000, help="of output (default %(default)s)")
    parser.add_argument("--units", type=int, nargs="+", default=[1, 20, 100], help="at once (default 1 20 100)")
    parser.add_argument("--output", type=Path, metavar="DIRECTORY", help="write bench.json and bench.svg there")
    parser.add_argument("measures", nargs="*", default=MEASURES, help=f"of {', '.join(MEASURES)} (default: all)")
    options = parser.parse_args(argv)
    if unknown := set(options.measures) - set(MEASURES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    return options


def _about(versions: str) -> str:
    """Describe the machine that was measured."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    model = models[0].partition(":")[2].strip() if models else platform.machine()
    engine, systemd = versions.splitlines()
    return f"{os.cpu_count()} CPUs ({model}), Linux {platform.release()}, {systemd}, Docker Engine {engine}"


def _report(figures: Figures, about: str, output: Path | None) -> None:
    measured = {client for _, medians in figures.rows() for client in medians}
    print(about)
    clients = [client for client in COLUMNS if client in measured]
    print(table(figures, clients, DOCKER))
    verdicts = [verdict for limit in LIMITS if (verdict := limit.judge(figures))]
    print("\n".join(verdicts))
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        content = {"machine": about, "figures": figures.as_json(), "limits": verdicts}
        (output / "bench.json").write_text(json.dumps(content, indent=1) + "\n")
        (output / "bench.svg").write_text(svg(figures, clients, DOCKER))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
