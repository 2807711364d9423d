"""Limits with real controllers: the container's, the unit's above them, delegation, OOM, systemctl set-property.

Machines with a kernel of their own are ten times slower, so a test checks much at once.
"""

from __future__ import annotations

import re
import shlex

import pytest

from integration.harness.machine import Machine, Spec, poll
from integration.tables.matrix import MOVE, UNDELEGATED
from integration.words.cgroups import CGROUP, kinds, limits, place
from integration.words.journal import chosen, lines
from integration.words.matrix_cell import examine
from integration.words.processes import leader
from integration.words.units import ATE_TOO_MUCH, EATS, PATIENT, TRAP, unit

pytestmark = [
    pytest.mark.integration,
    pytest.mark.machines(Spec("trixie-vm")),
]


LISTENS = (
    "mkfifo /ask /answer; trap 'exit 0' TERM; "
    'while true; do line=$(head -n 1 /ask); sh -c "$line"; echo $? >/answer; done'
)
"""A payload that runs the commands of ask(): docker exec would cost as much as another container. A child waits for
them, because the shell itself may miss a signal that comes just before it waits."""


FORKS = "(for i in $(seq 30); do sleep 1 & done; wait); status=$?; sleep 2; exit $status"
"""Ends when all children have ended: until then no other process of the container can fork either."""

BURNS = "timeout 2 sh -c 'while :; do :; done'"


def ask(machine: Machine, command: str) -> int:
    """Let a payload of LISTENS run a command; return its exit status."""
    return int(tell(machine, command, "cat answer"))


def tell(machine: Machine, command: str, then: str = "true") -> str:
    """Let a payload of LISTENS run a command, which may kill it; return the output of the command then."""
    wait = f"cd /proc/{leader(machine)}/root; until [ -p answer ]; do :; done"  # the payload may just have started
    return machine.run(f"{wait}; cat >ask; {then}", stdin=f"{command}\n".encode())


OPENS_FORBIDDEN = "mknod /fuse c 10 229; dd if=/fuse count=0 2>&1 | grep 'Operation not permitted'"
"""A root container may make the file, but not open it: the engine's device filter. Without that it would be ENXIO."""


def throttled(machine: Machine, cgroup: str) -> int:
    """Return how often a cgroup was throttled."""
    return int(machine.run(f"sed -n 's/^nr_throttled //p' /sys/fs/cgroup{cgroup}/cpu.stat"))


@pytest.mark.machines(Spec("trixie-vm"), pytest.param(Spec("trixie-vm", "cgroupfs"), marks=pytest.mark.long))
def test_the_containers_limits_hold_and_the_units_above_them(machine: Machine) -> None:
    service = (*PATIENT, "MemoryMax=200M", "CPUQuota=80%", "TasksMax=60")
    options = "--rm --name web -m 64m --cpus .5 --pids-limit 12"
    machine.install_unit("web.service", unit(LISTENS, options=options, service=service))
    machine.run("systemctl start web")

    own = place(machine, leader(machine))
    assert chosen(machine) == "parent"
    assert kinds(machine) == {"domain"}
    assert "systemd-docker" in machine.run(f"xargs ps -o args= -p <{CGROUP}/supervisor/cgroup.procs")
    assert limits(machine, own) == {"memory.max": str(64 << 20), "pids.max": "12", "cpu.max": "50000 100000"}
    above = {"memory.max": str(200 << 20), "pids.max": "60", "cpu.max": "80000 100000"}
    assert limits(machine, "/system.slice/web.service") == above
    assert ask(machine, EATS.format("100M")) == ATE_TOO_MUCH
    assert ask(machine, BURNS) != 0
    assert throttled(machine, own) > 0
    assert ask(machine, FORKS) != 0

    machine.run("systemctl set-property --runtime web MemoryMax=40M TasksMax=9 CPUQuota=20%")

    assert kinds(machine) == {"domain"}
    assert limits(machine, own)["memory.max"] == str(64 << 20)
    assert ask(machine, EATS.format("50M")) == ATE_TOO_MUCH
    assert ask(machine, BURNS) != 0
    assert throttled(machine, "/system.slice/web.service") > 0
    assert ask(machine, FORKS) != 0
    machine.run("systemctl stop web")
    assert machine.show("web", "Result") == "success"
    machine.run("systemctl revert web")


