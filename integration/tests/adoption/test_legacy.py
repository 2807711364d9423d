"""cgroup v1 as systemd mounts it on a kernel of its own: controllers share hierarchies, and a release agent tells
systemd of empty cgroups.

Machines that share the host's kernel have neither. These here are ten times slower, so a test checks much at once.
"""

from __future__ import annotations

import pytest

from integration.harness.machine import Machine, Spec, poll
from integration.tables.matrix import MOVE
from integration.words.cgroups import OWN, controller, places
from integration.words.journal import answer, chosen, lines
from integration.words.matrix_cell import examine
from integration.words.processes import leader
from integration.words.units import OPENS_FORBIDDEN, PATIENT, TRAP, unit

CGROUPFS = Spec("trixie-vm", "cgroupfs", "legacy")

pytestmark = [
    pytest.mark.integration,
    pytest.mark.long,
    pytest.mark.machines(CGROUPFS),
]


@pytest.mark.machines(
    CGROUPFS,
    Spec("trixie-vm", "systemd", "legacy"),
    Spec("trixie-vm", "cgroupfs", "hybrid"),
    Spec("trixie-vm", "systemd", "hybrid"),
)
@pytest.mark.parametrize("words", ["", MOVE])
def test_a_cell_of_the_matrix(machine: Machine, words: str) -> None:
    examine(machine, words)


@pytest.mark.parametrize("names", ["cpuacct", "cpu,cpuacct", "cpuacct,cpu"])
def test_controllers_that_share_a_hierarchy_are_named_in_any_order(machine: Machine, names: str) -> None:
    service = (*PATIENT, "Delegate=no", "CPUQuota=50%")
    machine.install_unit("web.service", unit(TRAP, own=f"{MOVE} --cgroups={names}", service=service))
    machine.run("systemctl start web")

    found = places(machine, leader(machine))
    assert chosen(machine) == "move"
    assert {"cpu,cpuacct", "net_cls,net_prio"} <= set(found)
    assert found["name=systemd"] == found["cpu,cpuacct"] == OWN
    assert controller(found, "pids").startswith("/docker/")
    assert machine.run("docker exec web echo hello") == "hello"
    machine.run("systemctl stop web")
    assert machine.show("web", "Result") == "success"


def test_no_process_is_taken_out_of_a_limit_of_the_other_controller(machine: Machine) -> None:
    options = "--rm --name web --cpus 0.5"
    machine.expect_journal("would lose its limits cpu.cfs_quota_us '50000'")
    machine.install_unit("web.service", unit(TRAP, own=f"{MOVE} -c cpuacct", options=options, service=PATIENT))

    assert machine.attempt("systemctl start web").returncode != 0

    assert machine.show("web", "ExecMainStatus") == "125"
    assert machine.run("docker ps --all --quiet") == ""
    machine.run("systemctl reset-failed web")


def test_the_containers_limits_hold_and_the_units_above_them(machine: Machine) -> None:
    options = "--rm --name web --cpus 0.5 --pids-limit 12"
    service = (*PATIENT, "CPUQuota=80%", "TasksMax=60")
    machine.install_unit("web.service", unit(OPENS_FORBIDDEN, options=options, service=service))
    machine.run("systemctl start web")

    found = places(machine, leader(machine))
    assert chosen(machine) == "parent"
    assert {path.startswith(f"{OWN}/") for names, path in found.items() if names} == {True}, found
    cpu, pids = (f"/sys/fs/cgroup/{name}{controller(found, name)}" for name in ("cpu", "pids"))
    assert machine.run(f"cat {cpu}/cpu.cfs_quota_us {pids}/pids.max").split() == ["50000", "12"]
    above = machine.run(f"cat /sys/fs/cgroup/cpu{OWN}/cpu.cfs_quota_us /sys/fs/cgroup/pids{OWN}/pids.max")
    assert above.split() == ["80000", "60"]
    assert "Operation not permitted" in answer(machine)
    machine.run("systemctl stop web")
    assert machine.show("web", "Result") == "success"


def test_systemd_docker_stays_the_main_process_that_systemd_waits_for(machine: Machine) -> None:
    """systemd waits for no other process of a delegated unit, as release agents are not reliable there."""
    machine.install_unit("web.service", unit("trap 'exit 7' TERM; sleep 600 & wait", service=PATIENT))
    machine.run("systemctl start web")
    assert "systemd-docker" in machine.run("ps -o args= -p $(systemctl show -P MainPID web)")
    poll(
        lambda: any("with cgroup v1 alone" in line for line in lines(machine, "systemd-docker")),
        what="the log line with the reason",
        timeout_sec=120,
    )

    machine.run("docker stop web")

    poll(lambda: machine.show("web", "ActiveState") == "failed", what="the unit to end", timeout_sec=120)
    assert machine.show("web", "ExecMainStatus") == "7"
    machine.run("systemctl reset-failed web")
