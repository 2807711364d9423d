"""Read-only mounts are as read-only as with `docker run`, mounts below them included; cgroup files too."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from integration.harness import images
from integration.harness.machine import Spec, poll
from integration.inside import gate
from integration.words.engine import configure
from integration.words.journal import chosen, lines
from integration.words.processes import leader
from integration.words.units import TRAP, unit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from integration.harness.machine import Machine

pytestmark = [
    pytest.mark.integration,
    pytest.mark.machines(Spec("trixie"), Spec("forky"), Spec("bookworm", "systemd")),
]

TRIES = f"touch /a/sub/x 2>/dev/null && echo writable || echo read-only; {TRAP}"
BIND = "--mount type=bind,src=/srv/a,dst=/a,readonly,bind-propagation=rprivate"
OLD_CLIENT = "Environment=DOCKER_API_VERSION=1.43"

SURE = [
    # docker-run's options, a line of the unit, whether a runtime that the engine does not list loses nothing
    ("-v /srv/a:/a:ro", "", False),
    ("-v /srv/link:/a:ro", "", False),
    ("-v /srv/a:/a:ro,rslave", "", False),
    ("-v /:/host:ro,rslave -v /srv/a:/a:ro", "", False),
    ("-v /srv/a:/a:ro", OLD_CLIENT, True),
    (BIND, "", False),
    (f"{BIND},bind-recursive=enabled", "", False),
    (f"{BIND},bind-recursive=disabled", "", True),
    (f"{BIND},bind-recursive=writable", "", True),
    (f"{BIND},bind-recursive=readonly", "", False),
    ("-v data:/a:ro", "", False),
    ("-v data:/a:ro", OLD_CLIENT, False),
    ("--mount src=data,dst=/a,readonly", "", False),
    ("--volumes-from plain:ro", "", False),
    ("--volumes-from read-only", "", False),
    ("--volumes-from plain", "", True),
    ("--read-only -v /srv/a:/a", "", True),
    ("-v /srv/plain:/a:ro", "", True),
    ("-v /srv/a/sub:/a/sub:ro", "", True),
]


@pytest.fixture
def submounts(machine: Machine) -> Iterator[None]:
    """A directory and a volume with a file system mounted below each; containers that have the directory."""
    directories = ("/srv/a/sub", "/var/lib/docker/volumes/data/_data/sub")
    machine.run("docker volume create data; mkdir -p /srv/plain/sub; ln -sfn a /srv/link")
    for directory in directories:
        machine.run(f"mkdir -p {directory}; mount -t tmpfs tmpfs {directory}")
    machine.run("docker create --name plain -v /srv/a:/a busybox:musl")
    machine.run("docker create --name read-only -v /srv/a:/a:ro busybox:musl")
    yield
    for directory in directories:
        machine.run(f"umount {directory}")
    machine.run("docker rm plain read-only; docker volume rm data; rm -rf /srv/a /srv/plain /srv/link")


@pytest.mark.usefixtures("submounts")
@pytest.mark.machines(Spec("trixie"), Spec("forky"))
@pytest.mark.parametrize(("options", "line", "by_name"), SURE)
def test_a_mount_is_as_read_only_as_dockers(machine: Machine, options: str, line: str, *, by_name: bool) -> None:
    api = f"{line.removeprefix('Environment=')} " if line else ""
    command = "touch /a/sub/x 2>/dev/null && echo writable || echo read-only"
    docker = machine.run(f"{api}docker run --rm {options} busybox:musl sh -c '{command}'").splitlines()[-1]

    machine.install_unit("web.service", unit(TRIES, options=f"--rm --name web {options}", service=(line,)))
    machine.run("systemctl start web")

    assert lines(machine)[0] == docker
    assert chosen(machine) == ("parent" if by_name else "move")
    machine.run("systemctl stop web")
    if not by_name:
        said = "\n".join(lines(machine, "systemd-docker"))
        assert "systemd-docker-runc in daemon.json" in said
        assert "with a runtime that the engine does not list" in said


@pytest.mark.usefixtures("submounts")
def test_an_engine_without_recursive_read_only_mounts_loses_none(machine: Machine) -> None:
    """20.10, by the runtime in daemon.json, which the newer ones take as well when there is something to lose."""
    configure(machine, runtimes={"systemd-docker-runc": {"path": "/usr/local/bin/systemd-docker-runc"}})
    command = "touch /a/sub/x 2>/dev/null && echo writable || echo read-only"
    docker = machine.run(f"docker run --rm -v /srv/a:/a:ro busybox:musl sh -c '{command}'")
    machine.install_unit("web.service", unit(TRIES, options="--rm --name web -v /srv/a:/a:ro"))
    machine.run("systemctl start web")

    assert lines(machine)[0] == docker == ("writable" if machine.spec.suite == "bookworm" else "read-only")
    assert chosen(machine) == "parent"
    assert machine.run("docker inspect --format '{{.HostConfig.Runtime}}' web") == "systemd-docker-runc"
    machine.run("systemctl stop web")
    configure(machine)


@pytest.mark.usefixtures("submounts")
@pytest.mark.machines(Spec("trixie"))
def test_where_it_has_to_be_there_it_is_refused_with_the_remedy(machine: Machine) -> None:
    options = "--rm --name web -v /srv/a:/a:ro"
    machine.install_unit("web.service", unit(TRIES, own="--adopt=parent", options=options))
    machine.expect_journal("would stay writable below the read-only '/srv/a'")

    assert machine.attempt("systemctl start web").returncode != 0

    assert machine.show("web", "ExecMainStatus") == "125"
    assert any("systemd-docker-runc in daemon.json" in line for line in lines(machine, "systemd-docker"))
    machine.run("systemctl reset-failed web")


@pytest.mark.usefixtures("submounts")
@pytest.mark.machines(Spec("trixie"))
def test_a_dry_run_names_the_mount_and_the_remedy(machine: Machine) -> None:
    command = "/usr/local/bin/systemd-docker --dry-run run -v /srv/a:/a:ro busybox:musl"
    machine.install_unit("dry.service", f"[Service]\nType=oneshot\nDelegate=yes\nExecStart={command}\n")

    machine.run("systemctl start dry")

    shown = lines(machine, "systemd-docker")
    index = next(number for number, line in enumerate(shown) if line.startswith("adoption: "))
    assert shown[index].startswith("adoption: move, '/srv/a/sub' would stay writable below the read-only '/srv/a'")
    assert "systemd-docker-runc in daemon.json" in shown[index + 1]


@pytest.mark.machines(Spec("trixie"), Spec("forky"))
def test_a_container_that_was_made_before_there_was_a_mount_is_not_started_again(machine: Machine) -> None:
    machine.run("mkdir -p /srv/b/sub")
    machine.install_unit("web.service", unit(TRAP, options="--name web -v /srv/b:/b:ro"))
    machine.run("systemctl start web; systemctl stop web; mount -t tmpfs tmpfs /srv/b/sub")
    machine.expect_journal("cannot start container 'web': it was created with the runtime")

    assert machine.attempt("systemctl start web").returncode != 0

    assert any("--replace" in line for line in lines(machine, "systemd-docker"))
    machine.run(
        "systemctl reset-failed web; docker rm web; umount /srv/b/sub; systemctl start web; systemctl stop web"
    )
    machine.run("docker rm web; rm -r /srv/b")


@pytest.mark.machines(Spec("trixie"))
def test_a_mount_that_comes_between_the_plan_and_the_start_ends_the_start(own_machine: Machine) -> None:
    """The start is held at a gate in front of the engine; the next one knows of the mount."""
    machine = own_machine
    machine.copy(Path(gate.__file__), "/srv/gate.py")
    machine.run("mkdir -p /srv/d/sub /run/gate; echo 'request POST .*/containers/create' >/run/gate/shut")
    command = "python3 /srv/gate.py /run/gate/sock /run/docker.sock /run/gate"
    machine.run(f"systemd-run --quiet --unit=gate --service-type=notify {command}")
    behind = "Environment=DOCKER_HOST=unix:///run/gate/sock"
    machine.install_unit("web.service", unit(TRAP, options="--rm --name web -v /srv/d:/d:ro", service=(behind,)))
    machine.run("systemctl start --no-block web")
    poll(lambda: machine.attempt("test -s /run/gate/held").returncode == 0, what="the create request")
    machine.expect_journal("'/srv/d/sub' was mounted below '/srv/d' since the start was planned")

    machine.run("mount -t tmpfs tmpfs /srv/d/sub; rm /run/gate/shut")

    poll(lambda: machine.show("web", "ActiveState") == "failed", what="the start to fail")
    assert machine.show("web", "ExecMainStatus") == "125"
    assert machine.run("docker ps --all --quiet") == ""
    machine.run("systemctl reset-failed web; systemctl start web")
    assert chosen(machine) == "move"
    machine.run("systemctl stop web gate; umount /srv/d/sub; rm -r /srv/d /run/gate")


@pytest.mark.machines(Spec("trixie"), Spec("forky"))
def test_a_volume_that_the_engine_mounts_with_all_below_is_known_by_its_device(machine: Machine) -> None:
    """With private mounts: else the engine's umount of the volume takes the mounts below the device along."""
    machine.run("mkdir -p /srv/c/sub; mount -t tmpfs c /srv/c; mount --make-private /srv/c; mkdir -p /srv/c/sub")
    machine.run("mount -t tmpfs tmpfs /srv/c/sub; mount --make-private /srv/c/sub")
    machine.run("docker volume create -o type=none -o o=rbind -o device=/srv/c bound")
    machine.install_unit("web.service", unit(TRIES, options="--rm --name web -v bound:/a:ro"))
    machine.run("systemctl start web")

    assert lines(machine)[0] == "read-only"
    assert chosen(machine) == "move"
    machine.run("systemctl stop web; docker volume rm bound; umount -R /srv/c; rm -r /srv/c")


