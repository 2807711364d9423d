"""Each way of adoption: where a container's processes are, what they may do, and the cells of the adoption matrix."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING

import pytest

from integration.harness.machine import Spec, poll
from integration.harness.root import SUITES
from integration.tables.matrix import CELLS, MOVE
from integration.words.cgroups import owner_of, place
from integration.words.engine import set_live_restore
from integration.words.journal import answer, chosen, lines
from integration.words.matrix_cell import examine
from integration.words.processes import leader, resting, running
from integration.words.units import HOST_TOOLS, OPENS_FORBIDDEN, TRAP, unit

if TYPE_CHECKING:
    from typing import TypeVar

    from integration.harness.machine import Machine

    T = TypeVar("T")

pytestmark = [
    pytest.mark.integration,
    pytest.mark.machines(Spec("trixie"), Spec("trixie", "cgroupfs"), Spec("bookworm"), Spec("bookworm", "systemd")),
]


@pytest.mark.machines(*dict.fromkeys(spec for spec, _ in CELLS if not SUITES[spec.suite].has_kernel))
@pytest.mark.parametrize("words", ["", MOVE])
def test_a_cell_of_the_matrix(machine: Machine, words: str) -> None:
    examine(machine, words)


@pytest.mark.parametrize("own", ["", "--adopt=move", "--adopt=none"])
def test_a_root_container_cannot_open_a_forbidden_device(machine: Machine, own: str) -> None:
    machine.install_unit("web.service", unit(OPENS_FORBIDDEN, own=own))
    machine.run("systemctl start web")

    assert "Operation not permitted" in answer(machine)
    if own == "--adopt=move":
        assert chosen(machine) == "move"
        assert place(machine, leader(machine)) == "/system.slice/web.service/payload"


def test_a_moved_container_can_open_the_devices_it_was_given(machine: Machine) -> None:
    options = "--rm --name web --device-cgroup-rule='c 10:229 rw'"
    machine.install_unit("web.service", unit(OPENS_FORBIDDEN, own="--adopt=move", options=options))
    machine.run("systemctl start web")

    assert "Operation not permitted" not in answer(machine)


THREADS = """
import os, threading

def spin():
    while True:
        threading.Thread(target=int).start()
        if not (child := os.fork()):
            os._exit(0)
        os.waitpid(child, 0)

for _ in range(8):
    threading.Thread(target=spin).start()
