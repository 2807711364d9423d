from __future__ import annotations

import os
from pathlib import Path

import pytest

from systemd_docker.errors import AdoptionError
from systemd_docker.service.adoption.limits import carry_limits, levels
from tests.fakes.cgroups import directory

DEFAULTS = {"memory_max": "max", "cpu_max": "max 100000", "pids_max": "max", "io_max": "", "hugetlb_2MB_max": "max"}


def test_limits_that_are_not_set_are_not_carried(tmp_path: Path) -> None:
    source, own = directory(tmp_path, "source", **DEFAULTS), directory(tmp_path, "own")

    carry_limits([source], directory(tmp_path, "target"), own, delegated=True)

    assert os.listdir(own.directory) == []
    assert os.listdir(tmp_path / "target") == []


def test_each_limit_goes_along_once_its_controller_is_there(tmp_path: Path) -> None:
    limits = DEFAULTS | {"memory_max": "67108864", "pids_max": "20", "hugetlb_2MB_max": "0"}
    source, own, target = directory(tmp_path, "source", **limits), directory(tmp_path, "own"), tmp_path / "target"

    carry_limits([source], directory(tmp_path, "target"), own, delegated=True)

    assert sorted(os.listdir(target)) == ["hugetlb.2MB.max", "memory.max", "pids.max"]
    assert (target / "memory.max").read_text() == "67108864"
    assert (target / "pids.max").read_text() == "20"
    assert (Path(own.directory) / "cgroup.subtree_control").read_text() == "+pids"  # the last of three writes


LEVELS = [
    # the scope's, what is below it and has the leader, what the container had in effect; None: not to be told
    ({"pids_max": "20"}, {}, {"pids.max": "20"}),
    ({"pids_max": "4915"}, {"pids_max": "20"}, {"pids.max": "20"}),
    ({"pids_max": "20"}, {"pids_max": "4915"}, {"pids.max": "20"}),
    ({"memory_max": "4096"}, {"pids_max": "20"}, {"memory.max": "4096", "pids.max": "20"}),
    ({"cpu_max": "1 2"}, {"cpu_max": "1 2"}, {"cpu.max": "1 2"}),
    ({"cpu_max": "1 2"}, {"cpu_max": "2 4"}, None),
]


@pytest.mark.parametrize(("scope", "below", "expected"), LEVELS)
def test_the_limits_of_all_levels_hold(
    tmp_path: Path, scope: dict[str, str], below: dict[str, str], expected: dict[str, str] | None
) -> None:
    source, own = directory(tmp_path, "source", **scope), directory(tmp_path, "own")
    of, target = directory(tmp_path, "source/container", **below), directory(tmp_path, "target")
    sources = levels(source, of)
    assert sources == (source, of)

    if expected is None:
        with pytest.raises(AdoptionError, match="both '1 2' and '2 4'"):
            carry_limits(sources, target, own, delegated=True)
        return
    carry_limits(sources, target, own, delegated=True)

    assert {name: target.read(name) for name in os.listdir(target.directory)} == expected


KEPT = [
    # the container's, the unit's own, whether it is as strict
    ({"pids_max": "4915"}, {"pids_max": "4915"}, True),
    ({"pids_max": "4915"}, {"pids_max": "100"}, True),
    ({"pids_max": "20"}, {"pids_max": "4915"}, False),
    ({"memory_max": "67108864"}, {"memory_max": "max"}, False),
    ({"memory_max": "67108864"}, {}, False),
    ({"cpu_max": "50000 100000"}, {"cpu_max": "max 100000"}, False),
    ({"cpu_max": "50000 100000"}, {"cpu_max": "50000 100000"}, True),
    ({"cpu_max": "50000 100000"}, {"cpu_max": "20000 50000"}, True),
    ({"cpu_max": "50000 100000"}, {"cpu_max": "60000 100000"}, False),
    ({"cpu_max": "50000 100000"}, {}, False),
    ({"cpu_weight": "20"}, {"cpu_weight": "100"}, False),
    ({"memory_low": "4096"}, {"memory_low": "0"}, False),
]


@pytest.mark.parametrize(("limits", "own_limits", "kept"), KEPT)
def test_without_delegation_the_unit_has_to_be_as_strict(
    tmp_path: Path, limits: dict[str, str], own_limits: dict[str, str], *, kept: bool
) -> None:
    source, own = directory(tmp_path, "source", **limits), directory(tmp_path, "own", **own_limits)
    target = directory(tmp_path, "target")

    if kept:
        carry_limits([source], target, own, delegated=False)
    else:
        with pytest.raises(AdoptionError, match=r"would lose its limits [a-z]+\.[a-z]+ '") as refused:
            carry_limits([source], target, own, delegated=False)
        assert "Delegate=yes" in refused.value.hint
    assert os.listdir(target.directory) == []


def test_a_refusal_names_every_limit_and_the_units_words_for_them(tmp_path: Path) -> None:
    limits = {"cpu_max": "50000 100000", "memory_max": "67108864", "pids_max": "20"}
    source, own = directory(tmp_path, "source", **limits), directory(tmp_path, "own", pids_max="20")

    with pytest.raises(AdoptionError) as refused:
        carry_limits([source], directory(tmp_path, "target"), own, delegated=False)

    assert "its limits cpu.max '50000 100000', memory.max '67108864': systemd" in str(refused.value)
    assert refused.value.hint == "Set Delegate=yes in the unit, or as strict limits there: CPUQuota=, MemoryMax=."
