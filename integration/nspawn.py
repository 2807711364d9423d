"""Booting a machine with systemd-nspawn(1), and clearing it away.

Nothing of the host's service manager is needed: the machine is not registered with machined, lives in cgroups of its
own below ours, and its root is an overlay with a tmpfs on top, mounted where only the machine sees it. A machine ends
with the process that booted it, even with SIGKILL (integration.leash); the directories that stay behind then are
removed by whoever boots the next one.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from integration import cache
from integration.leash import LEASH
from integration.machine import Machine, Spec, hierarchy_mount, poll
from integration.readiness import notify_socket, wait_until_ready
from integration.root import SUITES, base_root

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from integration.machine import Hierarchy

RUN = cache.DIRECTORY / "run"
"""One directory per machine that is up."""

OPTIONS = (
    "--quiet", "--boot", "--register=no", "--keep-unit", "--notify-ready=yes", "--private-network",
    "--link-journal=no", "--resolv-conf=off", "--timezone=off",
    "--capability=all", "--system-call-filter=@keyring bpf @mount @clock",  # an engine needs them
)  # fmt: skip


OWN_DIRECTORIES = ("/tmp", "/var", "/run", "/etc", "/usr", "/dev", "/proc", "/sys", "/boot")
"""What no bind may replace."""

# nspawn mounts the v1 controllers read-only, and systemd looks only once which of them it may use.
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
    """Boot a fresh machine and yield it when its systemd has started everything; kill it on the way out.

    layers: directories over the suite's base root, topmost first.
    binds:  directories of the host to be seen inside, as systemd-nspawn's --bind= has them: PATH, or PATH:INSIDE.
    """
    check_binds(binds)
    root = base_root(SUITES[spec.suite])
    with contextlib.ExitStack() as stack:
        for layer in (*layers, root):
            stack.enter_context(cache.in_use(layer))
        state = stack.enter_context(_state_directory(spec))
        _write_seed(state / "seed", spec, state.name)
        cgroups = stack.enter_context(_cgroups(state, spec.hierarchy))
        words = [state, ":".join(map(str, (state / "seed", *layers, root))), " ".join(map(str, cgroups))]
        options = [*OPTIONS, f"--machine={state.name}", *(f"--bind={bind}" for bind in binds)]
        with notify_socket(state / "notify") as notify:
            launcher = stack.enter_context(_launched([*map(str, words), *options], spec, state))
            machine = Machine(state.name, spec, state, launcher)
            try:
                machine.leader = wait_until_ready(notify, launcher)
            except (TimeoutError, ChildProcessError) as error:
                raise RuntimeError(f"{spec}: {error}\n{machine.console()}") from error
        yield machine


def missing_hierarchy(hierarchy: Hierarchy) -> str:
    """Why this host cannot boot a machine with such cgroups, or "": a machine's hierarchies are the host's."""
    mounts = [line.split(":")[1] for line in Path("/proc/self/cgroup").read_text().splitlines()]
    needed = {"unified": {""}, "hybrid": {"", "name=systemd"}, "legacy": {"name=systemd"}}[hierarchy]
    missing = needed - set(mounts)
    return f"the host has no cgroup hierarchy for '{hierarchy}' machines" if missing else ""


def check_binds(binds: Sequence[str]) -> None:
    """A booting machine writes to these directories and empties some: it would do so to the host's. ValueError."""
    for inside in (Path(bind.split(":")[-1]) for bind in binds):
        if any(inside.is_relative_to(own) or Path(own).is_relative_to(inside) for own in OWN_DIRECTORIES):
            raise ValueError(f"'{inside}' cannot be the host's in a machine; bind it elsewhere: {inside}:/mnt")


