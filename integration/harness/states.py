"""Directories of machines that are up, and removal of those that killed processes left."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import uuid
from typing import TYPE_CHECKING

from integration.harness import cache, cgroups

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from integration.harness.machine import Spec

RUN = cache.DIRECTORY / "run"


@contextlib.contextmanager
def state_directory(spec: Spec) -> Iterator[Path]:
    """Make a directory in RUN with a unique name, locked by this process. The root is mounted on its fs/."""
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
    """Remove the directories and cgroups of killed processes' machines: those whose lock the kernel has released."""
    for alive in RUN.glob("*/alive"):
        with alive.open("ab+") as file:
            if cache.try_lock(file):
                cgroups.remove_recorded(alive.parent / "cgroups")
                shutil.rmtree(alive.parent)


def engine_configuration(spec: Spec) -> str:
    """Return the text of daemon.json."""
    configuration: dict[str, object] = {"exec-opts": [f"native.cgroupdriver={spec.cgroup_driver}"]}
    if spec.images == "containerd":
        configuration["features"] = {"containerd-snapshotter": True}
    return json.dumps(configuration)
