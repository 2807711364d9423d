"""Engines with another setup: other runtimes, user namespaces, rootless engines, units of a user's manager."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from integration.harness import images
from integration.harness.machine import Spec, poll
from integration.words.cgroups import kinds, limits, owner_of, place
from integration.words.engine import configure
from integration.words.journal import chosen, lines
from integration.words.processes import leader, running
from integration.words.units import ATE_TOO_MUCH, EATS, PATIENT, TRAP, unit

if TYPE_CHECKING:
    from integration.harness.machine import Machine

pytestmark = [
    pytest.mark.integration,
    pytest.mark.machines(Spec("trixie"), Spec("trixie", "cgroupfs")),
]

OTHER = {"other": {"path": "/usr/local/bin/other"}}
LIAR = {"liar": {"path": "/usr/local/bin/liar"}}
LIES = r"""#!/bin/sh
bundle=$(printf '%s\n' "$@" | sed -n '/^--bundle$/{n;p}')
[ ! "$bundle" ] || sed -i -E 's#("cgroupsPath":")[^"]*/([0-9a-f]{64})#\1/\2#' "$bundle/config.json"
exec runc "$@"
"""
"""A runtime that makes the container's cgroup elsewhere than the engine asked."""

CRUN = {"crun": {"path": "/usr/bin/crun"}}


def assert_adopted(machine: Machine, way: str, own: str, flag: str) -> None:
    machine.install_unit("web.service", unit(TRAP, own=own, options=f"--rm --name web {flag}"))
    machine.run("systemctl start web")
    assert chosen(machine) == way
    assert owner_of(machine, leader(machine), "unit") == "unit"
    machine.run("docker exec --detach web sleep 2222")
    assert owner_of(machine, "-x -f 'sleep 2222'", "unit") == "unit"
    if way == "parent":
        assert "sleep 2222" in machine.run("docker top web; docker pause web; docker unpause web")
    machine.run("systemctl stop web")
    assert machine.show("web", "Result") == "success"


@pytest.mark.parametrize("own", ["", "--adopt=move"])
def test_another_runtime_is_the_containers_own(machine: Machine, own: str) -> None:
    """With the systemd driver, such a container can only be moved."""
    machine.write("/usr/local/bin/other", '#!/bin/sh\nexec runc "$@"\n', mode="755")
    configure(machine, runtimes=OTHER)

    assert_adopted(
        machine, "move" if own or machine.spec.cgroup_driver == "systemd" else "parent", own, "--runtime other"
    )


@pytest.mark.machines(Spec("trixie", "cgroupfs"))
def test_a_container_that_is_not_where_it_should_be_does_not_run_on(machine: Machine) -> None:
    machine.write("/usr/local/bin/liar", LIES, mode="755")
    configure(machine, runtimes=LIAR)
    machine.install_unit("web.service", unit(TRAP, options="--rm --name web --runtime liar"))
    machine.expect_journal("the engine has put the container into '/[0-9a-f]{64}' instead of web.service's cgroup")

    assert machine.attempt("systemctl start web").returncode != 0

    assert machine.show("web", "ExecMainStatus") == "125"
    assert machine.run("docker ps --all --quiet") == ""
    assert any("--adopt=none" in line for line in lines(machine, "systemd-docker"))
    machine.run("systemctl reset-failed web")


@pytest.mark.machines(Spec("trixie", "cgroupfs", "hybrid"))
def test_crun_works_with_the_cgroupfs_driver(machine: Machine) -> None:
    """With cgroup v2 it needs controllers, which machines of nspawn do not have."""
    configure(machine, runtimes=CRUN)

    assert_adopted(machine, "parent", "", "--runtime crun")


