"""Imports point one way and never in a circle, packages are small, and only named doors open to libraries."""

from __future__ import annotations

import ast
import re
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2]
PACKAGE = HOME / "systemd_docker"

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
"""The top-level modules and packages; one may import from its own layer's left, and from itself."""

SERVICE_LAYERS = (
    {"adoption", "output", "notifications"},
    {"recovery"},
    {"supervise"},
    {"start"},
    {"run"},
)
"""The same inside service/. Its other modules are below all of these, and import none of them."""

DOORS = {
    "ctypes": {"kernel/bpf.py", "kernel/inotify.py", "sd/bus.py"},
    "subprocess": {"commands"},
    "docker": {"engine/credentials.py"},
    "sdnotify": {"sd/notify.py"},
    "systemd": {"sd/notify.py", "sd/listen_fds.py", "sd/journal.py"},
}
"""Libraries that only the modules and packages named here may import."""

MAX_MODULES, MAX_LINES, MAX_FUNCTION_LINES, MAX_PARAMETERS = 15, 400, 60, 6

MAX_LATE_IMPORTS = 41
"""Imports inside functions: each costs a reader a look, and a running service what program.py is there for."""

MODULES = sorted(PACKAGE.rglob("*.py"))
NAMES = {".".join(path.relative_to(HOME).with_suffix("").parts).removesuffix(".__init__"): path for path in MODULES}


def imports(path: Path) -> Iterator[str]:
    """Yield every module that a file imports, for types too, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in NAMES else node.module or ""


def names_of(path: Path) -> tuple[str, ...]:
    return path.relative_to(PACKAGE).with_suffix("").parts


def rank(name: str, layers: tuple[set[str], ...]) -> int:
    return next((number for number, names in enumerate(layers) if name in names), -1)


def by_path(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", MODULES, ids=by_path)
def test_imports_flow_one_way(path: Path) -> None:
    here = names_of(path)
    if here == ("__init__",) or here[0] == "resources":
        return
    assert rank(here[0], LAYERS) >= 0, f"{here[0]} is in no layer"
    for module in imports(path):
        there = tuple(module.split("."))[1:]
        if not module.startswith("systemd_docker.") or there[0] == "__version__":
            continue
        if there[0] != here[0]:
            assert rank(there[0], LAYERS) < rank(here[0], LAYERS), f"{path} must not import {module}"
        elif here[0] == "service" and len(here) > 1 and len(there) > 1 and there[1] != here[1]:
            ours, theirs = rank(here[1], SERVICE_LAYERS), rank(there[1], SERVICE_LAYERS)
            assert theirs < ours or theirs == ours == -1, f"{path} must not import {module}"


def test_no_module_imports_in_a_circle_not_for_types_either() -> None:
    graph = {name: {other for other in imports(path) if other in NAMES} - {name} for name, path in NAMES.items()}
    graph["systemd_docker"] = set()
    removed = [""]
    while removed:
        removed = [name for name, others in graph.items() if not others & graph.keys()]
        for name in removed:
            del graph[name]

    assert not graph, f"among these is a circle: {sorted(graph)}"


@pytest.mark.parametrize("path", MODULES, ids=by_path)
def test_only_doors_import_what_is_behind_them(path: Path) -> None:
    name = by_path(path)
    for module in imports(path):
        allowed = DOORS.get(module.split(".")[0])
        assert allowed is None or name in allowed or name.split("/")[0] in allowed, f"{name} must not import {module}"


@pytest.mark.parametrize("path", MODULES, ids=by_path)
def test_only_unit_reads_the_environment(path: Path) -> None:
    if names_of(path)[0] in ("unit", "commands", "resources", "__main__"):
        return
    reads = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)]
    assert not [node for node in reads if node.attr in ("environ", "getenv") and ast.unparse(node.value) == "os"]


def functions(path: Path) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]


@pytest.mark.parametrize("path", MODULES, ids=by_path)
def test_modules_and_functions_fit_a_readers_head(path: Path) -> None:
    assert path.read_text().count("\n") <= MAX_LINES
    for function in functions(path):
        arguments = function.args
        count = len([*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs])
        is_method = arguments.args[:1] and arguments.args[0].arg in ("self", "cls")
        assert count - bool(is_method) <= MAX_PARAMETERS, f"{function.name} takes {count} parameters"
        lines = (function.end_lineno or 0) - function.lineno + 1
        assert lines <= MAX_FUNCTION_LINES, f"{function.name} has {lines} lines"


def test_functions_are_short_in_general() -> None:
    lengths = sorted(
        (function.end_lineno or 0) - function.lineno + 1 for path in MODULES for function in functions(path)
    )

    assert lengths[len(lengths) // 2] <= 8
    assert lengths[len(lengths) * 9 // 10] <= 25


def test_packages_are_small() -> None:
    sizes = Counter(path.parent for path in MODULES if path.name != "__init__.py")

    assert not {str(package): size for package, size in sizes.items() if size > MAX_MODULES}


def late_imports(path: Path) -> list[ast.stmt]:
    return [
        node
        for function in functions(path)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]


def test_imports_are_at_the_top() -> None:
    late = [f"{by_path(path)}:{node.lineno}" for path in MODULES for node in late_imports(path)]

    assert len(set(late)) <= MAX_LATE_IMPORTS, late


RIDDLES = ("Who", "Whoever", "What", "Whether")


@pytest.mark.parametrize("path", MODULES, ids=by_path)
def test_a_summary_says_what_it_is_about(path: Path) -> None:
    tree = ast.parse(path.read_text())
    documented = [tree, *(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.FunctionDef))]
    summaries = [ast.get_docstring(node) or "" for node in documented]

    assert not [text.split("\n")[0] for text in summaries if text.split(" ")[0] in RIDDLES]


PEOPLE = re.compile(r"\b(?:who|whoever|nobody|somebody|everybody|anybody|is said)\b", re.IGNORECASE)
"""Words for people, where a program or a process is meant."""


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Yield docstrings, of attributes too, and comments, with their lines."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield node.lineno, text
    with path.open(encoding="utf-8") as file:
        for token in tokenize.generate_tokens(file.readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string


@pytest.mark.parametrize("directory", ["systemd_docker", "tests", "integration"])
def test_programs_are_not_people(directory: str) -> None:
    texts = [(path, line, text) for path in (HOME / directory).rglob("*.py") for line, text in prose(path)]

    assert len(texts) > 100
    assert not [f"{path.relative_to(HOME)}:{line}" for path, line, text in texts if PEOPLE.search(text)]
