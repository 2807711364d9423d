"""The table of what no test reaches names functions that there are."""

from __future__ import annotations

import ast

from tests.uncovered import PACKAGE, REASONS, ROOT


def functions(tree: ast.AST, prefix: str = "") -> set[str]:
    """Return the names of all functions as coverage has them: Class.method, outer.inner."""
    found = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            name = f"{prefix}{node.name}"
            found |= functions(node, f"{name}.")
            found |= {name} if isinstance(node, ast.FunctionDef) else set()
        else:
            found |= functions(node, prefix)
    return found


def test_every_entry_is_a_function_with_a_reason() -> None:
    for module, reasons in REASONS.items():
        there = functions(ast.parse((ROOT / PACKAGE / module).read_text()))
        assert set(reasons) <= there, module
        assert all(reason.endswith(".") for reason in reasons.values()), module
