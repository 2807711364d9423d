"""The import rule: a module may import from its own room or its left, never from its right; only named doors open."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(__file__).parents[2] / "systemd_docker"

LAYERS = (
    {"errors", "log", "jsonobj", "frozen", "program"},
    {"kernel", "sd", "engine"},
    {"unit", "options"},
    {"plan", "generator"},
    {"service"},
    {"commands"},
    {"exits"},
    {"cli", "resumed"},
    {"__main__"},
)
LAYER_OF = {name: number for number, names in enumerate(LAYERS) for name in names}

DOORS = {
    "ctypes": {"kernel/bpf.py", "kernel/inotify.py", "sd/bus.py"},
    "subprocess": {"commands"},
    "docker": {"engine/credentials.py"},
    "sdnotify": {"sd/notify.py"},
    "systemd": {"sd/notify.py", "sd/listen_fds.py", "sd/journal.py"},
}
"""Modules that only the rooms named here may import."""

MODULES = sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Every module a file imports, anywhere in it; "systemd_docker.unit" for `from systemd_docker import unit`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "systemd_docker":
            yield from (f"systemd_docker.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_flow_one_way(path: Path) -> None:
    here = room(path)
    if here == "__init__":
        return
    for module in imports(path):
        if module.startswith("systemd_docker.") and (there := module.split(".")[1]) != "__version__":
            assert there == here or LAYER_OF[there] < LAYER_OF[here], f"{here} must not import {there}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_doors_import_what_is_behind_them(path: Path) -> None:
    name = str(path.relative_to(PACKAGE))
    for module in imports(path):
        allowed = DOORS.get(module.split(".")[0])
        assert allowed is None or name in allowed or name.split("/")[0] in allowed, f"{name} must not import {module}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_unit_reads_the_environment(path: Path) -> None:
    if room(path) in ("unit", "commands", "resources", "__main__"):
        return
    reads = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)]
    assert not [node for node in reads if node.attr in ("environ", "getenv") and ast.unparse(node.value) == "os"]


def test_only_the_dry_run_among_the_commands_knows_how_a_start_works() -> None:
    """The other commands share service.ownership and its like with a start, and nothing else."""
    importers = {
        path.stem
        for path in (PACKAGE / "commands").glob("*.py")
        if any(module.startswith("systemd_docker.service.start") for module in imports(path))
    }

    assert importers == {"dry_run"}
