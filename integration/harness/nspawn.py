"""Boot a machine with systemd-nspawn(1), and remove it.

The host needs no service manager: the machine is not registered with machined, lives in cgroups of its own below this
process's, and its root is an overlay with a tmpfs on top, mounted where only the machine sees it. A machine ends
with the process that booted it, even with SIGKILL (harness.leash); the next boot of any machine
removes the directories that then remain.
"""

from __future__ import annotations

import contextlib
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from integration.harness import cache, cgroups
from integration.harness.leash import launched
from integration.harness.machine import Machine, Spec
from integration.harness.readiness import notify_socket, wait_until_ready
from integration.harness.root import SUITES, base_root
from integration.harness.states import engine_configuration, state_directory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

LAUNCH = Path(__file__).parent / "launch.sh"

OPTIONS = (
    "--quiet", "--boot", "--register=no", "--keep-unit", "--notify-ready=yes", "--private-network",
    "--link-journal=no", "--resolv-conf=off", "--timezone=off",
    "--capability=all", "--system-call-filter=@keyring bpf @mount @clock",  # an engine needs them
)  # fmt: skip

OWN_DIRECTORIES = ("/tmp", "/var", "/run", "/etc", "/usr", "/dev", "/proc", "/sys", "/boot")
"""Directories that no bind may replace."""

# nspawn mounts the v1 controllers read-only, and systemd checks only once which of them it may use.
CONTROLLERS_UNIT = """
[Unit]
DefaultDependencies=no
Before=basic.target containerd.service docker.service docker.socket
After=systemd-journald.socket
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -euc 'for hierarchy in /sys/fs/cgroup/*/; do mount -o remount,bind,rw "$hierarchy"; done'
ExecStart=systemctl daemon-reexec
"""


@contextlib.contextmanager
def booted(spec: Spec, *, layers: Sequence[Path] = (), binds: Sequence[str] = ()) -> Iterator[Machine]:
    """Boot a fresh machine, yield it when its systemd has started all units, and kill it on exit.

    layers: directories over the suite's base root, topmost first.
    binds:  directories of the host to mount inside, in the syntax of systemd-nspawn's --bind=: PATH, or PATH:INSIDE.
    """
    check_binds(binds)
    root = base_root(SUITES[spec.suite])
    with contextlib.ExitStack() as stack:
        for layer in (*layers, root):
            stack.enter_context(cache.in_use(layer))
        state = stack.enter_context(state_directory(spec))
        _write_seed(state / "seed", spec, state.name)
        own_cgroups = stack.enter_context(cgroups.made(state.name, spec.hierarchy, state / "cgroups"))
        words = [state, ":".join(map(str, (state / "seed", *layers, root))), " ".join(map(str, own_cgroups))]
        options = [*OPTIONS, f"--machine={state.name}", *(f"--bind={bind}" for bind in binds)]
        with notify_socket(state / "notify") as notify:
            launcher = stack.enter_context(_launched([*map(str, words), *options], spec, state))
            machine = Machine(state.name, spec, state, launcher)
            try:
                machine.leader = wait_until_ready(notify, launcher)
            except (TimeoutError, ChildProcessError) as error:
                raise RuntimeError(f"{spec}: {error}\n{machine.console()}") from error
        yield machine


def check_binds(binds: Sequence[str]) -> None:
    """Raise ValueError for a bind to a directory that a booting machine writes to or empties."""
    for inside in (Path(bind.split(":")[-1]) for bind in binds):
        if any(inside.is_relative_to(own) or Path(own).is_relative_to(inside) for own in OWN_DIRECTORIES):
            raise ValueError(f"'{inside}' cannot be the host's in a machine; bind it elsewhere: {inside}:/mnt")


def _launched(words: Sequence[str], spec: Spec, state: Path) -> AbstractContextManager[int]:
    """Run launch.sh; yield the PID that ends with the machine, and the machine with it."""
    env = {"NOTIFY_SOCKET": str(state / "notify")}
    if spec.hierarchy != "hybrid":  # nspawn has no option for hybrid; it makes hybrid where the host has it
        env["SYSTEMD_NSPAWN_UNIFIED_HIERARCHY"] = "1" if spec.hierarchy == "unified" else "0"
    return launched(LAUNCH, words, state / "console", env=env)


def _write_seed(seed: Path, spec: Spec, name: str) -> None:
    """Write the files in which this machine differs from its root: the topmost layer below its own writes."""
    (seed / "etc/docker").mkdir(parents=True)
    (seed / "var/log/journal").mkdir(parents=True)  # journald keeps a journal over reboots where this exists
    (seed / "etc/hostname").write_text(f"{name}\n")
    (seed / "etc/machine-id").write_text(f"{uuid.uuid4().hex}\n")
    (seed / "etc/docker/daemon.json").write_text(engine_configuration(spec))
    if spec.hierarchy != "unified":
        units = seed / "etc/systemd/system"
        (units / "basic.target.wants").mkdir(parents=True)
        (units / "controllers.service").write_text(CONTROLLERS_UNIT)
        (units / "basic.target.wants/controllers.service").symlink_to("../controllers.service")