@pytest.mark.machines(Spec("trixie-vm"), pytest.param(Spec("trixie-vm", "cgroupfs"), marks=pytest.mark.long))
@pytest.mark.parametrize(
    "words", ["", pytest.param(MOVE, marks=pytest.mark.long), pytest.param(UNDELEGATED, marks=pytest.mark.long)]
)
def test_a_cell_of_the_matrix_with_controllers(machine: Machine, words: str) -> None:
    examine(machine, words)


@pytest.mark.long
def test_operations_of_systemd_leave_limits_in_force(machine: Machine) -> None:
    note = "/bin/sh -c 'cat /proc/self/cgroup >>/run/%N-{}'"
    hooks = (
        f"ExecStartPost={note.format('post')}",
        f"ExecReload={note.format('reload')}",
        f"ExecStop={note.format('stop')}",
    )
    machine.install_unit("web.service", unit(TRAP, options="--rm --name web -m 64m", service=(*PATIENT, *hooks)))
    machine.run("systemctl start web")
    own = place(machine, leader(machine))

    for command in (
        "systemctl reload web",
        "systemctl set-property --runtime web CPUWeight=50",
        "systemctl daemon-reload",
        "systemctl daemon-reexec",
        "docker exec web true",
        f"systemctl freeze web; grep 'frozen 1' {CGROUP}/cgroup.events; systemctl thaw web",
        "systemctl reload web",
    ):
        machine.run(command)
        assert kinds(machine) == {"domain"}, command
        assert limits(machine, own)["memory.max"] == str(64 << 20), command
    shown = machine.run("systemd-cgtop --batch --iterations=1 --order=path --depth=5")
    assert re.search(rf"^{re.escape(own.removeprefix('/'))} +\d", shown, re.MULTILINE), shown
    assert machine.show("web", "ActiveState") == "active"
    machine.run("systemctl stop web")
    assert machine.show("web", "Result") == "success"
    ran_in = set(machine.run("cat /run/web-post /run/web-reload /run/web-stop; rm /run/web-*").splitlines())
    assert ran_in == {"0::/system.slice/web.service/.control"}
    machine.run("systemctl revert web")


@pytest.mark.long
@pytest.mark.parametrize(
    ("policy", "state", "result"),
    [
        ("", "active", "success"),
        ("stop", "failed", "oom-kill"),
        ("kill", "failed", "oom-kill"),
    ],
)
def test_oom_in_the_container_obeys_the_policy(machine: Machine, policy: str, state: str, result: str) -> None:
    """Without OOMPolicy= a delegated unit stays active, see systemd.service(5). "kill" kills systemd-docker, too."""
    policies = (f"OOMPolicy={policy}",) if policy else ()
    service = (*PATIENT, *policies, f"ExecStopPost=cp {CGROUP}/memory.events /run/web-events")
    machine.install_unit("web.service", unit(LISTENS, options="--rm --name web -m 40m", service=service))
    machine.run("systemctl start web")

    tell(machine, EATS.format("100M"))

    poll(
        lambda: "killed by the OOM killer" in machine.run("systemctl status web || true"),
        what="systemd to know of it",
        timeout_sec=120,
    )
    poll(lambda: machine.show("web", "ActiveState") == state, what=f"the unit to be {state}", timeout_sec=120)
    assert machine.show("web", "Result") == result
    machine.run("systemctl stop web; systemctl reset-failed web || true; docker rm --force web || true")
    assert re.search("^oom_kill 1$", machine.run("cat /run/web-events; rm /run/web-events"), re.MULTILINE)


@pytest.mark.long
def test_the_engine_and_the_unit_report_a_payload_killed_for_its_memory(machine: Machine) -> None:
    eats = f"sleep 1; exec {EATS.format('100M')}"
    # The engine does not always set .State.OOMKilled: it learns of that and of the end separately.
    machine.tolerate_journal("'web' ran out of memory and was killed")
    machine.install_unit("web.service", unit(eats, options="--name web -m 40m", service=PATIENT))
    machine.run("systemctl start web")

    poll(lambda: machine.show("web", "ActiveState") == "failed", what="the unit to fail", timeout_sec=120)

    assert machine.show("web", "ExecMainStatus") == "9"
    assert machine.run("docker inspect --format '{{.State.ExitCode}}' web") == str(ATE_TOO_MUCH)
    assert "killed by the OOM killer" in machine.run("journalctl --unit=web")
    machine.run("docker rm web; systemctl reset-failed web")


