"""What a start and a resting service import: each of them pays for it, once per container."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    "argparse",
    "ast",
    "asyncio",
    "ctypes",
    "dataclasses",
    "docker",
    "email",
    "http",
    "inspect",
    "logging",
    "pathlib",
    "requests",
    "shlex",
    "shutil",
    "ssl",
    "subprocess",
    "tempfile",
    "threading",
    "traceback",
    "typing",
    "urllib",
    "zipfile",
)
"""Never, on no path that most containers take."""

RESTING = "from systemd_docker import cli, unit; from systemd_docker.service.supervise import lifetime, reexec"
STARTING = f"""{RESTING}
from systemd_docker.options.own import parse_own
from systemd_docker.options.run_options import parse_run
from systemd_docker.service.start import early_queries
from systemd_docker.service.run import run
from systemd_docker.service.supervise.stopper import Stopper
from systemd_docker.service.recovery import recovery
from systemd_docker.service.start.finish_start import take_over
from systemd_docker.service.supervise.supervisor import Supervisor
parse_own(["--sdnotify=conmon", "run"])
parse_run(["--rm", "--name", "web", "--publish", "80:80", "--volume", "/srv:/srv", "busybox", "true"])
"""

BARE_MODULES = 25
"""Of the interpreter itself, -I -S -X utf8; Python 3.11 to 3.13."""


def modules(program: str) -> set[str]:
    """What such an interpreter as the launcher's has imported."""
    home = Path(__file__).parents[2]
    code = f"import sys; sys.path.append({str(home)!r})\n{program}\nprint(*sys.modules)"
    result = subprocess.run([sys.executable, "-ISXutf8", "-c", code], capture_output=True, text=True, check=True)
    return set(result.stdout.split())


SUPERFLUOUS = {
    "collections",
    "contextlib",
    "enum",
    "functools",
    "json",
    "re",
    "sdnotify",
    "selectors",
    "signal",
    "socket",
}
"""The standard library's layers over C modules that do for us, and what needs them: 10 ms of every start."""


@pytest.mark.parametrize("program", [RESTING, STARTING], ids=["resting", "starting"])
def test_nothing_heavy_is_imported(program: str) -> None:
    assert not {name for name in modules(program) if name.split(".")[0] in HEAVY}


def test_a_resting_service_imports_what_waiting_needs_and_no_more() -> None:
    imported = modules(RESTING)

    assert not imported & {"json", "re", "enum", "socket", "contextlib", "functools", "systemd_docker.options.flags"}
    assert len(imported) <= BARE_MODULES + 39, sorted(imported)


def test_waiting_for_news_and_for_messages_imports_no_engine_and_no_plan() -> None:
    waiting = f"{RESTING}; from systemd_docker.service.notifications import proxy, reporter"

    imported = modules(waiting) - modules(RESTING)

    assert imported - {"_socket", "array", "struct", "_struct"} == {
        "systemd_docker.sd.notify",
        "systemd_docker.service.notifications.proxy",
        "systemd_docker.service.notifications.best_effort",
        "systemd_docker.service.notifications.reporter",
        "systemd_docker.service.notifications.status",
    }


def test_no_start_imports_a_layer_over_a_c_module_that_does() -> None:
    assert not modules(STARTING) & SUPERFLUOUS


def test_a_container_that_was_moved_costs_one_room_more() -> None:
    assert modules(f"{RESTING}; from systemd_docker.service.adoption import late_processes") - modules(RESTING) == {
        "systemd_docker.service.adoption",
        "systemd_docker.service.adoption.late_processes",
    }


def test_a_start_does_not_import_more_than_it_did() -> None:
    """A new module is welcome, if it is worth 0.2 to 1 ms of every start; then the figure here goes up with it."""
    assert len(modules(STARTING)) <= BARE_MODULES + 122, sorted(modules(STARTING))
