"""The rules of the two trees of tests: no test module is a library, and neither tree imports the other.

What tests share is in tests/fakes and other support modules, in integration/words and integration/harness. The map in
integration/__init__.py says what each package there is for.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

MODULES = sorted(path.relative_to(ROOT) for tree in ("tests", "integration") for path in (ROOT / tree).rglob("*.py"))

BRIDGES = {("integration/tests/engine/test_contract.py", "tests.engine_contract")}
"""Where one tree imports the other: real engines are held to the same contract as the fake one."""

MAY_IMPORT = {
    "inside": set[str](),
    "harness": {"harness", "inside"},
    "tables": {"tables", "harness"},
    "words": {"words", "tables", "harness", "inside"},
    "benchmarks": {"benchmarks", "harness", "inside"},
}
"""What the packages of integration/ import of each other; tests, own_tests and the modules at the top import all."""


def imports(path: Path) -> Iterator[str]:
    """Yield each imported module, also those that a function imports; for `from a import b` both "a" and "a.b"."""
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_no_module_imports_a_test_module(path: Path) -> None:
    for module in imports(path):
        is_ours = module.split(".")[0] in ("tests", "integration")
        last_two = module.split(".")[1:][-2:]
        assert not (is_ours and any(name.startswith(("test_", "conftest")) for name in last_two)), module


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_neither_tree_imports_the_other(path: Path) -> None:
    other = {"tests": "integration", "integration": "tests"}[path.parts[0]]
    for module in imports(path):
        if module.split(".")[0] == other:
            assert any(str(path) == user and module.startswith(used) for user, used in BRIDGES), module


@pytest.mark.parametrize("path", [path for path in MODULES if path.parts[1] in MAY_IMPORT], ids=str)
def test_the_packages_of_integration_import_one_way(path: Path) -> None:
    here = path.parts[1]
    for module in imports(path):
        parts = module.split(".")
        if here == "inside":
            assert parts[0] in sys.stdlib_module_names, f"{path} runs in a machine with the standard library alone"
        elif parts[0] == "integration" and len(parts) > 1:
            assert parts[1] in MAY_IMPORT[here], f"{here} must not import {module}"
