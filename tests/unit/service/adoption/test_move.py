from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from systemd_docker.errors import AdoptionError
from systemd_docker.kernel.cgroup import Cgroup
from systemd_docker.service.adoption import move
from tests.fakes.cgroups import directory
from tests.fakes.storm import storm

if TYPE_CHECKING:
    from pathlib import Path

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
def test_no_process_is_moved_from_a_cgroup_that_is_not_the_containers(path: str, container_id: str) -> None:
    with pytest.raises(AdoptionError, match="not the container's own"):
        move.container_cgroup(Cgroup("/c", path), container_id)


def test_a_process_that_cannot_be_named_is_not_taken_for_ourselves(tmp_path: Path) -> None:
    source, target = directory(tmp_path, "source", cgroup_procs="0"), directory(tmp_path, "target")

    with pytest.raises(AdoptionError, match="could not all be moved"):
        move.move_all(source, (target,), time.monotonic() + 0.01)

    assert (tmp_path / "target" / "cgroup.procs").read_text() == str(move.NO_PID)


def test_a_storm_is_frozen_and_moved_with_those_below(cgroup2: Cgroup) -> None:
    source = cgroup2.child("source")
    below = source.child("below")
    source.make()
    below.make()
    with storm(below) as payload:
        move.move_unified(source, source, cgroup2, delegated=True)

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

    move.move_unified(source, source, cgroup2, delegated=True)

    assert not os.path.exists(old.directory)


def test_waiting_for_an_event_has_an_end(cgroup2: Cgroup) -> None:
    assert not cgroup2.wait_for("frozen 1", time.monotonic() + 0.01)


def test_a_failure_leaves_neither_cgroup_frozen(cgroup2: Cgroup) -> None:
    source = cgroup2.child("source")
    source.make()

    with pytest.raises(FileNotFoundError):
        move.move_unified(source, source.child("gone"), cgroup2, delegated=True)

    assert source.read("cgroup.freeze") == "0"
    assert cgroup2.child("payload").read("cgroup.freeze") == "0"
