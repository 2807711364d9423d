"""v1 hierarchies as directories: a cgroup of v1 is one, and what is asked of it here are its files."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from systemd_docker.errors import AdoptionError
from systemd_docker.kernel import cgroup, mountinfo
from systemd_docker.kernel.cgroup import Cgroup, Hierarchies
from systemd_docker.service.adoption import move, v1_hierarchies
from tests.fakes.storm import storm

ID = "4f" * 32
LEADER = 4711
OWN = "/system.slice/web.service"
MOUNTED = ("cpuacct,cpu", "memory", "pids", "cpuset", "devices", "freezer")

NAMED = [
    # --cgroups=, the hierarchies
    (["cpu"], ["cpuacct,cpu"]),
    (["cpu,cpuacct"], ["cpuacct,cpu"]),
    (["cpuacct", "cpu"], ["cpuacct,cpu"]),
    (["pids", "memory"], ["memory", "pids"]),
    (["all"], ["cpuacct,cpu", "memory", "pids", "cpuset", "freezer"]),
    (["memory", "all"], ["cpuacct,cpu", "memory", "pids", "cpuset", "freezer"]),
    (["devices"], []),
    (["devices", "pids"], ["pids"]),
]


@pytest.mark.parametrize(("names", "expected"), NAMED)
def test_a_hierarchy_is_named_by_any_of_its_controllers_and_the_devices_by_none(
    names: list[str], expected: list[str]
) -> None:
    assert list(v1_hierarchies.named(names, MOUNTED)) == expected


def test_devices_are_not_left_together_with_others() -> None:
    assert v1_hierarchies.named(["cpu", "all"], ("cpu,devices", "pids")) == ("pids",)


@pytest.mark.parametrize("names", [["net_cls"], ["cpu", "net_cls"], ["all", "net_cls"], ["cpu,net_cls"]])
def test_what_is_not_mounted_is_named_with_what_is(names: list[str]) -> None:
    with pytest.raises(AdoptionError, match="--cgroups=net_cls: no such hierarchy") as caught:
        v1_hierarchies.named(names, MOUNTED)

    assert caught.value.hint.startswith("There are cpu, cpuacct, cpuset, devices, freezer, memory, pids, and all")


DEFAULTS = {
    "cpuacct,cpu": {"cpu.shares": "1024", "cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000"},
    "memory": {
        "memory.limit_in_bytes": "9223372036854771712",
        "memory.soft_limit_in_bytes": "9223372036854771712",
        "memory.swappiness": "60",
        "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 3",
    },
    "pids": {"pids.max": "max"},
    "cpuset": {"cpuset.cpus": "0-1", "cpuset.mems": "0"},
    "devices": {"devices.list": "c 1:3 rwm"},
    "freezer": {"freezer.state": "THAWED"},
}


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A /proc of web.service, in which LEADER is the container's first process, without limits.

    systemd has made a cgroup for the unit where it had to: for cpu, memory and pids.
    """
    here = {one: OWN if one in ("cpuacct,cpu", "memory", "pids") else "/" for one in MOUNTED}
    mounts = []
    for number, one in enumerate(MOUNTED):
        options = ",".join(reversed(one.split(",")))
        mounts.append(f"{number} 1 0:{number} / {tmp_path}/{options} rw - cgroup cgroup rw,{options}")
        for place in {"/", here[one], f"/docker/{ID}"}:
            directory = tmp_path / options / place.lstrip("/")
            directory.mkdir(parents=True, exist_ok=True)
            (directory / "cgroup.procs").touch()
            for name, value in DEFAULTS[one].items():
                (directory / name).write_text(f"{value}\n")
    for pid, paths in (("self", here), (str(LEADER), dict.fromkeys(MOUNTED, f"/docker/{ID}"))):
        (tmp_path / "proc" / pid).mkdir(parents=True)
        lines = "".join(f"7:{one}:{path}\n" for one, path in paths.items())
        (tmp_path / "proc" / pid / "cgroup").write_text(f"{lines}1:name=systemd:{OWN}\n0::/\n")
    (tmp_path / "proc/self/mountinfo").write_text("".join(f"{line}\n" for line in mounts))
    return tmp_path / "proc"


