"""Many units on one machine: all start and stop, and idle ones need little memory and no processor."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from integration.harness.machine import poll
from integration.words.processes import wrapper
from integration.words.units import TRAP, unit
from systemd_docker.service.supervise.reexec import REEXEC_AFTER_SEC

if TYPE_CHECKING:
    from collections.abc import Sequence

    from integration.harness.machine import Machine

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

RSS_LIMIT_KB = 12.5 * 1024
"""Of one idle systemd-docker: 11.6 MB, and what smaps counts differently from run to run. All but PRIVATE_LIMIT_KB is
in memory once for all of them."""

PRIVATE_LIMIT_KB = 5 * 1024
"""Of each of many; 100 units keep below 600 MB with it."""

SILENCE_SEC = 10
"""Long enough to notice periodic timers."""

UNITS = 25
"""As many as two busy processors start in time; integration/bench starts 100."""

MANY = unit(TRAP, options="--rm --name web-%i --network none", service=("Slice=many.slice", "TimeoutStartSec=120"))


def start(machine: Machine, units: int) -> list[str]:
    """Start so many at once; return the PIDs of systemd-docker once all have executed themselves again and sleep."""
    machine.install_unit("web@.service", MANY)
    names = [f"web@{number}.service" for number in range(units)]
    machine.run(f"systemctl start {' '.join(names)}", timeout_sec=150)
    pids = [wrapper(machine, name, "many.slice") for name in names]
    assert len(pids) == units
    resumed = f"grep -lz SYSTEMD_DOCKER_RESUME {' '.join(f'/proc/{pid}/environ' for pid in pids)} | wc -l"
    poll(lambda: machine.run(resumed) == str(units), what="all to rest", timeout_sec=REEXEC_AFTER_SEC + 60)
    # A process that has just executed itself is still importing.
    poll(lambda: are_asleep(machine, pids), what="all to sleep")
    return pids


def are_asleep(machine: Machine, pids: Sequence[str]) -> bool:
    before = times_run(machine, pids)
    time.sleep(1)
    return times_run(machine, pids) == before


def times_run(machine: Machine, pids: Sequence[str]) -> dict[str, str]:
    """Return how often each thread was on a processor, see proc_pid_schedstat(5)."""
    files = " ".join(f"/proc/{pid}/task/*/schedstat" for pid in pids)
    lines = machine.run(f"for file in {files}; do echo $file $(cut -d ' ' -f 3 $file); done").splitlines()
    return {words[0]: words[1] for words in map(str.split, lines)}


def memory_kb(machine: Machine, pids: Sequence[str]) -> dict[str, float]:
    """Return the largest of each kind: a median would hide one that grows."""
    largest: dict[str, float] = {"Rss": 0, "Private": 0}
    for pid in pids:
        fields = {}
        for line in machine.run(f"cat /proc/{pid}/smaps_rollup").splitlines()[1:]:
            key, _, rest = line.partition(":")
            fields[key] = int(rest.split()[0])
        largest["Rss"] = max(largest["Rss"], fields["Rss"])
        largest["Private"] = max(largest["Private"], fields["Private_Clean"] + fields["Private_Dirty"])
    return largest


def test_many_idle_units_have_no_thread_and_no_wakeup_and_stop_together(machine: Machine) -> None:
    pids = start(machine, UNITS)

    before = times_run(machine, pids)
    time.sleep(SILENCE_SEC)
    after = times_run(machine, pids)

    assert len(before) == UNITS, "one thread each"
    assert after == before, "a process woke up although nothing happened"
    largest = memory_kb(machine, pids)
    assert largest["Rss"] <= RSS_LIMIT_KB
    assert largest["Private"] <= PRIVATE_LIMIT_KB
    begin = time.monotonic()
    machine.run("systemctl stop many.slice", timeout_sec=120)
    stop_sec = time.monotonic() - begin
    assert machine.run("systemctl list-units --failed --plain --no-legend") == ""
    assert stop_sec < 30, f"{stop_sec:.1f} s"
