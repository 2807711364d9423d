"""Machines that are up: a directory of its own for each, and what those of killed processes left."""

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
    """A directory in RUN with a unique name, locked for as long as we live. Its fs/ is for the root to be mounted."""
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
                cgroups.remove_recorded(alive.parent / "cgroups")
                shutil.rmtree(alive.parent)


def engine_configuration(spec: Spec) -> str:
    """daemon.json's text."""
    return json.dumps({"exec-opts": [f"native.cgroupdriver={spec.cgroup_driver}"]})