def place(proc: Path, *names: str) -> list[str]:
    """Where a container would go, below the directory of all hierarchies."""
    found = v1_hierarchies.places(names, Cgroup("/sys", OWN), LEADER, str(proc))
    return [str(Path(one.directory).relative_to(proc.parent)) for one in found]


def test_the_place_is_where_systemd_has_the_unit(proc: Path) -> None:
    assert place(proc, "cpu", "freezer") == [f"cpu,cpuacct{OWN}", "freezer"]
    assert place(proc, "all") == [f"cpu,cpuacct{OWN}", f"memory{OWN}", f"pids{OWN}", "cpuset", "freezer"]


def test_a_sub_cgroup_of_ours_is_not_the_units(proc: Path) -> None:
    (proc / "self/cgroup").write_text(f"7:pids:{OWN}/supervisor\n")

    assert place(proc, "pids") == [f"pids{OWN}"]


SET = [
    # the hierarchy, an attribute, its value, the message
    ("memory", "memory.limit_in_bytes", "67108864", "memory.limit_in_bytes '67108864'"),
    ("memory", "memory.memsw.limit_in_bytes", "67108864", "memory.memsw.limit_in_bytes"),
    ("memory", "memory.soft_limit_in_bytes", "0", "memory.soft_limit_in_bytes '0'"),
    ("memory", "memory.kmem.limit_in_bytes", "4096", "memory.kmem.limit_in_bytes"),
    ("memory", "memory.swappiness", "0", "memory.swappiness '0'"),
    ("memory", "memory.oom_control", "oom_kill_disable 1\nunder_oom 0", "memory.oom_control 'oom_kill_disable 1"),
    ("cpu,cpuacct", "cpu.shares", "512", "cpu.shares '512'.* in the hierarchy cpuacct,cpu"),
    ("cpu,cpuacct", "cpu.shares", "2048", "cpu.shares '2048'"),
    ("cpu,cpuacct", "cpu.cfs_quota_us", "50000", "cpu.cfs_quota_us '50000'"),
    ("cpu,cpuacct", "cpu.rt_runtime_us", "950000", "cpu.rt_runtime_us"),
    ("cpu,cpuacct", "cpu.uclamp.max", "50.00", "cpu.uclamp.max"),
    ("pids", "pids.max", "20", "pids.max '20'"),
    ("cpuset", "cpuset.cpus", "0", "cpuset.cpus '0'"),
    ("cpuset", "cpuset.mems", "1", "cpuset.mems '1'"),
    ("freezer", "freezer.state", "FROZEN", "freezer.state 'FROZEN'"),
    ("pids", "blkio.weight", "300", "blkio.weight '300'"),
    ("pids", "blkio.bfq.weight_device", "default 100\n8:0 200", "blkio.bfq.weight_device"),
    ("pids", "blkio.throttle.read_bps_device", "8:0 1048576", "blkio.throttle.read_bps_device"),
    ("pids", "net_cls.classid", "1048577", "net_cls.classid"),
    ("pids", "hugetlb.2MB.limit_in_bytes", "2097152", "hugetlb.2MB.limit_in_bytes"),
    ("pids", "hugetlb.1GB.rsvd.limit_in_bytes", "0", "hugetlb.1GB.rsvd.limit_in_bytes"),
    ("pids", "rdma.max", "mlx4_0 hca_handle=2 hca_object=max", "rdma.max"),
]


@pytest.mark.parametrize("level", ["docker", f"docker/{ID}"])
@pytest.mark.parametrize(("hierarchy", "attribute", "value", "said"), SET)
def test_no_process_leaves_a_cgroup_that_limits_it(
    proc: Path, level: str, hierarchy: str, attribute: str, value: str, said: str
) -> None:
    if level == "docker" and attribute in v1_hierarchies.INHERITED:
        pytest.skip("what is below says it as well")
    (proc.parent / hierarchy / level / attribute).write_text(f"{value}\n")

    with pytest.raises(AdoptionError, match=f"would lose its limits {said}") as caught:
        place(proc, "all")

    assert caught.value.hint.startswith("Leave ")


