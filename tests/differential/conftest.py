"""The live comparison costs a minute or two, so it runs only where it is asked for: pytest -m differential."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "differential: runs a docker CLI some thousand times; see tests/differential/")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "differential" in config.option.markexpr:
        return
    for item in items:
        if item.get_closest_marker("differential"):
            item.add_marker(pytest.mark.skip(reason="slow; run it with -m differential"))
