"""Where a container's processes are and what they may do, for each way of making them part of the unit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from integration.machine import Spec, poll
from integration.test_run import TRAP, leader, unit

if TYPE_CHECKING:
    from integration.machine import Machine

pytestmark = [
    pytest.mark.integration,
    pytest.mark.machines(Spec("trixie"), Spec("trixie", "cgroupfs"), Spec("bookworm"), Spec("bookworm", "systemd")),
]

ON_HUP = "trap '{}' HUP; trap 'exit 0' TERM; while true; do sleep 60 & wait $!; done"

OPENS_FORBIDDEN = ON_HUP.format("mknod /fuse c 10 229; dd if=/fuse count=0; echo done")
"""On SIGHUP, open /dev/fuse under another name. A root container may make the file, but by the engine's device filter
not open it: EPERM. Without a filter it would be open, or ENXIO where nothing is behind it."""


def lines(machine: Machine, identifier: str = "web") -> list[str]:
    """What the payload, or another identifier, wrote since the test began."""
    machine.run("journalctl --sync")
    return [record["MESSAGE"] for record in machine.journal(f"--identifier={identifier}")]


def place(machine: Machine, pid: str) -> str:
    """The cgroup of a process in systemd's hierarchy."""
    lines = machine.run(f"cat /proc/{pid}/cgroup").splitlines()
    found = {line.split(":", 2)[1]: line.split(":", 2)[2] for line in lines}
    return found[""] if machine.spec.hierarchy == "unified" else found["name=systemd"]


def chosen(machine: Machine) -> str:
    """The way that the wrapper says it went."""
    said = " ".join(lines(machine, "systemd-docker"))
    return said.rpartition("adoption ")[2].partition(",")[0]


def answer(machine: Machine) -> str:
    """What a payload of ON_HUP says when it is asked."""
    machine.run("docker kill --signal=HUP web")
    poll(lambda: "done" in lines(machine), what="the payload's answer")
    return "\n".join(lines(machine))


MATRIX = (
    Spec("trixie"),
    Spec("trixie", "cgroupfs"),
    Spec("bookworm"),
    Spec("bookworm", "systemd"),
    Spec("trixie", "systemd", "hybrid"),
    Spec("trixie", "cgroupfs", "hybrid"),
    Spec("bookworm", "cgroupfs", "hybrid"),
    Spec("bookworm", "cgroupfs", "legacy"),
)

HEALTH = "--health-cmd 'cat /proc/self/cgroup >/health' --health-interval 1s"


def expected_strategy(spec: Spec, own: str) -> str:
    if own:
        return own.removeprefix("--adopt=")
    return "move" if spec == Spec("bookworm", "systemd") else "parent"


@pytest.mark.machines(*MATRIX)
@pytest.mark.parametrize("own", ["", "--adopt=move"])
def test_where_everybody_is_and_what_docker_can_do(machine: Machine, own: str) -> None:
    """The table of the manual's ADOPTION; with v1 and the systemd driver nothing can be moved."""
    spec, strategy = machine.spec, expected_strategy(machine.spec, own)
    moved = strategy == "move"
    if own and spec.hierarchy != "unified" and spec.cgroup_driver == "systemd":
        pytest.skip("refused: see test_v1_with_the_systemd_driver_refuses_to_move")
    command = f"sleep 1111 & {TRAP}"
    if spec.hierarchy == "legacy":
        # Nobody tells a machine's systemd that a cgroup is empty, the release agent is the host's: it sees children.
        own += " --main-pid=wrapper"
    machine.install_unit("web.service", unit(command, own=own, options=f"--rm --name web {HEALTH}"))

    machine.run("systemctl start web")

    assert chosen(machine) == strategy
    below = "/system.slice/web.service"
    assert place(machine, leader(machine)).startswith(f"{below}/" if spec.hierarchy == "unified" else below)
    assert place(machine, pid_of(machine, "sleep 1111")) == place(machine, leader(machine))
    machine.run("docker exec --detach web sleep 2222")
    exec_is_outside = moved and spec.cgroup_driver == "cgroupfs"
    assert place(machine, pid_of(machine, "sleep 2222")).startswith(below) is not exec_is_outside
    health = "docker inspect --format '{{.State.Health.Status}}' web"
    poll(lambda: machine.run(health) == "healthy", what="the healthcheck")
    if not moved or spec.hierarchy != "unified":
        assert "sleep 1111" in machine.run("docker top web")
        machine.run("docker stats --no-stream web")
        machine.run("docker pause web; docker unpause web; docker update --cpu-shares 512 web")
    machine.run("systemctl stop web")
    assert machine.show("web", "Result") == "success"


