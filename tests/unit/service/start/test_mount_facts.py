from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from systemd_docker.engine import client, http
from systemd_docker.engine.models import EngineInfo
from systemd_docker.errors import EngineError
from systemd_docker.frozen import replace
from systemd_docker.plan.mounts import ReadOnlySource
from systemd_docker.service.start import mount_facts

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fakes.engine import FakeEngine

INFO = EngineInfo("26.1.5+dfsg1", "systemd", "runc", {"runc": "runc"}, ())


def look_up(engine: FakeEngine, info: EngineInfo = INFO, **host_config: Any) -> list[ReadOnlySource]:
    return list(
        mount_facts.look_up({"HostConfig": host_config}, client.connect(engine.path, wait=http.wait_ready), info)
    )


def volume(engine: FakeEngine, name: str, mountpoint: str, driver: str = "local", **options: str) -> None:
    engine.volumes[name] = {"Name": name, "Driver": driver, "Mountpoint": mountpoint, "Options": options or None}


def test_symbolic_links_are_followed(engine: FakeEngine, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    link = str(tmp_path / "link")

    assert look_up(engine, Binds=[f"{link}:/a:ro"]) == [ReadOnlySource(link, (f"{tmp_path}/real",))]


@pytest.mark.parametrize("info", [replace(INFO, version="24.0.9"), replace(INFO, cgroup_driver="cgroupfs")])
def test_where_nothing_can_be_lost_nothing_is_asked(engine: FakeEngine, info: EngineInfo) -> None:
    assert look_up(engine, info, Binds=["/srv/a:/a:ro"], VolumesFrom=["other"]) == []
    assert not engine.matching("GET /containers/other/json")


def test_a_volume_is_where_the_engine_says(engine: FakeEngine, tmp_path: Path) -> None:
    volume(engine, "data", f"{tmp_path}/_data")
    volume(engine, "bound", f"{tmp_path}/bound", type="none", o="rbind", device=f"{tmp_path}/device")
    volume(engine, "nfs", f"{tmp_path}/nfs", type="nfs", o="addr=10.0.0.1", device=":/export")

    found = look_up(engine, Binds=["data:/a:ro", "bound:/b:ro", "nfs:/c:ro", "new:/d:ro"])

    assert found == [
        ReadOnlySource("data", (f"{tmp_path}/_data",)),
        ReadOnlySource("bound", (f"{tmp_path}/bound", f"{tmp_path}/device")),
        ReadOnlySource("nfs", (f"{tmp_path}/nfs",)),
        ReadOnlySource("new"),
    ]


def test_what_another_driver_mounts_is_not_known(engine: FakeEngine) -> None:
    volume(engine, "data", "", driver="rclone")

    found = look_up(engine, Binds=["data:/a:ro", "new:/b:ro"], VolumeDriver="sshfs")

    assert [source.unknown for source in found] == [
        "only its driver 'rclone' knows the mounts below the read-only 'data'",
        "only its driver 'sshfs' knows the mounts below the read-only 'new'",
    ]


def test_a_demand_for_all_of_it_is_never_left_to_luck(engine: FakeEngine) -> None:
    bind = {"ReadOnlyForceRecursive": True}
    mount = {"Type": "bind", "Source": "/srv/a", "Target": "/a", "ReadOnly": True, "BindOptions": bind}

    assert look_up(engine, Mounts=[mount])[0].unknown == "bind-recursive=readonly is asked for '/srv/a'"


def test_mounts_of_another_container_are_looked_up(engine: FakeEngine) -> None:
    engine.add("other", request={"HostConfig": {"Binds": ["/nowhere/a:/a", "/nowhere/b:/b:ro", "data:/c:ro"]}})
    volume(engine, "data", "/nowhere/data")

    def names(spec: str) -> list[str]:
        return [source.name for source in look_up(engine, VolumesFrom=[spec])]

    assert names("other") == ["/nowhere/b", "data"]
    assert names("other:ro") == ["/nowhere/a", "/nowhere/b", "data"]
    assert names("nosuch:ro") == [], "the engine refuses the container"


def test_an_engine_that_cannot_say_leaves_no_plan(engine: FakeEngine) -> None:
    engine.fail("GET /volumes/data", 500, "no space left on device")

    with pytest.raises(EngineError, match="no space left"):
        look_up(engine, Binds=["data:/a:ro"])