"""
STORM = (
    "for i in 1 2 3 4; do (while :; do (exec true); done) & done;"
    " for i in 1 2 3 4; do (while :; do (true & true & wait); done) & done;"
    " exec python3 -W ignore /run/storm.py"
)


def test_a_storm_of_forks_and_threads_is_moved_whole_and_nothing_else_is(machine: Machine) -> None:
    machine.write("/run/storm.py", THREADS)
    machine.run("docker run --detach --rm --name neighbour busybox:musl sleep 300")
    before = place(machine, leader(machine, "neighbour"))
    options = f"--rm --init --name web --volume /run/storm.py:/run/storm.py {HOST_TOOLS}"
    machine.install_unit("web.service", unit(STORM, own="--adopt=move", options=options))

    machine.run("systemctl start web")

    container = machine.run("docker inspect --format '{{.Id}}' web")
    assert chosen(machine) == "move"
    left = machine.run(f"cat $(find /sys/fs/cgroup -path '*{container}*' -name cgroup.procs) </dev/null")
    assert left == ""
    members = f"cat /sys/fs/cgroup{place(machine, leader(machine))}/cgroup.procs"
    assert len(machine.run(members).split()) > 8, "the storm continues where it was moved to"
    assert place(machine, leader(machine, "neighbour")) == before
    machine.run("docker rm --force neighbour; systemctl stop web; rm /run/storm.py")


@pytest.mark.machines(Spec("trixie", "cgroupfs"), Spec("bookworm", "systemd"))
def test_bystanders_and_the_engine_are_not_moved(machine: Machine) -> None:
    """They are where a sweep by parent cgroup, by PID namespace, or by a prefix of the name would find them."""
    parent = "/docker" if machine.spec.cgroup_driver == "cgroupfs" else "/system.slice"
    container = machine.run("docker create --pid=host --name web busybox:musl sleep 6666")
    places = [parent, *(f"{parent}/{name}" for name in (container[:12], f"{container}-other", f"docker-{container}"))]
    standing = {bystander(machine, one): one for one in places}
    engine = machine.show("docker.service", "MainPID")
    where = place(machine, engine)
    if parent == "/docker":
        machine.run(f"echo {engine} >/sys/fs/cgroup{parent}/cgroup.procs")
    standing[engine] = place(machine, engine)
    machine.install_unit("web.service", unit("sleep 6666", own="--adopt=move", options="--name web"))

    machine.run("systemctl start web")

    pid = leader(machine)
    assert place(machine, pid) == "/system.slice/web.service/payload"
    inside = machine.run(f"nsenter --target={pid} --pid --mount sleep 300 >/dev/null 2>&1 & echo $!")
    standing[inside] = place(machine, inside)
    machine.run("docker exec --detach web sleep 2222")
    assert owner_of(machine, "-x -f 'sleep 2222'", "unit") == "unit"
    assert {one: place(machine, one) for one in standing} == standing
    members = machine.run("cat /sys/fs/cgroup/system.slice/web.service/payload/cgroup.procs").split()
    assert set(members) == {pid, running(machine, "sleep 2222")}
    machine.run("systemctl stop web; docker rm web")
    machine.run(f"kill {' '.join(set(standing) - {engine})}")
    machine.run(f"echo {engine} >/sys/fs/cgroup{where}/cgroup.procs")
    for one in places[1:]:
        poll(functools.partial(is_removed, machine, one), what=f"{one} to be empty")


def is_removed(machine: Machine, path: str) -> bool:
    return machine.attempt(f"rmdir /sys/fs/cgroup{path}").returncode == 0


def bystander(machine: Machine, path: str) -> str:
    directory = f"/sys/fs/cgroup{path}"
    machine.run(f"mkdir -p {directory}")
    return machine.run(f"sleep 300 >/dev/null 2>&1 & echo $! >{directory}/cgroup.procs; echo $!")


@pytest.mark.machines(Spec("trixie"), Spec("bookworm"))
def test_a_moved_container_is_moved_again_whenever_it_is_started_again(machine: Machine) -> None:
    set_live_restore(machine, enabled=True)
    machine.install_unit("web.service", unit(OPENS_FORBIDDEN, own="--adopt=move", service=ALWAYS))
    machine.run("systemctl start web")
    assert_moved(machine, leader(machine), 1)

    machine.run("docker restart web")
    restarted = main_pid(machine)
    assert_moved(machine, restarted, 2)

    resting(machine)
    machine.run("systemctl restart docker")
    assert leader(machine) == restarted
    assert_moved(machine, restarted, 3)

    machine.run("docker restart web")
    again = main_pid(machine)
    assert len({restarted, again}) == 2
    assert_moved(machine, again, 4)

    set_live_restore(machine, enabled=False)
    machine.run("systemctl restart docker")
    poll(lambda: machine.show("web", "NRestarts") == "1", what="the service manager to start it again")
    poll(lambda: machine.show("web", "ActiveState") == "active", what="the unit to be active again")
    assert_moved(machine, main_pid(machine), 5)
    machine.run("systemctl stop web")
    assert machine.show("web", "Result") == "success"


ALWAYS = ("Restart=always", "RestartSec=100ms")


def main_pid(machine: Machine) -> str:
    """Wait until the leader is the unit's main process; return its PID."""
    poll(lambda: machine.show("web", "MainPID") == leader(machine), what="the leader to be the main process")
    return leader(machine)


def assert_moved(machine: Machine, pid: str, times: int) -> None:
    """Check that it and later processes are in the unit, and still may not open what the engine forbids."""
    assert place(machine, pid) == "/system.slice/web.service/payload"
    machine.run(f"docker exec --detach web sleep 22{times}")
    assert owner_of(machine, f"-x -f 'sleep 22{times}'", "unit") == "unit"
    machine.run("docker kill --signal=HUP web")
    poll(lambda: lines(machine).count("done") == times, what="the payload's answer")
    assert "\n".join(lines(machine)).count("Operation not permitted") == times


