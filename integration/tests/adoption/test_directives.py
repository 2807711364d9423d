"""Units with restricting directives: with which of them adoption works, and the error otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from integration.harness.machine import Spec, poll
from integration.words.cgroups import place
from integration.words.journal import chosen, lines
from integration.words.processes import leader
from integration.words.units import TRAP, unit

if TYPE_CHECKING:
    from integration.harness.machine import Machine

pytestmark = [pytest.mark.integration, pytest.mark.machines(Spec("trixie"), Spec("bookworm"))]

SUBGROUP = "DelegateSubgroup=supervisor"
"""systemd 254 and newer; others ignore it."""

WORK_EVERYWHERE = [
    ("PrivateDevices=yes",),
    ("NoNewPrivileges=yes",),
    ("SystemCallFilter=@system-service", "SystemCallErrorNumber=EPERM"),
    ("ProtectSystem=strict", "ProtectHome=yes", "PrivateTmp=yes"),
    ("MemoryDenyWriteExecute=yes", "RestrictRealtime=yes", "LockPersonality=yes"),
]

WORK_WITH_DELEGATION = [
    ("User=daemon", "SupplementaryGroups=docker"),
    ("DynamicUser=yes", "SupplementaryGroups=docker"),
]
"""systemd gives a delegated unit's cgroup to the unit's user."""

WORK_WITH_SUBGROUP = [*WORK_WITH_DELEGATION, ("ProtectControlGroups=yes",)]


def assert_adopted(machine: Machine, service: tuple[str, ...], own: str = "") -> None:
    if "DynamicUser=yes" in service:
        # Without libnss-systemd the bus does not know the user, and refuses it.
        machine.tolerate_journal("cannot ask systemd for the properties of web.service")
    machine.install_unit("web.service", unit(TRAP, own=own, service=service))
    machine.run("systemctl start web")
    assert place(machine, leader(machine)).startswith("/system.slice/web.service/")
    machine.run("docker exec web true")
    machine.run("systemctl stop web")
    assert machine.show("web", "Result") == "success"


@pytest.mark.parametrize("service", WORK_EVERYWHERE, ids=" ".join)
def test_directives_that_do_not_hinder_adoption(machine: Machine, service: tuple[str, ...]) -> None:
    assert_adopted(machine, service)


def test_the_cgroup_tree_is_no_part_of_a_system_that_is_protected(machine: Machine) -> None:
    assert_adopted(machine, ("ProtectSystem=strict",), own="--adopt=move")


@pytest.mark.parametrize("service", WORK_WITH_DELEGATION, ids=" ".join)
def test_a_users_cgroup_is_the_users_own(machine: Machine, service: tuple[str, ...]) -> None:
    assert_adopted(machine, ("Delegate=yes", *service))


@pytest.mark.machines(Spec("trixie"))
@pytest.mark.parametrize("service", WORK_WITH_SUBGROUP, ids=" ".join)
def test_with_a_subgroup_nothing_has_to_be_written_to_the_cgroup_tree(
    machine: Machine, service: tuple[str, ...]
) -> None:
    assert_adopted(machine, (SUBGROUP, *service))


@pytest.mark.parametrize("service", ["ProtectControlGroups=yes"])
@pytest.mark.machines(Spec("bookworm"))
def test_without_a_subgroup_the_error_has_a_remedy(machine: Machine, service: str) -> None:
    machine.install_unit("web.service", unit(TRAP, service=(service,)))
    machine.expect_journal("cannot move systemd-docker to .*out of the container's way: Read-only file system")

    assert machine.attempt("systemctl start web").returncode != 0

    said = [record["MESSAGE"] for record in machine.journal("--identifier=systemd-docker")]
    assert any(service.partition("=")[0] in line and "DelegateSubgroup=supervisor" in line for line in said)
    machine.run("systemctl reset-failed web")


FORBID_MOVING = [
    ("ProtectControlGroups=yes",),
    ("SystemCallFilter=~bpf", "SystemCallErrorNumber=EPERM"),
    ("User=daemon", "SupplementaryGroups=docker"),
    ("CapabilityBoundingSet=~CAP_SYS_ADMIN",),  # shows only when there is a filter to carry over
]


@pytest.mark.parametrize("service", FORBID_MOVING, ids=" ".join)
def test_where_nothing_can_be_moved_nothing_is_left(machine: Machine, service: tuple[str, ...]) -> None:
    machine.install_unit("web.service", unit(TRAP, own="--adopt=move", service=service))
    machine.expect_journal("cannot move the container's processes|cannot read the device filter")

    assert machine.attempt("systemctl start web").returncode != 0

    assert machine.show("web", "ExecMainStatus") == "125"
    assert machine.run("docker ps --all --quiet") == ""
    said = [record["MESSAGE"] for record in machine.journal("--identifier=systemd-docker")]
    directive = service[0].partition("=")[0]
    assert any(f"{directive}=" in line for line in said)
    machine.run("systemctl reset-failed web")


@pytest.mark.parametrize("own", ["", "--adopt=move"])
def test_the_service_manager_may_reload_and_reexecute(machine: Machine, own: str) -> None:
    machine.install_unit("web.service", unit(TRAP, own=own, service=("ExecReload=true",)))
    machine.run("systemctl start web")
    pid = leader(machine)
    before = place(machine, pid)

    machine.run("systemctl daemon-reload; systemctl daemon-reexec; systemctl set-property --runtime web MemoryMax=1G")
    machine.run("systemctl reload web")
    events = f"/sys/fs/cgroup{before}/cgroup.events"
    for word, frozen in (("freeze", "frozen 1"), ("thaw", "frozen 0")):
        assert frozen in machine.run(f"systemctl {word} web; cat '{events}'")
    assert "system.slice/web.service " in machine.run("systemd-cgtop --batch --raw --iterations=1 --depth=3")
    machine.run("systemctl revert web")

    assert place(machine, pid) == before
    assert machine.show("web", "ActiveState") == "active"
    assert machine.show("web", "MainPID") == pid


@pytest.mark.parametrize(("delegate", "hint"), [("-p Delegate=yes", ""), ("", "--property=Delegate=yes")])
def test_a_transient_unit_is_adopted(machine: Machine, delegate: str, hint: str) -> None:
    """No generator sees a transient unit, so Delegate= must be on the command line."""
    run = "/usr/local/bin/systemd-docker run --rm --name web busybox:musl sh -c 'echo hello; exec sleep 300'"
    machine.run(f"systemd-run --quiet -p Type=notify -p NotifyAccess=all {delegate} --unit=transient {run}")

    assert place(machine, leader(machine)).startswith("/system.slice/transient.service/")
    assert chosen(machine) == ("move" if hint else "parent")
    assert hint in " ".join(lines(machine, "systemd-docker"))
    poll(lambda: "hello" in lines(machine), what="the first line")
    machine.run("docker kill web; systemctl stop transient; systemctl reset-failed transient || true")


FLAGS = [
    "--privileged",
    "--pid=host",
    "--cgroupns=host",
    "--cgroupns=private",
    "--userns=host",
    "--init",
    "--user 33",
]


@pytest.mark.parametrize("own", ["", "--adopt=move"])
@pytest.mark.parametrize("flag", FLAGS)
def test_containers_that_share_the_hosts_namespaces_are_adopted(machine: Machine, flag: str, own: str) -> None:
    if flag == "--privileged" and machine.spec.suite == "bookworm":
        pytest.skip("its runc cannot give a container all capabilities inside a machine, nor can docker run")
    machine.install_unit("web.service", unit(TRAP, own=own, options=f"--rm --name web {flag}"))
    machine.run("systemctl start web")

    assert place(machine, leader(machine)).startswith("/system.slice/web.service/")
    machine.run("docker exec web true")
    machine.run("systemctl stop web")
    assert machine.show("web", "Result") == "success"
