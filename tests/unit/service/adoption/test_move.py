from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from systemd_docker.errors import AdoptionError
from systemd_docker.kernel.cgroup import Cgroup
from systemd_docker.service.adoption import move
from tests.fakes.storm import storm

ID = "4f" * 32

SOURCES = [
    (f"/system.slice/docker-{ID}.scope", f"/system.slice/docker-{ID}.scope"),
    (f"/docker/{ID}", f"/docker/{ID}"),
    (f"/docker/{ID}/init.scope", f"/docker/{ID}"),
    (f"/system.slice/docker-{ID}.scope/a/b", f"/system.slice/docker-{ID}.scope"),
]


@pytest.mark.parametrize(("path", "expected"), SOURCES)
def test_the_containers_cgroup_is_the_one_that_is_named_for_it(path: str, expected: str) -> None:
    assert move.container_cgroup(Cgroup("/c", path), ID) == Cgroup("/c", expected)


@pytest.mark.parametrize(
    ("path", "container_id"),
    [
        ("/", ID),
        ("/docker", ID),
        ("/system.slice/docker.service", ID),
        ("/system.slice/web.service", ID),
        (f"/docker/{'5e' * 32}", ID),
        (f"/docker/{ID[:63]}", ID),
        (f"/docker/{ID}", ID[:12]),
        (f"/docker/{ID}", ""),
    ],
)
def test_nobody_is_moved_from_a_cgroup_that_is_not_the_containers(path: str, container_id: str) -> None:
    with pytest.raises(AdoptionError, match="not the container's own"):
        move.container_cgroup(Cgroup("/c", path), container_id)


def directory(root: Path, name: str, **attributes: str) -> Cgroup:
    """A directory with files that stand for attributes; "memory_max" is memory.max."""
    (root / name).mkdir()
    for attribute, value in attributes.items():
        (root / name / attribute.replace("_", ".")).write_text(f"{value}\n")
    return Cgroup(str(root), f"/{name}")


DEFAULTS = {"memory_max": "max", "cpu_max": "max 100000", "pids_max": "max", "io_max": "", "hugetlb_2MB_max": "max"}


def test_limits_that_nobody_has_set_are_not_carried(tmp_path: Path) -> None:
    source, own = directory(tmp_path, "source", **DEFAULTS), directory(tmp_path, "own")

    move._carry_limits([source], directory(tmp_path, "target"), own, delegated=True)

    assert os.listdir(own.directory) == []
    assert os.listdir(tmp_path / "target") == []


def test_each_limit_goes_along_once_its_controller_is_there(tmp_path: Path) -> None:
    limits = DEFAULTS | {"memory_max": "67108864", "pids_max": "20", "hugetlb_2MB_max": "0"}
    source, own, target = directory(tmp_path, "source", **limits), directory(tmp_path, "own"), tmp_path / "target"

    move._carry_limits([source], directory(tmp_path, "target"), own, delegated=True)

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
    levels = move._levels(source, of)
    assert levels == (source, of)

    if expected is None:
        with pytest.raises(AdoptionError, match="both '1 2' and '2 4'"):
            move._carry_limits(levels, target, own, delegated=True)
        return
    move._carry_limits(levels, target, own, delegated=True)

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
        move._carry_limits([source], target, own, delegated=False)
    else:
        with pytest.raises(AdoptionError, match=r"would lose its limits [a-z]+\.[a-z]+ '") as refused:
            move._carry_limits([source], target, own, delegated=False)
        assert "Delegate=yes" in refused.value.hint
    assert os.listdir(target.directory) == []


def test_a_refusal_names_every_limit_and_the_units_words_for_them(tmp_path: Path) -> None:
    limits = {"cpu_max": "50000 100000", "memory_max": "67108864", "pids_max": "20"}
    source, own = directory(tmp_path, "source", **limits), directory(tmp_path, "own", pids_max="20")

    with pytest.raises(AdoptionError) as refused:
        move._carry_limits([source], directory(tmp_path, "target"), own, delegated=False)

    assert "its limits cpu.max '50000 100000', memory.max '67108864': systemd" in str(refused.value)
    assert refused.value.hint == "Set Delegate=yes in the unit, or as strict limits there: CPUQuota=, MemoryMax=."


def test_a_process_that_cannot_be_named_is_not_taken_for_ourselves(tmp_path: Path) -> None:
    source, target = directory(tmp_path, "source", cgroup_procs="0"), directory(tmp_path, "target")

    with pytest.raises(AdoptionError, match="could not all be moved"):
        move._move_all(source, (target,), time.monotonic() + 0.01)

    assert (tmp_path / "target" / "cgroup.procs").read_text() == str(move.NO_PID)


def test_a_storm_is_frozen_and_moved_with_those_below(cgroup2: Cgroup) -> None:
    source = cgroup2.child("source")
    below = source.child("below")
    source.make()
    below.make()
    with storm(below) as payload:
        move._take_over_unified(source, source, cgroup2, delegated=True)

        assert not source.pids()
        assert not below.pids()
        assert payload in cgroup2.child("payload").pids()
        assert cgroup2.child("payload").wait_for("frozen 0", time.monotonic() + 5)
    assert cgroup2.child("payload").wait_for("populated 0", time.monotonic() + 5)


def test_what_an_earlier_container_left_makes_way(cgroup2: Cgroup) -> None:
    source, old = cgroup2.child("source"), cgroup2.child("payload").child("old")
    source.make()
    cgroup2.child("payload").make()
    old.make()

    move._take_over_unified(source, source, cgroup2, delegated=True)

    assert not os.path.exists(old.directory)


def test_waiting_for_an_event_has_an_end(cgroup2: Cgroup) -> None:
    assert not cgroup2.wait_for("frozen 1", time.monotonic() + 0.01)
