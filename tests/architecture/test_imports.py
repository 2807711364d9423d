"""Imports of the program's two images: a service pays for the second one as long as its container runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2]

SUPERVISING = (HOME / "tests/architecture/supervising-modules.txt").read_text().split()
"""Every module that the second image imports, and the only ones that it ever may, but for LATER."""

LATER = {
    "systemd_docker.kernel.inotify": "ctypes: a megabyte, only while the engine is away",
    "systemd_docker.service.adoption.move": "ctypes: only for a container that was moved, when it is started again",
    "systemd_docker.plan.mounts": "only for a container with read-only mounts, when it is started again",
    "systemd": "libsystemd: loaded before the supervising begins, where there is a notification socket",
    "socket": "only for --interactive, and for StandardOutput=socket",
    "traceback": "only for a bug",
    "resource": "only at the end, before a signal that dumps core",
    "zipimport": "only for a traceback",
}
"""By module: why the second image imports it later, inside a function."""

BARE = frozenset(
    [
        "__future__",
        "_abc",
        "_collections_abc",
        "_errno",
        "_io",
        "_stat",
        "_struct",
        "abc",
        "errno",
        "genericpath",
        "io",
        "os",
        "os.path",
        "posixpath",
        "select",
        "stat",
        "struct",
    ]
)
"""The standard library's modules that cost nothing, or that the interpreter itself has imported."""

HEAVY = {
    *("argparse", "ast", "asyncio", "ctypes", "dataclasses", "docker", "email", "http", "inspect", "logging"),
    *("pathlib", "requests", "shlex", "shutil", "ssl", "subprocess", "tempfile", "threading", "typing", "urllib"),
    *("zipfile", "sdnotify", "selectors"),
}
"""Never, in either image, on a path that most containers take."""

STARTING = """
from systemd_docker import cli
from systemd_docker.options.own import parse_own
from systemd_docker.options.run_options import parse_run
from systemd_docker.service.run import run
from systemd_docker.service.start.finish_start import finish_start
from systemd_docker.service.supervise.lifetime import supervise
parse_own(["--sdnotify=conmon", "run"])
parse_run(["--rm", "--name", "web", "--publish", "80:80", "--volume", "/srv:/srv", "busybox", "true"])
"""


def imported(program: str) -> set[str]:
    """Return what an interpreter imports for program that was started as the launcher starts it."""
    before = "import sys; bare = set(sys.modules)"
    code = f"{before}; sys.path += {[str(HOME), *sys.path]!r}\n{program}\nprint(*(set(sys.modules) - bare))"
    result = subprocess.run([sys.executable, "-ISXutf8", "-c", code], capture_output=True, text=True, check=True)
    return set(result.stdout.split())


def test_a_supervising_process_imports_exactly_this() -> None:
    """Another module is welcome where it is worth its memory in every service; then it is listed."""
    modules = imported("import systemd_docker.resumed")

    assert sorted(name for name in modules if name.split(".")[0] == "systemd_docker") == sorted(SUPERVISING)
    rest = {name for name in modules if name.split(".")[0] != "systemd_docker"}
    assert rest - BARE <= {"_json", "_signal", "_socket", "posix"}


@pytest.mark.parametrize("path", [name.replace(".", "/") for name in SUPERVISING])
def test_a_supervising_process_imports_nothing_later_without_a_reason(path: str) -> None:
    """Code that is looked up by name months later may be another version's."""
    import ast

    file = HOME / f"{path}.py"
    if not file.exists():
        file = HOME / path / "__init__.py"
    tree = ast.parse(file.read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    for node in [inner for function in functions for inner in ast.walk(function)]:
        if isinstance(node, ast.ImportFrom):
            names = {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names = {alias.name for alias in node.names}
        else:
            continue
        assert names & LATER.keys() or names & set(SUPERVISING) or START_ONLY & {path}, f"{file}:{node.lineno}"


START_ONLY = {"systemd_docker/jsonobj", "systemd_docker/sd/notify", "systemd_docker/sd/journal"}
"""Modules of both images whose functions with imports only the first one calls: encoding JSON, sdnotify, streams."""


def test_no_image_imports_anything_heavy() -> None:
    for program in ("import systemd_docker.resumed", STARTING):
        assert not {name.split(".")[0] for name in imported(program)} & HEAVY


def test_the_images_have_little_in_common_to_read() -> None:
    """The second image reads no command line, makes no plan, and starts nothing."""
    assert not [name for name in SUPERVISING if name.startswith("systemd_docker.options")]
    assert not [name for name in SUPERVISING if name.startswith("systemd_docker.plan")]
    assert not [name for name in SUPERVISING if name.startswith("systemd_docker.service.start")]
    assert "systemd_docker.cli" not in SUPERVISING
