"""The adoption matrix is complete, and the manual prints it as it is."""

from __future__ import annotations

import itertools
from pathlib import Path

from integration.harness import root
from integration.tables import matrix

PAGES = Path(__file__).parents[2] / "systemd_docker/resources/man"


def test_the_manual_prints_the_adoption_matrix() -> None:
    assert "\n".join(matrix.table(matrix.CELLS)) in (PAGES / "systemd-docker-compatibility.7.md").read_text()


def test_no_cell_of_the_adoption_matrix_is_missing() -> None:
    """Each tested engine has a cell with either driver, on cgroup v2 and, where its systemd supports it, on v1."""
    suites = [suite for suite in root.TESTED if not root.SUITES[suite].has_kernel]
    for suite, driver, hierarchy, own in itertools.product(
        suites, ("systemd", "cgroupfs"), ("unified", "hybrid"), ("", matrix.MOVE)
    ):
        if hierarchy == "unified" or suite in matrix.KNOW_V1:
            cells = [spec for spec, words in matrix.CELLS if words == own and spec.suite == suite]
            assert (driver, hierarchy) in {(spec.cgroup_driver, spec.hierarchy) for spec in cells}


def test_no_cell_with_controllers_is_missing() -> None:
    """Each engine on a kernel of its own has a cell with either driver, delegated or not."""
    suites = [suite for suite in root.TESTED if root.SUITES[suite].has_kernel]
    for suite, driver, words in itertools.product(
        suites, ("systemd", "cgroupfs"), ("", matrix.MOVE, matrix.UNDELEGATED)
    ):
        assert any((spec.suite, spec.cgroup_driver, said) == (suite, driver, words) for spec, said in matrix.CELLS)


def test_what_the_manual_says_of_all_cells_holds_in_all_cells() -> None:
    """The unit's status, the unit of a payload's own line, and what remains have no columns."""
    adopted = [holds for holds in matrix.CELLS.values() if holds != matrix.REFUSED]

    assert {(holds.status, holds.journal, holds.left) for holds in adopted} == {("7", "unit", "nothing")}
