"""Boot a machine with a kernel of its own, and so with real cgroup controllers, on the emulator of qemu.py.

An emulated boot takes half a minute, so it is done once: a template is the disk and the memory of a machine that is
up, has its engine running and busybox:musl in it. Machines continue from there, each with its own copies of what it
changes, and are up in two seconds. As with nspawn.py, a machine ends with the process that booted it.
`python3 -m integration.harness.vm` makes the template ahead of the tests.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from integration.harness import cache, images, qemu
from integration.harness.leash import run_on_leash
from integration.harness.machine import COMMAND_TIMEOUT_SEC, Machine, Spec
from integration.harness.polling import poll
from integration.harness.root import SUITES, base_root
from integration.harness.states import engine_configuration, state_directory
from integration.inside import agent

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from integration.harness.cgroups import Hierarchy

BOOT_TIMEOUT_SEC = 300
"""Of a cold boot on a busy host; an idle one takes 35 s."""

WARM_TIMEOUT_SEC = 60

KNOCKS = 5
"""How often a command is sent to a machine that does not greet in time: one that is up may be that busy."""

DISK_SIZE = "4G"

PROGRAM = Path(agent.__file__)

AGENT_UNIT = """
[Unit]
Wants=sys-subsystem-net-devices-eth0.device
After=sys-subsystem-net-devices-eth0.device
[Service]
ExecStartPre=ip link set dev eth0 up
ExecStartPre=ip address replace 10.0.2.15/24 dev eth0
ExecStart=/usr/local/sbin/agent
KillMode=process
[Install]
WantedBy=multi-user.target
"""
"""QEMU forwards the port to 10.0.2.15."""

_V1 = ("SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1", "systemd.unified_cgroup_hierarchy=0")
KERNEL_ARGUMENTS: Mapping[Hierarchy, Sequence[str]] = {
    "unified": (),
    "hybrid": _V1,
    "legacy": (*_V1, "systemd.legacy_systemd_cgroup_controller=1"),
}
"""Kernel arguments that select systemd's cgroup hierarchies; systemd(1), NEWS of systemd 256."""

MODULES = (
    "overlay", "br_netfilter", "veth", "virtio_net", "nf_tables", "nft_compat", "xt_conntrack", "xt_MASQUERADE",
    "xt_addrtype",
)  # fmt: skip
"""Modules that the engine would otherwise load one by one."""

# mke2fs -d takes the tree without what is mounted on it: the bind is not recursive.
_MAKE_DISK = """
seed=$1 root=$2 template=$3 size=$4
mount -t overlay -o "lowerdir=$seed:$root" disk /mnt
mount --bind "$template" /mnt/srv
mount --bind /mnt /mnt/mnt
mount -t proc proc /mnt/proc
truncate --size="$size" /mnt/srv/disk
chroot /mnt mke2fs -q -F -t ext4 -E lazy_itable_init=1,lazy_journal_init=1 -d /mnt /srv/disk
"""


@dataclass(slots=True)
class VirtualMachine(Machine):
    """A machine on an emulator. Its leader is 0: the host does not see its processes."""

    slowness = 5

    def entering(self, argv: Sequence[str]) -> list[str]:
        client = [sys.executable, "-I", "-S", str(PROGRAM)]
        return ["nsenter", f"--target={self.launcher}", "--net", "--", *client, *argv]

    def attempt(
        self, command: str, *, stdin: bytes = b"", as_unit: bool = False, timeout_sec: int = COMMAND_TIMEOUT_SEC
    ) -> subprocess.CompletedProcess[str]:
        result = Machine.attempt(self, command, stdin=stdin, as_unit=as_unit, timeout_sec=timeout_sec)
        for _ in range(KNOCKS - 1):
            # A machine that has not greeted did not get the command, so it can be sent again.
            if not (result.returncode == agent.NO_ANSWER and result.stderr.endswith("does not answer: timed out\n")):
                break
            result = Machine.attempt(self, command, stdin=stdin, as_unit=as_unit, timeout_sec=timeout_sec)
        return result

    def reboot(self, *, reset: bool = False) -> None:
        boot = self.run("cat /proc/sys/kernel/random/boot_id")
        if reset:
            qemu.command(self.state, "system_reset")
        else:
            self.attempt("systemctl reboot")
        _wait(self, lambda: _boot(self) not in ("", boot), BOOT_TIMEOUT_SEC)

    def path(self, inside: str) -> Path:
        raise NotImplementedError(f"'{inside}' is on a disk of {self.name}'s own: use run() and copy()")