@pytest.mark.long
def test_moved_limits_and_the_device_filter_hold(machine: Machine) -> None:
    options = "--rm --name web -m 64m --cpus .5 --pids-limit 12"
    text = unit(LISTENS, own="--adopt=move", options=options, service=PATIENT)
    machine.install_unit("web.service", text)
    machine.run("systemctl start web")

    own = place(machine, leader(machine))
    assert own == "/system.slice/web.service/payload"
    assert kinds(machine) == {"domain"}
    assert limits(machine, own) == {"memory.max": str(64 << 20), "pids.max": "12", "cpu.max": "50000 100000"}
    assert ask(machine, OPENS_FORBIDDEN) == 0
    machine.run("systemctl set-property --runtime web CPUWeight=50; systemctl daemon-reload")
    assert kinds(machine) == {"domain"}
    assert limits(machine, own)["memory.max"] == str(64 << 20)
    assert ask(machine, EATS.format("100M")) == ATE_TOO_MUCH
    assert place(machine, leader(machine)) == own
    machine.run("systemctl stop web; systemctl revert web")


@pytest.mark.long
def test_without_delegation_limits_are_the_units_or_the_start_is_refused(machine: Machine) -> None:
    options = "--rm --name web -m 64m --memory-swap 64m --pids-limit 30 --cpus .5"
    service = (*PATIENT, "Delegate=no", "OOMPolicy=continue")
    machine.install_unit("web.service", unit(LISTENS, options=options, service=service))
    machine.expect_journal(
        "would lose its limits cpu.max .*memory.max .*pids.max .*systemd has not delegated the unit's cgroup"
    )

    assert machine.attempt("systemctl start web").returncode != 0
    assert machine.show("web", "ExecMainStatus") == "125"
    assert machine.run("docker ps --all --quiet") == ""

    machine.install_unit(
        "web.service.d/limits.conf",
        "[Service]\nMemoryMax=60M\nMemorySwapMax=0\nTasksMax=25\nCPUQuota=40%\n",
    )
    machine.run("systemctl reset-failed web; systemctl start web")
    assert chosen(machine) == "move"
    assert kinds(machine) == {"domain"}
    assert limits(machine, "/system.slice/web.service") == {
        "memory.max": str(60 << 20), "pids.max": "25", "cpu.max": "40000 100000",
    }  # fmt: skip
    assert ask(machine, OPENS_FORBIDDEN) == 0
    assert ask(machine, EATS.format("100M")) == ATE_TOO_MUCH
    assert ask(machine, FORKS) != 0


@pytest.mark.long
def test_without_delegation_operations_of_systemd_leave_limits_in_force(machine: Machine) -> None:
    hooks = ("ExecStartPost=true", "ExecReload=true", "ExecStop=true", "Delegate=no", "OOMPolicy=continue")
    machine.install_unit("web.service", unit(LISTENS, service=(*PATIENT, *hooks)))
    machine.run("systemctl start web")

    assert chosen(machine) == "move"
    machine.run("systemctl set-property --runtime web MemoryMax=50M; systemctl daemon-reload; systemctl reload web")
    assert kinds(machine) == {"domain"}
    assert ask(machine, EATS.format("100M")) == ATE_TOO_MUCH
    machine.run("systemctl stop web; systemctl revert web")
    assert machine.show("web", "Result") == "success"


@pytest.mark.long
def test_a_transient_unit_gets_a_hint_about_delegate(machine: Machine) -> None:
    options = "--quiet --unit=web --property=Type=notify --property=NotifyAccess=all --property=TimeoutStartSec=240"
    command = f"busybox:musl sh -c {shlex.quote(TRAP)}"

    machine.run(f"systemd-run {options} --property=Delegate=yes systemd-docker run --rm --name web -m 64m {command}")
    assert chosen(machine) == "parent"
    assert kinds(machine) == {"domain"}
    assert "Delegate=yes" not in " ".join(lines(machine, "systemd-docker"))
    machine.run("systemctl stop web")

    machine.run(f"systemd-run {options} systemd-docker run --rm --name web {command}")
    assert chosen(machine) == "move"
    assert "--property=Delegate=yes" in " ".join(lines(machine, "systemd-docker"))
    machine.run("systemctl stop web")
