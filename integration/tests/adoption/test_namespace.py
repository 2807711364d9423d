"""Units in a cgroup namespace of their own: ProtectControlGroups=private and strict, systemd 257."""

from __future__ import annotations

import pytest

from integration.harness.machine import Machine, Spec, poll
from integration.words.cgroups import cgroup_of
from integration.words.processes import leader, resting
from integration.words.units import TRAP, unit

pytestmark = [
    pytest.mark.integration,
    pytest.mark.machines(Spec("trixie"), Spec("trixie", "cgroupfs"), Spec("forky")),
]

RELOAD = "ExecReload=/usr/local/bin/systemd-docker exec touch /reloaded"


@pytest.mark.parametrize(
    "settings",
    [
        ("ProtectControlGroups=private", "Delegate=yes"),
        ("ProtectControlGroups=private",),
        ("ProtectControlGroups=strict", "Delegate=yes", "DelegateSubgroup=supervisor"),
    ],
    ids=["private", "private, by the generator", "strict"],
)
def test_a_unit_that_sees_no_cgroups_but_its_own_has_its_container(
    settings: tuple[str, ...], machine: Machine
) -> None:
    if machine.spec.suite == "forky" and "ProtectControlGroups=strict" in settings:
        pytest.skip(
            "systemd 262 starts no unit with both: 'Failed to attach process to cgroup: Read-only file system'"
        )
    machine.install_unit("web.service", unit(TRAP, service=(*settings, RELOAD)))

    machine.run("systemctl start web")

    pid = leader(machine)
    assert cgroup_of(machine, pid).startswith("/system.slice/web.service/")
    assert machine.show("web", "MainPID") == pid
    machine.run("systemctl reload web")
    machine.run("docker exec web ls /reloaded")
    resting(machine)
    machine.run("docker restart --time 1 web")
    poll(lambda: machine.show("web", "MainPID") not in (pid, "0"), what="the new leader to be the main process")
    assert machine.show("web", "ActiveState") == "active"
    assert cgroup_of(machine, leader(machine)).startswith("/system.slice/web.service/")
    machine.run("systemctl stop web")
    assert machine.show("web", "Result") == "success"
    assert machine.run("docker ps --all --quiet") == ""
