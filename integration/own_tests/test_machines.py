"""Machines of nspawn: what all other integration tests rely on, and how they end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE
from typing import TYPE_CHECKING

import pytest

from integration.harness import audit, product
from integration.harness.machine import CommandError, Spec, poll
from integration.harness.nspawn import booted
from integration.harness.root import SUITES

if TYPE_CHECKING:
    from integration.harness.cgroups import Hierarchy
    from integration.harness.machine import Machine
    from integration.harness.root import Driver

pytestmark = pytest.mark.integration

DRIVERS: tuple[Driver, ...] = ("systemd", "cgroupfs")
HIERARCHIES: tuple[Hierarchy, ...] = ("unified", "hybrid", "legacy")

ENGINES = {
    "bookworm": ("20.10", "cgroupfs", "252"),
    "trixie": ("26.1", "systemd", "257"),
    "trixie-vm": ("26.1", "systemd", "257"),
}

with_kernels = pytest.mark.machines(Spec("trixie"), Spec("bookworm"), Spec("trixie-vm"))
"""Machines of both kinds."""


@with_kernels
def test_systemd_is_up_and_every_unit_with_it(machine: Machine) -> None:
    assert machine.run("systemctl is-system-running") == "running"


@with_kernels
def test_systemd_and_the_engine_are_the_suites(machine: Machine) -> None:
    engine, driver, systemd = ENGINES[machine.spec.suite]

    info = machine.run("docker info --format '{{.ServerVersion}} {{.CgroupDriver}} {{.CgroupVersion}} {{.Driver}}'")

    assert re.fullmatch(rf"{re.escape(engine)}\S* {driver} 2 overlay2", info)
    assert machine.run("systemctl --version").startswith(f"systemd {systemd} ")


def test_a_container_runs(machine: Machine) -> None:
    assert machine.run("docker run --rm busybox:musl id -un") == "root"


def test_busybox_has_a_shell_for_its_command_and_no_entrypoint(machine: Machine) -> None:
    shown = machine.run("docker inspect --format '{{json .Config.Cmd}} {{json .Config.Entrypoint}}' busybox:musl")

    assert shown == '["sh"] null'


@with_kernels
def test_the_product_is_installed(machine: Machine) -> None:
    assert machine.run("command -v systemd-docker") == "/usr/local/bin/systemd-docker"
    assert machine.run("systemd-docker --version")
    assert machine.show("hello-world.service", "LoadState") == "loaded"


@with_kernels
def test_a_command_belongs_to_the_machine_and_to_no_unit(machine: Machine) -> None:
    assert machine.run("tail --lines=1 /proc/self/cgroup") == "0::/commands"


@with_kernels
def test_a_command_as_unit_is_a_service(machine: Machine) -> None:
    assert re.search(r"0::/system\.slice/run-\S+\.service$", machine.run("cat /proc/self/cgroup", as_unit=True))


@with_kernels
def test_a_failing_command_shows_both_streams(machine: Machine) -> None:
    with pytest.raises(CommandError, match=r"exited 3\nout\n\nerr") as raised:
        machine.run("echo out; echo err >&2; exit 3")

    assert raised.value.exit_status == 3


@with_kernels
def test_a_command_that_hangs_is_ended(machine: Machine) -> None:
    with pytest.raises(TimeoutError, match="sleep 4711"):
        machine.run("sleep 4711", timeout_sec=1)

    poll(lambda: machine.attempt("pgrep --exact sleep").returncode == 1, what="sleep to end")


@with_kernels
def test_a_copied_tree_keeps_its_modes(machine: Machine, tmp_path: Path) -> None:
    script = tmp_path / "bin/hello"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\necho hello\n")
    script.chmod(0o755)

    machine.copy(tmp_path, "/usr/local/copied")

    assert machine.run("/usr/local/copied/bin/hello; rm -r /usr/local/copied") == "hello"


def test_units_that_a_test_installed_are_stopped_for_it(machine: Machine) -> None:
    machine.install_unit("stays.service", "[Service]\nExecStart=sleep infinity\n")
    machine.run("systemctl start stays.service")

    audit.stop_units(machine)

    assert machine.show("stays.service", "ActiveState") == "inactive"


LEFTOVERS = {
    "container": ("docker create --name left busybox:musl", r"^container left: left \(Created\)"),
    "failed unit": ("systemd-run --quiet --unit=broken --wait false || true", "^failed unit left: broken.service"),
    "running unit": ("systemd-run --quiet --unit=stays sleep infinity", "^cgroup left: /system.slice/stays.service"),
    "mount": ("mount -t tmpfs left /mnt", "^mount left: /mnt"),
    "directory": ("mkdir /run/systemd-docker-left", "^file left: /run/systemd-docker-left"),
    "core file": ("touch /core", "^file left: /core"),
    "warning": ("echo oops | systemd-cat --identifier=systemd-docker --priority=warning", "^journal: .*oops"),
    "traceback": ("echo 'Traceback (most' | systemd-cat --identifier=systemd-docker", "^journal: .*Traceback"),
    "core dump": (
        "systemd-run --quiet --wait --unit=dumps --property=LimitCORE=infinity sh -c 'kill -SEGV $$$$' || true",
        "^journal: .*code=dumped",
    ),
}  # fmt: skip

CLEAN = """
set +e
docker rm --force left
systemctl stop stays
systemctl reset-failed
umount /mnt
rmdir /run/systemd-docker-left
rm -f /core /core.*
"""


@pytest.mark.parametrize(("mess", "finding"), LEFTOVERS.values(), ids=LEFTOVERS.keys())
def test_the_audit_sees(machine: Machine, mess: str, finding: str) -> None:
    before = audit.photograph(machine)
    machine.run(mess)

    found = audit.findings(machine, before, patience_sec=0)

    machine.attempt(CLEAN)
    machine.tolerate_journal("^oops|^Traceback|code=dumped")
    assert any(re.search(finding, line) for line in found), found


def test_the_audit_accepts_what_was_announced(machine: Machine) -> None:
    before = audit.photograph(machine)
    machine.expect_journal("^it had to (be|come)$")
    machine.run("echo it had to be | systemd-cat --identifier=systemd-docker --priority=err")

    assert audit.findings(machine, before) == []


def test_the_audit_misses_what_was_announced_and_did_not_come(machine: Machine) -> None:
    before = audit.photograph(machine)
    machine.expect_journal("never")

    found = audit.findings(machine, before)

    machine.announced.clear()
    assert found == ["announced, but not in the journal: never"]


BOOT_AND_WAIT = """
import sys
from integration.harness.machine import Spec
from integration.harness.nspawn import booted
with booted(Spec("trixie")) as machine:
    print(machine.leader, machine.state, flush=True)
    sys.stdin.read()
