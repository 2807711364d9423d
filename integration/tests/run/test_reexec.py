"""systemd-docker executes itself again while the container runs: it is small then, and loses nothing.

Units whose systemd-docker is killed then are in tests/stop/test_guard.py.
"""

from __future__ import annotations

import pytest

from integration.harness.machine import Machine, poll
from integration.words.journal import Journal
from integration.words.processes import leader, resting
from integration.words.units import TRAP, unit

pytestmark = pytest.mark.integration

IDLE_RSS_LIMIT_KB = 12 * 1024
"""Of a systemd-docker whose container runs; the promise of the manual."""


def test_systemd_docker_is_small_after_re_execution(machine: Machine) -> None:
    machine.install_unit("web.service", unit(TRAP))
    machine.run("systemctl start web")

    pid = resting(machine)

    rss_kb = int(machine.run(f"grep VmRSS /proc/{pid}/status").split()[1])
    assert rss_kb <= IDLE_RSS_LIMIT_KB
    assert machine.run(f"ls /proc/{pid}/task") == pid


def test_systemd_docker_executes_itself_again_once(machine: Machine, journal: Journal) -> None:
    """What is on disk later may be another version's."""
    command = "trap 'echo reloaded' HUP; trap 'exit 0' TERM; while true; do sleep 60 & wait $!; done"
    machine.install_unit("web.service", unit(command, service=("KillMode=mixed",)))
    machine.run("systemctl start web")
    pid = resting(machine)
    # The kernel gives each executed image random bytes of its own; getauxval(3), AT_RANDOM.
    image = machine.run(f"md5sum </proc/{pid}/auxv")

    machine.run("systemctl kill --signal=HUP --kill-whom=main web")

    poll(lambda: journal.lines("web", "web").count("reloaded") == 1, what="the payload's answer")
    assert machine.run(f"md5sum </proc/{pid}/auxv") == image
    assert machine.run("systemctl stop web; systemctl show -P Result web") == "success"


def test_re_execution_loses_no_output_and_no_ending(machine: Machine, journal: Journal) -> None:
    # With --init the payload gets SIGTERM twice: from systemd, and from the container's first process.
    trap = "trap '' TERM; echo bye; exit 7"
    command = f'trap "{trap}" TERM; n=0; while true; do n=$((n+1)); echo $n; sleep 0.01 & wait $!; done'
    machine.install_unit("web.service", unit(command, options="--rm --init --name web"))
    machine.run("systemctl start web")
    status = poll(lambda: machine.show("web", "StatusText"), what="a status, which comes after READY=1")

    resting(machine)

    assert machine.show("web", "StatusText") == status
    assert machine.show("web", "MainPID") == leader(machine)
    machine.attempt("systemctl stop web")
    # During a stop, systemd before version 253 or so accepts no MAINPID=, and so does not see the payload's status.
    version = int(machine.run("systemctl --version").split()[1])
    ending = ("1", "7") if version >= 257 else ("0", "0")
    assert (machine.show("web", "ExecMainCode"), machine.show("web", "ExecMainStatus")) == ending
    # The shell's message about a killed child is on the other stream and could be anywhere between these.
    *numbers, last = [record["MESSAGE"] for record in journal.records("web", "web") if record["PRIORITY"] == "6"]
    assert last == "bye"
    assert numbers == [str(n) for n in range(1, len(numbers) + 1)]
    machine.attempt("systemctl reset-failed web")