@pytest.mark.machines(Spec("trixie"))
def test_with_remapped_users_nothing_is_lost_either(own_machine: Machine) -> None:
    machine = own_machine
    configure(machine, **{"userns-remap": "default"})
    images.load_busybox(machine)
    machine.run("mkdir -p /srv/a/sub; mount -t tmpfs -o mode=1777 tmpfs /srv/a/sub")
    machine.install_unit("web.service", unit(TRIES, options="--rm --name web -v /srv/a:/a:ro"))
    machine.run("systemctl start web")

    assert lines(machine)[0] == "read-only"
    assert chosen(machine) == "move"
    machine.run("systemctl stop web")


TREE = "-v /sys/fs/cgroup:/sys/fs/cgroup:rw"
LEAVES = "mkdir /sys/fs/cgroup/away; echo $$ >/sys/fs/cgroup/away/cgroup.procs && echo left"


@pytest.mark.machines(Spec("trixie"))
def test_a_payload_that_takes_the_hosts_cgroups_for_its_own_is_refused(machine: Machine) -> None:
    """Unless the kernel holds it: nsdelegate, with which systemd mounts cgroups on a host of its own."""
    machine.install_unit("web.service", unit(f"{LEAVES}; {TRAP}", options=f"--rm --name web {TREE}"))
    machine.expect_journal("can leave web.service")

    assert machine.attempt("systemctl start web").returncode != 0

    assert any("--cgroupns=host" in line for line in lines(machine, "systemd-docker"))
    machine.run("systemctl reset-failed web; ! test -e /sys/fs/cgroup/away")
    machine.install_unit("host.service", unit(TRAP, options=f"--rm --name host --cgroupns=host {TREE}"))
    machine.run("systemctl start host; systemctl stop host")


@pytest.mark.long
@pytest.mark.machines(Spec("trixie-vm"))
def test_the_kernel_holds_a_payload_that_takes_the_hosts_cgroups_for_its_own(machine: Machine) -> None:
    service = ("TimeoutStartSec=240", "TimeoutStopSec=240")
    text = unit(f"{LEAVES}; {TRAP}", options=f"--rm --name web {TREE}", service=service)
    machine.install_unit("web.service", text)
    machine.run("systemctl start web")

    assert "/system.slice/web.service/" in machine.run(f"cat /proc/{leader(machine)}/cgroup")
    assert "left" not in lines(machine)
    machine.run("systemctl stop web; rmdir /sys/fs/cgroup/away")