"""


def test_a_machine_ends_with_its_booter_and_the_next_boot_clears_away() -> None:
    command = [sys.executable, "-c", BOOT_AND_WAIT]
    with subprocess.Popen(command, cwd=product.REPOSITORY, stdin=PIPE, stdout=PIPE, text=True) as booter:
        assert booter.stdout is not None
        leader, state = booter.stdout.readline().split()
        cgroups = [Path(line) for line in (Path(state) / "cgroups").read_text().splitlines()]
        booter.kill()

    poll(lambda: not Path(f"/proc/{leader}").exists(), what="the machine to end")
    assert state not in Path("/proc/self/mountinfo").read_text()
    with booted(Spec("trixie")):
        assert not Path(state).exists()
        assert [cgroup for cgroup in cgroups if cgroup.exists()] == []


def test_after_a_failure_the_machine_is_as_before(machine: Machine) -> None:
    before = audit.photograph(machine)
    machine.install_unit("again.service", "[Service]\nExecStart=sleep infinity\nRestart=always\n")
    machine.install_unit("hangs.service", "[Service]\nExecStart=sleep infinity\nExecStop=sleep infinity\n")
    machine.run("systemctl start again hangs; docker run --detach busybox:musl sleep infinity; mkdir /tmp/left")

    audit.clear_by_force(machine)

    assert audit.findings(machine, before) == []
    assert machine.show("again.service", "LoadState") == "not-found"


def test_a_bind_over_what_a_machine_empties_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be the host's"), booted(Spec("trixie"), binds=["/tmp"]):
        pass


CELLS = [
    Spec(suite, driver, hierarchy)
    for suite in ("trixie", "bookworm")
    for driver in DRIVERS
    for hierarchy in HIERARCHIES
    if hierarchy != "unified" or driver != SUITES[suite].driver
]
"""What the other tests' machines are not."""


@pytest.mark.machines(*CELLS)
def test_every_driver_and_hierarchy_has_its_engine(machine: Machine) -> None:
    version = "2" if machine.spec.hierarchy == "unified" else "1"

    info = machine.run("docker info --format '{{.CgroupDriver}} {{.CgroupVersion}}'")

    assert info == f"{machine.spec.driver} {version}"
    assert machine.run("docker run --rm busybox:musl id -un") == "root"


@pytest.mark.machines(*(cell for cell in CELLS if cell.hierarchy != "unified"))
def test_on_v1_limits_hold(machine: Machine) -> None:
    limit = "memory.limit_in_bytes"
    unit_limit = f"cat /sys/fs/cgroup/memory/$(sed -n 's/.*:memory://p' /proc/self/cgroup)/{limit}"

    container = machine.run(f"docker run --rm --memory 32m busybox:musl cat /sys/fs/cgroup/memory/{limit}")
    unit = machine.run(f"systemd-run --quiet --wait --pipe --property=MemoryMax=48M sh -c '{unit_limit}'")

    assert (container, unit) == (str(32 << 20), str(48 << 20))


def test_a_kept_machine_is_there_until_it_is_ended() -> None:
    def command(*words: str) -> str:
        shell = [sys.executable, "-m", "integration.harness.shell", *words]
        return subprocess.run(shell, cwd=product.REPOSITORY, check=True, stdout=PIPE, text=True).stdout

    name = f"kept-{os.getpid()}"
    assert command("--bare", f"--keep={name}", "trixie") == f"{name}: trixie is up\n"
    assert f"{name}: trixie, " in command("--list")
    assert command(name, "echo", "$HOME") == "$HOME\n"
    assert command(name, "echo $HOME") == "/root\n"
    command(f"--end={name}")
    assert name not in command("--list")


def test_a_reboot_keeps_what_was_written_and_ends_what_ran(own_machine: Machine) -> None:
    own_machine.run("echo kept >/var/lib/kept")
    own_machine.run("docker run --detach --name gone --stop-signal KILL busybox:musl sleep infinity")
    leader = own_machine.leader

    own_machine.reboot()

    assert own_machine.leader != leader
    assert own_machine.run("cat /var/lib/kept") == "kept"
    assert own_machine.run("docker inspect --format '{{.State.Running}}' gone") == "false"
    assert len(own_machine.run("journalctl --list-boots --quiet").splitlines()) >= 2