@pytest.mark.machines(Spec("trixie"))
@pytest.mark.parametrize("own", ["", "--adopt=move"])
def test_crun_with_the_systemd_driver_is_refused(machine: Machine, own: str) -> None:
    configure(machine, runtimes=CRUN)
    machine.install_unit("web.service", unit(TRAP, own=own, options="--rm --name web --runtime crun"))
    machine.expect_journal("docker exec fails" if own else "--runtime leaves no way past")

    assert machine.attempt("systemctl start web").returncode != 0

    assert machine.show("web", "ExecMainStatus") == "125"
    assert any("native.cgroupdriver=cgroupfs" in line for line in lines(machine, "systemd-docker"))
    machine.run("systemctl reset-failed web")


def test_an_engine_that_remaps_users(own_machine: Machine) -> None:
    machine = own_machine
    configure(machine, **{"userns-remap": "default"})
    images.load_busybox(machine)

    for flag in ("", "--userns=host"):
        assert_adopted(machine, "parent", "", flag)
        assert_adopted(machine, "move", "--adopt=move", flag)
    machine.install_unit("web.service", unit(TRAP))
    machine.run("systemctl start web")
    assert machine.run(f"cat /proc/{leader(machine)}/uid_map").split()[1] != "0"


ROOTLESS = """
[Service]
Type=notify
NotifyAccess=all
Delegate=yes
KillMode=mixed
TimeoutStartSec=300
Environment=PATH=/usr/sbin:/usr/bin:/sbin:/bin
ExecStart=/usr/share/docker.io/contrib/dockerd-rootless.sh --iptables=false $ARGUMENTS
"""
"""The part of dockerd-rootless-setuptool.sh's unit that is needed."""

USERS_UNIT = "/user.slice/user-1000.slice/user@1000.service/app.slice/web.service"

AS_SYSTEMS = "setpriv --reuid=1000 --regid=1000 --init-groups env HOME=/home/user XDG_RUNTIME_DIR=/run/user/1000"
"""Run commands as the user: with the system's engine; with the user's own."""

AS_USER = f"{AS_SYSTEMS} DOCKER_HOST=unix:///run/user/1000/docker.sock"


@pytest.mark.machines(Spec("trixie"), Spec("bookworm"))
def test_a_users_own_engine_is_for_the_users_units_only(own_machine: Machine) -> None:
    machine = own_machine
    users_engine(machine)
    below = f"{USERS_UNIT}/payload"
    command = "sleep 1111 & trap 'echo bye; exit 0' TERM; while true; do sleep 60 & wait; done"
    for service, flag in ((("Delegate=yes",), ""), ((), "--user 33")):
        users_unit(machine, unit(command, options=f"--rm --name web {flag}", service=service))
        machine.run(f"{AS_USER} systemctl --user start web")

        pid = machine.run(f"{AS_USER} docker inspect --format '{{{{.State.Pid}}}}' web")
        assert place(machine, pid) == place(machine, running(machine, "sleep 1111")) == below
        assert machine.run(f"{AS_USER} systemctl --user show -P MainPID web") == pid
        assert machine.run(f"{AS_USER} docker exec web echo hello") == "hello"
        machine.run(f"{AS_USER} systemctl --user stop web")
        assert machine.run(f"{AS_USER} systemctl --user show -P Result web") == "success"
        assert machine.run(f"{AS_USER} docker ps --all --quiet; find /sys/fs/cgroup -name web.service") == ""
    assert lines(machine).count("bye") == 2

    host = "Environment=DOCKER_HOST=unix:///run/user/1000/docker.sock"
    machine.install_unit("web.service", unit(TRAP, service=(host,)))
    assert machine.attempt("systemctl start web").returncode != 0
    assert machine.show("web", "ExecMainStatus") == "125"
    said = "\n".join(lines(machine, "systemd-docker"))
    assert "only into units of its user's manager" in said
    assert "--adopt=none" in said