@pytest.mark.machines(Spec("bookworm", "systemd"))
def test_an_old_engine_uses_the_runtime_that_its_configuration_lists(machine: Machine) -> None:
    with_runtime(machine, "/usr/local/bin/systemd-docker-runc")
    machine.install_unit("web.service", unit(TRAP))
    machine.run("systemctl start web")

    assert chosen(machine) == "parent"
    assert place(machine, leader(machine)).startswith("/system.slice/web.service/payload.slice:docker:")
    machine.run("docker exec --detach web sleep 1234")
    sleeper = running(machine, "sleep 1234")
    assert place(machine, sleeper).startswith("/system.slice/web.service/")
    assert "sleep 1234" in machine.run("docker top web")
    machine.run("docker pause web; docker unpause web; docker update --cpu-shares 512 web")
    machine.run("docker stats --no-stream web")


@pytest.mark.machines(Spec("bookworm", "systemd"))
def test_what_the_engine_refuses_is_done_in_the_next_way(machine: Machine) -> None:
    with_runtime(machine, "/usr/bin/runc")
    machine.expect_journal(r"invalid slice name.*; trying adoption move instead")
    machine.install_unit("web.service", unit(TRAP))
    machine.run("systemctl start web")

    assert chosen(machine) == "move"
    assert place(machine, leader(machine)) == "/system.slice/web.service/payload"
    assert machine.run("docker ps --all --quiet | wc -l") == "1"


@pytest.mark.machines(Spec("bookworm", "systemd"))
def test_a_refusal_with_no_other_way_is_the_end(machine: Machine) -> None:
    with_runtime(machine, "/usr/bin/runc")
    machine.expect_journal("cannot start container 'web': .*invalid slice name")
    machine.install_unit("web.service", unit(TRAP, own="--adopt=parent"))

    assert machine.attempt("systemctl start web").returncode != 0

    assert machine.show("web", "ExecMainStatus") == "125"
    assert machine.run("docker ps --all --quiet") == ""
    machine.run("systemctl reset-failed web")


def with_runtime(machine: Machine, path: str) -> None:
    """Have the engine list the runtime systemd-docker-runc, with some program behind the name."""
    config = {
        "exec-opts": [f"native.cgroupdriver={machine.spec.cgroup_driver}"],
        "runtimes": {"systemd-docker-runc": {"path": path}},
    }
    machine.write("/etc/docker/daemon.json", json.dumps(config))
    machine.run("systemctl kill --signal=HUP --kill-whom=main docker")
    poll(
        lambda: path in machine.run("docker info --format '{{json .Runtimes}}'"),
        what="the engine to know the runtime",
    )


@pytest.mark.machines(Spec("trixie"))
@pytest.mark.parametrize("name", ["web.service", r"web@a\x2db.service"])
def test_a_container_beside_the_unit_ends_with_a_killed_systemd_docker(machine: Machine, name: str) -> None:
    text = unit(TRAP, own="--adopt=none", options="--rm --name web --stop-timeout 2", service=("Slice=system.slice",))
    machine.install_unit("web@.service" if "@" in name else name, text)
    machine.run(f"systemctl start '{name}'")
    assert place(machine, leader(machine)).startswith("/system.slice/docker-")

    machine.run(f"systemctl kill --signal=KILL '{name}'")

    poll(lambda: machine.run("docker ps --quiet") == "", what="the container to end")
    machine.run(f"docker rm --force web; systemctl reset-failed '{name}'")


@pytest.mark.parametrize("own", ["--adopt=none", "--adopt=move"])
def test_a_container_gets_one_stop_signal_and_its_time(machine: Machine, own: str) -> None:
    command = (
        "n=0; trap 'n=$((n+1))' TERM; trap 'sleep 1; echo $n terms; exit 0' QUIT; while true; do sleep 0.1; done"
    )
    options = "--rm --name web --stop-signal SIGQUIT"
    machine.install_unit("web.service", unit(command, own=own, options=options, service=("KillMode=mixed",)))
    machine.run("systemctl start web")

    machine.run("systemctl stop web")

    assert machine.show("web", "Result") == "success"
    assert lines(machine) == ["0 terms"]
