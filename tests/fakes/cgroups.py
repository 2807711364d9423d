"""Directories with files that stand for cgroups and their attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from systemd_docker.kernel.cgroup import Cgroup

if TYPE_CHECKING:
    from pathlib import Path


def directory(root: Path, name: str, **attributes: str) -> Cgroup:
    """A directory with files that stand for attributes; "memory_max" is memory.max."""
    (root / name).mkdir()
    for attribute, value in attributes.items():
        (root / name / attribute.replace("_", ".")).write_text(f"{value}\n")
    return Cgroup(str(root), f"/{name}")
