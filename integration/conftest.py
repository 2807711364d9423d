"""Fixtures and hooks of all integration tests: machines, an audit after each test, a report where one failed.

Fixtures of the product's tests alone are in tests/conftest.py."""

from __future__ import annotations

import os
import pickle
import shutil
from typing import TYPE_CHECKING

import pytest

from integration.harness import audit, product
from integration.harness.cgroups import missing_hierarchy
from integration.harness.machine import Machine, Spec
from integration.harness.report import report
from integration.harness.root import SUITES, why_missing
from integration.tables import fault, faults, matrix

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from typing import Any

SPECS = (Spec("trixie"), Spec("bookworm"))
"""The machines of a test without @pytest.mark.machines(Spec(...), ...)."""

TIMEOUT_SEC = 300
"""For a test, its machine's boot and a first build of the product's layer."""

VM_TIMEOUT_SEC = 1200
"""The same on an emulator."""

TOOLS = ("systemd-nspawn", "mmdebstrap", "nsenter", "unshare", "setpriv")

PHOTOGRAPH = pytest.StashKey[audit.Photograph]()
FAILED = pytest.StashKey[bool]()

FAULT_TABLE, MATRIX = "fault table", "adoption matrix"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "machines(*specs): the machines that each test of this module runs on")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = [item for item in items if item.get_closest_marker("integration")]
    reason = _missing_capability() if here else ""
    if reason and os.environ.get("CI"):
        raise pytest.UsageError(reason)
    for item in here:
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(VM_TIMEOUT_SEC if _is_on_vm(item) else TIMEOUT_SEC))


def _is_on_vm(item: pytest.Item) -> bool:
    parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    specs = (parameters.get(name) for name in ("machine", "own_machine"))
    return any(isinstance(spec, Spec) and SUITES[spec.suite].has_kernel for spec in specs)


def _missing_capability() -> str:
    if os.geteuid() != 0:
        return "machines need root"
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"machines need {', '.join(missing)}" if missing else ""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marker = metafunc.definition.get_closest_marker("machines")
    specs = marker.args if marker else SPECS
    if "machine" in metafunc.fixturenames:
        metafunc.parametrize("machine", specs, indirect=True, ids=str, scope="module")
    if "own_machine" in metafunc.fixturenames:
        metafunc.parametrize("own_machine", specs, indirect=True, ids=str, scope="function")


@pytest.fixture(scope="module")
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A machine that this module's tests share, with the product and busybox:musl."""
    yield from _machine(request.param)


@pytest.fixture
def own_machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A machine for this test alone, which may break it: there is no audit."""
    yield from _machine(request.param)


def _machine(spec: Spec) -> Iterator[Machine]:
    suite = SUITES[spec.suite]
    reason = "" if suite.has_kernel else missing_hierarchy(spec.hierarchy)
    if reason := reason or why_missing(suite):
        pytest.skip(reason)
    with product.installed(spec) as machine:
        yield machine


@pytest.fixture(autouse=True)
def audited(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves something on its machine, or an unexpected warning of the product in the journal."""
    if "machine" not in request.fixturenames:
        yield
        return
    machine: Machine = request.getfixturevalue("machine")
    before = request.node.stash[PHOTOGRAPH] = audit.photograph(machine)
    yield
    if request.node.stash.get(FAILED, False):  # an audit after a failure would only add noise
        audit.clear_by_force(machine)
        return
    audit.stop_units(machine)
    if found := audit.findings(machine, before):
        text = "\n".join([*found, "", report(machine, before)])
        audit.clear_by_force(machine)
        pytest.fail(text, pytrace=False)
    audit.clear(machine)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    outcome = yield
    if outcome.when == "call":
        outcome.user_properties.extend(_take_rows())
    if outcome.when == "call" and outcome.failed:
        item.stash[FAILED] = True
        machine = getattr(item, "funcargs", {}).get("machine")
        if isinstance(machine, Machine):
            outcome.sections.append((str(machine.spec), report(machine, item.stash[PHOTOGRAPH])))
    return outcome


def _take_rows() -> Iterator[tuple[str, object]]:
    """Yield what a test found for the tables, in the form in which a report carries it between processes."""
    yield from ((FAULT_TABLE, pickle.dumps(found)) for found in fault.FOUND)
    yield from ((MATRIX, pickle.dumps(cell)) for cell in matrix.FOUND.items())
    fault.FOUND.clear()
    matrix.FOUND.clear()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the tables of which a row was measured."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    properties = [pair for report in reports for pair in getattr(report, "user_properties", ())]
    tables: dict[str, Callable[[list[Any]], Iterator[str]]] = {
        FAULT_TABLE: faults.table,
        MATRIX: lambda cells: matrix.table(dict(cells)),
    }
    for title, table in tables.items():
        if rows := [pickle.loads(data) for name, data in properties if name == title]:
            terminalreporter.section(title)
            for line in table(rows):
                terminalreporter.write_line(line)