def test_the_systems_engine_runs_containers_in_a_users_units(own_machine: Machine) -> None:
    """The container runs as root, which the user's manager may not signal: the engine does."""
    machine = own_machine
    machine.run("useradd --create-home --groups docker user; loginctl enable-linger user")
    machine.run("systemctl start user@1000")
    users_unit(machine, unit(TRAP, service=("Delegate=yes",)))
    machine.run(f"{AS_SYSTEMS} systemctl --user start web")

    assert place(machine, leader(machine)).startswith(f"{USERS_UNIT}/")
    assert machine.run(f"{AS_SYSTEMS} systemctl --user show -P MainPID web") != leader(machine)
    assert "may not signal what the system's engine runs" in " ".join(lines(machine, "systemd-docker"))
    machine.run(f"{AS_SYSTEMS} systemctl --user stop web")
    assert machine.run("docker ps --all --quiet; find /sys/fs/cgroup -name web.service") == ""
    assert machine.run(f"{AS_SYSTEMS} systemctl --user is-failed web || true") == "inactive"
    assert "has not stopped in time" not in " ".join(lines(machine, "systemd-docker"))

    users_unit(machine, unit(TRAP, service=("Delegate=yes", "ExecStopPost=-/usr/local/bin/systemd-docker rm")))
    machine.run(f"{AS_SYSTEMS} systemctl --user start web")
    machine.run(f"kill -KILL $({AS_SYSTEMS} systemctl --user show -P MainPID web)")
    poll(lambda: machine.run("docker ps --all --quiet") == "", what="the helper to remove the container")

    users_unit(machine, unit(TRAP, own="--adopt=move", service=("Delegate=yes",)))
    assert machine.attempt(f"{AS_SYSTEMS} systemctl --user start web").returncode != 0
    assert "only its rootless engine's containers" in " ".join(lines(machine, "systemd-docker"))


@pytest.mark.machines(Spec("trixie"), Spec("bookworm"))
def test_a_users_own_engine_without_cgroups_is_refused(own_machine: Machine) -> None:
    """With cgroupfs, a rootless engine's containers are in the cgroup of the engine's own unit."""
    machine = own_machine
    users_engine(machine, "--exec-opt native.cgroupdriver=cgroupfs")
    users_unit(machine, unit(TRAP, service=("Delegate=yes",)))

    assert machine.attempt(f"{AS_USER} systemctl --user start web").returncode != 0

    said = "\n".join(lines(machine, "systemd-docker"))
    assert "the engine makes no cgroups for its containers: its driver is 'none'" in said
    assert 'Leave "native.cgroupdriver" out of daemon.json' in said
    assert machine.run(f"{AS_USER} docker ps --all --quiet") == ""


@pytest.mark.machines(Spec("trixie", "cgroupfs", "hybrid"), Spec("bookworm", "cgroupfs", "hybrid"))
def test_a_users_own_engine_is_refused_with_cgroup_v1(own_machine: Machine) -> None:
    machine = own_machine
    users_engine(machine)
    users_unit(machine, unit(TRAP, service=("Delegate=yes",)))

    assert machine.attempt(f"{AS_USER} systemctl --user start web").returncode != 0

    said = "\n".join(lines(machine, "systemd-docker"))
    assert "only with cgroup v2" in said
    assert "--adopt=none" in said
    users_unit(machine, unit(TRAP, own="--adopt=none"))
    machine.run(f"{AS_USER} systemctl --user start web; {AS_USER} systemctl --user stop web")
    assert machine.run(f"{AS_USER} systemctl --user show -P Result web") == "success"
    assert machine.run(f"{AS_USER} docker ps --all --quiet") == ""