@contextlib.contextmanager
def booted(spec: Spec) -> Iterator[Machine]:
    """Yield a machine that continues from its suite's template; kill it on exit."""
    base = template(spec.suite, spec.hierarchy)
    with cache.in_use(base), _running(spec, base, warm=True) as machine:
        machine.run(f"date --set=@{time.time()}; hostname {machine.name}")
        if spec.driver:
            machine.write("/etc/docker/daemon.json", engine_configuration(spec))
            machine.run("systemctl restart docker")
        yield machine


def template(suite: str, hierarchy: Hierarchy = "unified") -> Path:
    """Return the directory of a machine's memory and disk; a first call takes a minute, and more for the root."""
    root = base_root(SUITES[suite])
    image = images.busybox(suite)
    emulator = qemu.recipe(KERNEL_ARGUMENTS[hierarchy])
    recipe = cache.digest(root.name, image.name, AGENT_UNIT, PROGRAM.read_text(), MODULES, emulator, _MAKE_DISK)
    spec = Spec(suite, hierarchy=hierarchy)
    return cache.entry(f"template-{spec}", recipe, lambda path: _bake(spec, path))


def _bake(spec: Spec, path: Path) -> None:
    path.mkdir()
    seed = path / "seed"
    _write_seed(seed, spec)
    root = base_root(SUITES[spec.suite])
    with cache.in_use(root):
        run_on_leash(["sh", "-euc", _MAKE_DISK, "disk", str(seed), str(root), str(path), DISK_SIZE])
    shutil.rmtree(seed)
    with _running(spec, path, warm=False) as machine:
        machine.run("systemctl is-system-running --wait", timeout_sec=BOOT_TIMEOUT_SEC)
        images.load_busybox(machine)
        # So the files that a first container reads are in the memory of every machine.
        machine.run(f"docker run --rm {images.BUSYBOX} true; sync", timeout_sec=BOOT_TIMEOUT_SEC)
        qemu.save(machine.state)


def _write_seed(seed: Path, spec: Spec) -> None:
    """Write the files that a disk has beside those of the base root."""
    texts = {
        "etc/docker/daemon.json": engine_configuration(spec),
        "etc/hostname": f"{spec.suite}\n",
        "etc/machine-id": f"{uuid.uuid4().hex}\n",
        "etc/modules-load.d/engine.conf": "\n".join(MODULES),
        "etc/systemd/system/agent.service": AGENT_UNIT,
        "usr/local/sbin/agent": PROGRAM.read_text(),
    }
    for name, text in texts.items():
        (seed / name).parent.mkdir(parents=True, exist_ok=True)
        (seed / name).write_text(text)
    (seed / "usr/local/sbin/agent").chmod(0o755)
    (seed / "var/log/journal").mkdir(parents=True)  # journald keeps a journal over reboots where this exists
    (seed / "etc/systemd/system/multi-user.target.wants").mkdir()
    (seed / "etc/systemd/system/multi-user.target.wants/agent.service").symlink_to("../agent.service")


@contextlib.contextmanager
def _running(spec: Spec, base: Path, *, warm: bool) -> Iterator[VirtualMachine]:
    root = base_root(SUITES[spec.suite])
    with (
        cache.in_use(root),
        state_directory(spec) as state,
        qemu.emulator(root, state, base, KERNEL_ARGUMENTS[spec.hierarchy], warm=warm) as launcher,
    ):
        machine = VirtualMachine(state.name, spec, state, launcher)
        if warm:
            _wait(machine, lambda: qemu.listens(state), WARM_TIMEOUT_SEC)
            qemu.load(state)
        _wait(machine, lambda: bool(_boot(machine)), WARM_TIMEOUT_SEC if warm else BOOT_TIMEOUT_SEC)
        yield machine


def _boot(machine: VirtualMachine) -> str:
    """Return the kernel's boot id, "" where the machine does not answer yet."""
    return machine.attempt("cat /proc/sys/kernel/random/boot_id").stdout.strip()


def _wait(machine: VirtualMachine, is_up: Callable[[], bool], timeout_sec: int) -> None:
    """Wait for the machine. On timeout, or if the emulator ends, raise RuntimeError with the output of both."""

    def probe() -> bool:
        if os.waitid(os.P_PID, machine.launcher, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            raise ChildProcessError("the emulator ended before the machine was up")
        return is_up()

    try:
        poll(probe, what="the machine to be up", timeout_sec=timeout_sec)
    except (TimeoutError, ChildProcessError) as error:
        said = (machine.state / "emulator").read_text(errors="replace")
        raise RuntimeError(f"{machine.spec}: {error}\n{said}\n{machine.console()}") from error


if __name__ == "__main__":
    print(template("trixie-vm"))
