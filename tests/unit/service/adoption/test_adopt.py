from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from systemd_docker.errors import AdoptionError
from systemd_docker.plan.adoption import SHIM_RUNTIME, AdoptionPlan
from systemd_docker.service.adoption import adopt
from systemd_docker.service.adoption.make_room import planned

if TYPE_CHECKING:
    from pathlib import Path

ROOT = "20 1 0:4 / / rw - ext4 /dev/sda1 rw\n"
SUBMOUNT = "21 1 0:5 / /srv/a/sub rw,relatime - tmpfs tmpfs rw\n"


def proc(directory: Path, pid: str, mountinfo: str) -> None:
    (directory / pid).mkdir()
    (directory / pid / "mountinfo").write_text(mountinfo)


def test_a_mount_that_came_after_the_plan_ends_the_start(tmp_path: Path) -> None:
    proc(tmp_path, "1", ROOT + SUBMOUNT)
    proc(tmp_path, "self", ROOT)

    with pytest.raises(AdoptionError, match="'/srv/a/sub' was mounted below '/srv/a'"):
        adopt.check_read_only(("/srv/b", "/srv/a"), str(tmp_path))
    adopt.check_read_only(("/srv/b",), str(tmp_path))


def test_without_a_look_at_the_hosts_mounts_the_units_own_are_seen(tmp_path: Path) -> None:
    proc(tmp_path, "self", ROOT + SUBMOUNT)

    with pytest.raises(AdoptionError, match="'/srv/a/sub'"):
        adopt.check_read_only(("/srv/a",), str(tmp_path))


def test_only_a_runtime_that_the_engine_does_not_know_is_checked() -> None:
    plan = AdoptionPlan("parent", "", read_only=("/srv/a",))

    assert planned(plan, SHIM_RUNTIME).read_only == ("/srv/a",)
    assert planned(plan, "runc").read_only == ()