@pytest.mark.long
@pytest.mark.machines(Spec("trixie-vm"))
def test_a_users_own_engine_has_limits_at_both_levels_where_it_has_controllers(own_machine: Machine) -> None:
    machine = own_machine
    users_engine(machine)
    above = ("MemoryMax=200M", "CPUQuota=80%", "TasksMax=90")
    own_limits = {"memory.max": str(64 << 20), "pids.max": "40", "cpu.max": "50000 100000"}
    options = "--rm --name web -m 64m --cpus .5 --pids-limit 40"
    users_unit(machine, unit(TRAP, options=options, service=(*PATIENT, *above, "Delegate=yes")))
    machine.run(f"{AS_USER} systemctl --user start web")

    pid = machine.run(f"{AS_USER} docker inspect --format '{{{{.State.Pid}}}}' web")
    own = place(machine, pid)
    assert own.startswith(f"{USERS_UNIT}/payload.slice:docker:")
    assert machine.run(f"{AS_USER} systemctl --user show -P MainPID web") == pid
    assert kinds(machine, f"/sys/fs/cgroup{USERS_UNIT}") == {"domain"}
    assert limits(machine, own) == own_limits
    assert limits(machine, USERS_UNIT) == {
        "memory.max": str(200 << 20), "pids.max": "90", "cpu.max": "80000 100000",
    }  # fmt: skip
    machine.run(f"{AS_USER} docker exec --detach web sleep 2222")
    assert place(machine, running(machine, "sleep 2222")) == own
    assert "sleep 2222" in machine.run(f"{AS_USER} docker top web")
    is_frozen = f"grep -x 'frozen 1' '/sys/fs/cgroup{own}/cgroup.events'"
    machine.run(f"{AS_USER} docker pause web; {is_frozen}; {AS_USER} docker unpause web")
    assert eats(machine, "100M") == ATE_TOO_MUCH
    machine.run(f"{AS_USER} systemctl --user set-property --runtime web MemoryMax=40M")
    assert limits(machine, own) == own_limits
    assert eats(machine, "50M") == ATE_TOO_MUCH
    machine.run(f"{AS_USER} systemctl --user stop web; {AS_USER} systemctl --user revert web")

    users_unit(machine, unit(TRAP, own="--adopt=move", options=options, service=(*PATIENT, "Delegate=yes")))
    machine.run(f"{AS_USER} systemctl --user start web")
    pid = machine.run(f"{AS_USER} docker inspect --format '{{{{.State.Pid}}}}' web")
    assert place(machine, pid) == f"{USERS_UNIT}/payload"
    assert limits(machine, f"{USERS_UNIT}/payload") == own_limits
    machine.run(f"{AS_USER} systemctl --user stop web")

    users_unit(machine, unit(TRAP, options=options, service=PATIENT))
    assert machine.attempt(f"{AS_USER} systemctl --user start web").returncode != 0
    said = "\n".join(lines(machine, "systemd-docker"))
    assert "would lose its limits cpu.max '50000 100000', memory.max" in said
    assert "Set Delegate=yes in the unit" in said
    assert machine.run(f"{AS_USER} docker ps --all --quiet") == ""


def eats(machine: Machine, size: str) -> int:
    """Let an exec'd process take memory; return its exit status."""
    return machine.attempt(f"{AS_USER} docker exec web {EATS.format(size)}").returncode


def users_unit(machine: Machine, text: str) -> None:
    machine.write("/home/user/.config/systemd/user/web.service", text)
    machine.run(f"chown -R user: /home/user/.config; {AS_USER} systemctl --user daemon-reload")


def users_engine(machine: Machine, arguments: str = "") -> None:
    """Make a user with a manager, and in that an engine with busybox:musl."""
    machine.run("test -e /dev/fuse || mknod /dev/fuse c 10 229; chmod 666 /dev/net/tun /dev/fuse")
    machine.run("useradd --create-home user; loginctl enable-linger user; systemctl start user@1000")
    machine.write("/home/user/.config/systemd/user/docker.service", ROOTLESS)
    settings = f"{AS_USER} systemctl --user set-environment ARGUMENTS='{arguments}'"
    machine.run(f"chown -R user: /home/user/.config; {settings}; {AS_USER} systemctl --user start docker")
    image = images.busybox(machine.spec.suite).read_bytes()
    machine.run(f"{AS_USER} docker import --change 'CMD [\"sh\"]' - {images.BUSYBOX}", stdin=image)