@contextlib.contextmanager
def _launched(words: Sequence[str], spec: Spec, state: Path) -> Iterator[int]:
    """Run launch.sh; yield the PID that ends with the machine, and the machine with it."""
    environment = {"NOTIFY_SOCKET": str(state / "notify")}
    if spec.hierarchy != "hybrid":  # nspawn has no word for hybrid, but makes it where the host has it
        environment["SYSTEMD_NSPAWN_UNIFIED_HIERARCHY"] = "1" if spec.hierarchy == "unified" else "0"
    with (state / "console").open("wb") as console:
        launcher = subprocess.Popen(
            [*LEASH, "sh", str(Path(__file__).parent / "launch.sh"), *words],
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the tests, which end the machine in their own time
        )
    try:
        yield launcher.pid
    finally:
        launcher.kill()
        launcher.wait()


@contextlib.contextmanager
def _state_directory(spec: Spec) -> Iterator[Path]:
    """A directory with a unique name, locked for as long as we live."""
    with cache.locked(RUN / "lock"):
        sweep()
        state = RUN / f"{spec}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        (state / "fs").mkdir(parents=True)
        stack = contextlib.ExitStack()
        stack.enter_context(cache.locked(state / "alive"))
    with stack:
        try:
            yield state
        finally:
            shutil.rmtree(state)


def sweep() -> None:
    """Remove what machines of killed processes left. Their locks are free, for the kernel let go of them."""
    for alive in RUN.glob("*/alive"):
        with alive.open("ab+") as file:
            if cache.try_lock(file):
                cgroups = alive.parent / "cgroups"
                if cgroups.exists():
                    _remove_cgroups([Path(line) for line in cgroups.read_text().splitlines()])
                shutil.rmtree(alive.parent)


def _write_seed(seed: Path, spec: Spec, name: str) -> None:
    """The topmost layer below the machine's own writes: what makes this machine differ from its root."""
    (seed / "etc/docker").mkdir(parents=True)
    (seed / "var/log/journal").mkdir(parents=True)  # journald keeps a journal over reboots where this exists
    (seed / "etc/hostname").write_text(f"{name}\n")
    (seed / "etc/machine-id").write_text(f"{uuid.uuid4().hex}\n")
    daemon = {"exec-opts": [f"native.cgroupdriver={spec.cgroup_driver}"]}
    (seed / "etc/docker/daemon.json").write_text(json.dumps(daemon))
    if spec.hierarchy != "unified":
        units = seed / "etc/systemd/system"
        (units / "basic.target.wants").mkdir(parents=True)
        (units / "controllers.service").write_text(CONTROLLERS_UNIT)
        (units / "basic.target.wants/controllers.service").symlink_to("../controllers.service")


@contextlib.contextmanager
def _cgroups(state: Path, hierarchy: Hierarchy) -> Iterator[list[Path]]:
    """A cgroup below our own in each hierarchy that the machine uses.

    Two machines that share one would take each other's units for theirs.
    """
    cgroups = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _id, controllers, path = line.split(":", 2)
        if hierarchy != "unified" or controllers in ("", "name=systemd"):
            cgroups.append(hierarchy_mount(controllers) / path.lstrip("/") / state.name)
    (state / "cgroups").write_text("".join(f"{cgroup}\n" for cgroup in cgroups))
    for cgroup in cgroups:
        cgroup.mkdir()
        for name in ("cpuset.cpus", "cpuset.mems"):  # on v1 they start empty, and nobody may enter
            if (cgroup / name).exists():
                (cgroup / name).write_text((cgroup.parent / name).read_text())
    try:
        yield cgroups
    finally:
        _remove_cgroups(cgroups)


def _remove_cgroups(cgroups: Sequence[Path]) -> None:
    """Kill whoever is left in them, and remove them with their children."""
    for kill in (cgroup / "cgroup.kill" for cgroup in cgroups):
        if kill.exists():  # on v1 it does not; who is there is in the v2 cgroup as well
            kill.write_text("1")
    for cgroup in cgroups:
        poll(functools.partial(_removed, cgroup), what=f"{cgroup} to be empty", timeout_sec=10)


def _removed(cgroup: Path) -> bool:
    # EBUSY: a killed process is not gone yet. Directories of one and the same tree, children first.
    for directory, _children, _files in os.walk(cgroup, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(directory)
    return not cgroup.exists()