@pytest.mark.parametrize(("hierarchy", "attribute", "value", "_said"), SET)
def test_limits_in_hierarchies_that_are_not_named_stay(
    proc: Path, hierarchy: str, attribute: str, value: str, _said: str
) -> None:
    (proc.parent / hierarchy / "docker" / ID / attribute).write_text(f"{value}\n")
    others = [name for name in ("cpu", "memory", "pids", "cpuset", "freezer") if name not in hierarchy.split(",")]

    assert len(place(proc, *others)) == 4


UNSET = [
    ("pids", "rdma.max", "mlx4_0 hca_handle=max hca_object=max"),
    ("pids", "blkio.bfq.weight", "100"),
    ("pids", "blkio.weight_device", ""),
    ("pids", "net_cls.classid", "0"),
    ("pids", "hugetlb.2MB.limit_in_bytes", "9223372036852678656"),
    ("pids", "hugetlb.16GB.limit_in_bytes", str(2**63 - 2**34)),
    ("pids", "pids.current", "3"),
]


@pytest.mark.parametrize(("hierarchy", "attribute", "value"), UNSET)
def test_a_default_keeps_no_process(proc: Path, hierarchy: str, attribute: str, value: str) -> None:
    (proc.parent / hierarchy / "docker" / ID / attribute).write_text(f"{value}\n")

    assert len(place(proc, "all")) == 5


def test_a_limit_above_both_holds_for_both(proc: Path) -> None:
    (proc / str(LEADER) / "cgroup").write_text(f"7:pids:/system.slice/docker/{ID}\n")
    (proc.parent / "pids/system.slice/docker" / ID).mkdir(parents=True)
    (proc.parent / "pids/system.slice/pids.max").write_text("100\n")
    assert place(proc, "pids") == [f"pids{OWN}"]

    (proc.parent / "pids/system.slice/docker/pids.max").write_text("50\n")
    with pytest.raises(AdoptionError, match=r"pids\.max '50'"):
        place(proc, "pids")


def test_devices_by_name_are_refused_with_a_word_and_no_more(proc: Path, logged: Callable[[], list[str]]) -> None:
    v1_hierarchies.check(["all"], str(proc))
    assert logged() == []

    v1_hierarchies.check(["devices", "pids"], str(proc))
    assert len(logged()) == 1
    assert "stays where the engine's device rules are" in logged()[0]


def test_what_cannot_be_written_to_is_said_before_there_is_a_container(proc: Path) -> None:
    os.unlink(proc.parent / f"memory{OWN}/cgroup.procs")

    v1_hierarchies.check(["pids"], str(proc))
    with pytest.raises(AdoptionError, match=r"memory/system.slice/web.service' is not writable"):
        v1_hierarchies.check(["all"], str(proc))


def test_a_leader_that_is_gone_is_no_limit(proc: Path) -> None:
    with pytest.raises(FileNotFoundError):
        v1_hierarchies.places(["all"], Cgroup("/sys", OWN), LEADER + 1, str(proc))


@pytest.fixture
def cgroup1() -> Iterator[Cgroup]:
    """A fresh cgroup in a real v1 hierarchy, removed afterwards with those below it; its processes have to end."""
    here = cgroup.v1_cgroups(mountinfo.read(), cgroup.read_proc_cgroup("self"))
    mount = next((one.mount for name, one in here.items() if name in ("pids", "freezer")), "")
    if not os.access(f"{mount}/cgroup.procs", os.W_OK):
        pytest.skip("needs a writable cgroup v1 hierarchy")
    own = Cgroup(mount, f"/systemd-docker-test-{os.getpid()}")
    own.make()
    yield own
    own.remove()


def test_a_storm_is_moved_whole_in_two_hierarchies(cgroup1: Cgroup, cgroup2: Cgroup) -> None:
    everywhere = [tree.child(name) for tree in (cgroup1, cgroup2) for name in ("source", "own")]
    for one in everywhere:
        one.make()
    left, place, source, own = everywhere
    with storm(source, left) as payload:
        move.move_v1(source, own, Hierarchies("", own.mount), (place,))

        assert not source.pids()
        assert not left.pids()
        assert payload in own.pids()
        assert payload in place.pids()
    assert own.wait_for("populated 0", time.monotonic() + 5)
