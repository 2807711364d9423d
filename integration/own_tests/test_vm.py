"""Machines with a kernel of their own: controllers, input and output, and how they end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from subprocess import PIPE
from typing import TYPE_CHECKING

import pytest

from integration.harness import product
from integration.harness.machine import Spec, poll
from integration.harness.nspawn import booted
from integration.harness.shell import main

if TYPE_CHECKING:
    from integration.harness.machine import Machine

pytestmark = [
    pytest.mark.integration,
    pytest.mark.machines(Spec("trixie-vm")),
]


def test_the_engine_limits_with_the_kernels_controllers(machine: Machine) -> None:
    assert {"cpu", "memory", "pids"} <= set(machine.run("cat /sys/fs/cgroup/cgroup.controllers").split())
    limits = machine.run("docker run --rm -m 64m busybox:musl cat /sys/fs/cgroup/memory.max")
    driver = machine.run("docker info --format '{{.CgroupDriver}} {{.CgroupVersion}}'")

    assert (limits, driver) == (str(64 << 20), f"{machine.spec.cgroup_driver} 2")


def test_standard_input_and_both_outputs_arrive_complete(machine: Machine) -> None:
    text = b"".join(b"%d\n" % number for number in range(100_000))

    result = machine.attempt("cat; echo problem >&2; exit 3", stdin=text)

    assert result.stdout.encode() == text
    assert (result.stderr, result.returncode) == ("problem\n", 3)


BOOT_AND_WAIT = """
import sys
from integration.harness.machine import Spec
from integration.harness.vm import booted
with booted(Spec("trixie-vm")) as machine:
    children = open(f"/proc/{machine.launcher}/task/{machine.launcher}/children").read()
    print(*children.split(), machine.state, flush=True)
    sys.stdin.read()
"""


def test_a_machine_ends_with_its_booter_and_the_next_boot_clears_away() -> None:
    command = [sys.executable, "-c", BOOT_AND_WAIT]
    with subprocess.Popen(command, cwd=product.REPOSITORY, stdin=PIPE, stdout=PIPE, text=True) as booter:
        assert booter.stdout is not None
        emulator, state = booter.stdout.readline().split()
        assert "qemu" in Path(f"/proc/{emulator}/cmdline").read_text()
        booter.kill()

    poll(lambda: not Path(f"/proc/{emulator}").exists(), what="the emulator to end")
    assert state not in Path("/proc/self/mountinfo").read_text()
    with booted(Spec("trixie")):
        assert not Path(state).exists()


@pytest.mark.long
def test_a_reset_keeps_what_was_written_and_ends_what_ran(own_machine: Machine) -> None:
    own_machine.run("echo kept >/var/lib/kept; sync")
    own_machine.run("systemd-run --quiet --unit=gone sleep infinity")

    own_machine.reboot(reset=True)

    assert own_machine.run("systemctl is-system-running --wait") == "running"
    assert own_machine.run("cat /var/lib/kept; command -v systemd-docker") == "kept\n/usr/local/bin/systemd-docker"
    assert own_machine.show("gone", "ActiveState") == "inactive"


def test_a_bind_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--bind=/srv", "trixie-vm", "true"])

    assert "kernel of its own" in capsys.readouterr().err