def pid_of(machine: Machine, command: str) -> str:
    return poll(lambda: machine.attempt(f"pgrep -x -f '{command}'").stdout.strip(), what=f"'{command}' to run")


@pytest.mark.machines(Spec("trixie", "systemd", "hybrid"))
def test_v1_with_the_systemd_driver_refuses_to_move(machine: Machine) -> None:
    machine.install_unit("web.service", unit(TRAP, own="--adopt=move"))
    machine.expect_journal("docker exec fails once processes were moved")

    assert machine.attempt("systemctl start web").returncode != 0

    assert machine.show("web", "ExecMainStatus") == "125"
    machine.run("systemctl reset-failed web")


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


STORMS = {
    "processes": "for i in 1 2 3 4; do (while :; do (exec true); done) & done; wait",
    "nested": "for i in 1 2 3 4 5 6 7 8; do (while :; do (true & true & wait); done) & done; wait",
}


@pytest.mark.parametrize("storm", STORMS)
def test_a_fork_storm_is_moved_whole_and_nobody_else(machine: Machine, storm: str) -> None:
    machine.run("docker run --detach --rm --name neighbour busybox:musl sleep 300")
    engine = machine.show("docker.service", "MainPID")
    before = place(machine, leader(machine, "neighbour"))
    machine.install_unit("web.service", unit(STORMS[storm], own="--adopt=move", options="--rm --init --name web"))

    machine.run("systemctl start web")

    container = machine.run("docker inspect --format '{{.Id}}' web")
    assert chosen(machine) == "move"
    left = machine.run(f"cat $(find /sys/fs/cgroup -path '*{container}*' -name cgroup.procs) </dev/null")
    assert left == ""
    assert place(machine, leader(machine, "neighbour")) == before
    assert place(machine, engine) == "/system.slice/docker.service"
    machine.run("docker rm --force neighbour; systemctl stop web")


@pytest.mark.machines(Spec("bookworm", "systemd"))
def test_an_old_engine_uses_the_runtime_that_its_configuration_lists(machine: Machine) -> None:
    with_runtime(machine, "/usr/local/bin/systemd-docker-runc")
    machine.install_unit("web.service", unit(TRAP))
    machine.run("systemctl start web")

    assert chosen(machine) == "parent"
    assert place(machine, leader(machine)).startswith("/system.slice/web.service/payload.slice:docker:")
    machine.run("docker exec --detach web sleep 1234")
    sleeper = poll(lambda: machine.attempt("pgrep -x -f 'sleep 1234'").stdout.strip(), what="the exec'd process")
    assert place(machine, sleeper).startswith("/system.slice/web.service/")
    assert "sleep 1234" in machine.run("docker top web")
    machine.run("docker pause web; docker unpause web; docker update --cpu-shares 512 web")
    machine.run("docker stats --no-stream web")


@pytest.mark.machines(Spec("bookworm", "systemd"))
def test_what_the_engine_refuses_is_done_in_the_next_way(machine: Machine) -> None:
    with_runtime(machine, "/usr/bin/runc")
    machine.expect_journal(r"invalid slice name.*, ignoring: going on with adoption move")
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
    """Let the engine list our runtime, with some program behind it."""
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
def test_a_container_beside_the_unit_ends_with_a_killed_wrapper(machine: Machine, name: str) -> None:
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
