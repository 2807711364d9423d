from __future__ import annotations

import os
from pathlib import Path

import pytest

from systemd_docker.kernel import cgroup
from systemd_docker.kernel.cgroup import Cgroup, Hierarchies
from tests.fakes.storm import ORPHANS, storm

UNIFIED = """\
22 1 0:21 / / rw,relatime shared:1 - overlay overlay rw
30 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate
41 30 0:26 /system.slice/web.service/memory.pressure /sys/fs/cgroup/x ro - cgroup2 cgroup2 rw
"""
HYBRID = """\
30 23 0:26 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
31 30 0:27 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw
32 30 0:28 / /sys/fs/cgroup/systemd rw,nosuid - cgroup cgroup rw,xattr,name=systemd
33 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct
"""
ELSEWHERE = "30 23 0:26 / /mnt/my\\040cgroups rw - cgroup2 cgroup2 rw\n"


@pytest.mark.parametrize(
    ("mountinfo", "expected"),
    [
        (UNIFIED, Hierarchies("/sys/fs/cgroup", "")),
        (HYBRID, Hierarchies("", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified")),
        (ELSEWHERE, Hierarchies("/mnt/my cgroups", "")),
    ],
)
def test_the_hierarchy_of_systemd_is_found_in_mountinfo(mountinfo: str, expected: Hierarchies) -> None:
    assert cgroup.find_hierarchies(mountinfo) == expected


def test_v1_hierarchies_with_controllers_are_found() -> None:
    text = "9:cpuacct,cpu:/a.service\n3:pids:/b.service\n1:name=systemd:/c.service\n0::/d.service\n"

    assert cgroup.v1_cgroups(UNIFIED, text) == {}
    assert cgroup.v1_cgroups(HYBRID, text) == {"cpuacct,cpu": Cgroup("/sys/fs/cgroup/cpu,cpuacct", "/a.service")}


def test_without_a_cgroup_filesystem_nothing_is_guessed() -> None:
    with pytest.raises(LookupError):
        cgroup.find_hierarchies("22 1 0:21 / / rw - overlay overlay rw\n")


@pytest.mark.parametrize(
    ("hierarchies", "text", "expected"),
    [
        (Hierarchies("/c", ""), "0::/system.slice/a.service\n", Cgroup("/c", "/system.slice/a.service")),
        (Hierarchies("/c", ""), "5:memory:/x\n0::/a:b.service\n", Cgroup("/c", "/a:b.service")),
        (
            Hierarchies("", "/s"),
            "2:cpu,cpuacct:/c\n1:name=systemd:/a.service\n0::/a.service\n",
            Cgroup("/s", "/a.service"),
        ),
    ],
)
def test_the_service_is_read_from_systemds_own_hierarchy(
    hierarchies: Hierarchies, text: str, expected: Cgroup
) -> None:
    assert hierarchies.of_service(text) == expected


def test_a_missing_hierarchy_is_said() -> None:
    with pytest.raises(LookupError, match="name=systemd"):
        Hierarchies("", "/s").of_service("0::/a.service\n")


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        ("/system.slice/a.service", True),
        ("/system.slice/a.service/payload.slice:docker:1", True),
        ("/system.slice/a.service2", False),
        ("/system.slice", False),
    ],
)
def test_contains_looks_at_whole_components(path: str, *, inside: bool) -> None:
    assert Cgroup("/c", "/system.slice/a.service").contains(path) is inside


@pytest.mark.parametrize(
    ("root", "path", "inside"),
    [
        ("/", "/payload.slice:docker:1", True),
        ("/", "/", True),
        ("/", "/../docker.service", False),
        ("/", "/..", False),
        ("/..", "/../payload.slice:docker:1", True),
        ("/..", "/../../docker.service", False),
        ("/..", "/", False),
    ],
)
def test_contains_knows_what_is_outside_of_the_cgroup_namespace(root: str, path: str, *, inside: bool) -> None:
    assert Cgroup("/c", root).contains(path) is inside


def test_write_attribute_names_the_attribute(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none/cgroup\.procs"):
        cgroup.write_attribute(f"{tmp_path}/none/cgroup.procs", "1")


def test_read_hierarchies_takes_the_proc_it_is_given(tmp_path: Path) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self/mountinfo").write_text(UNIFIED)
    (tmp_path / "self/cgroup").write_text("0::/system.slice/web.service\n")

    hierarchies = cgroup.read_hierarchies(str(tmp_path))

    assert hierarchies.of_service(cgroup.read_proc_cgroup("self", str(tmp_path))).path == "/system.slice/web.service"


def test_move_processes_outruns_a_forking_payload(cgroup2: Cgroup) -> None:
    source, target = cgroup2.child("source"), cgroup2.child("target")
    source.make()
    target.make()
    with storm(source, act=ORPHANS) as payload:
        left = cgroup.move_processes(source, target)
        members = target.pids()

    assert left == frozenset()
    assert payload in members
    while target.pids():
        pass


def test_attach_names_the_attribute_and_the_process_that_is_gone(cgroup2: Cgroup) -> None:
    with pytest.raises(ProcessLookupError, match=r"cgroup\.procs"):
        cgroup2.attach(2**22 + 1)


def test_a_cgroup_that_systemd_has_not_marked_is_not_delegated(cgroup2: Cgroup) -> None:
    assert not cgroup2.is_delegated()

    os.setxattr(cgroup2.directory, "trusted.delegate", b"1")

    assert cgroup2.is_delegated()
