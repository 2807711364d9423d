from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from systemd_docker.options.client import Client
from systemd_docker.options.create_request import create_request
from systemd_docker.options.run_options import parse_run
from systemd_docker.plan import mounts
from systemd_docker.plan.mounts import BIND, CONTAINER, VOLUME, Mount, ReadOnlySource

if TYPE_CHECKING:
    from systemd_docker.jsonobj import JsonObject

CLIENT = Client({}, "/srv", lambda path: path.encode(), {}, (1, 50), "/run/docker.sock")
BIND_A = "--mount=type=bind,src=/srv/a,dst=/a"
PRIVATE = "bind-propagation=rprivate"
OPTIONS = (("device", "/srv/a"), ("o", "rbind"), ("type", "none"))


def body_of(*words: str) -> JsonObject:
    return create_request(parse_run([*words, "busybox"]), CLIENT).body


RECURSIVE: list[tuple[list[str], list[Mount], list[Mount] | None]] = [
    # docker-run's words, the mounts that the engine makes read-only all the way down, by the API version of a client
    (["--volume=/srv/a:/a"], [], []),
    (["--volume=/srv/a:/a:ro"], [Mount(BIND, "/srv/a", "/a", is_writable=False)], []),
    (["--volume=/srv/a:/a:rslave,ro"], [Mount(BIND, "/srv/a", "/a", is_writable=False)], []),
    (["--volume=/a"], [], []),
    (["--read-only", "--volume=/srv/a:/a"], [], []),
    (["--tmpfs=/a"], [], []),
    ([BIND_A], [], []),
    ([f"{BIND_A},readonly"], [Mount(BIND, "/srv/a", "/a", is_writable=False)], []),
    ([f"{BIND_A},readonly,bind-recursive=enabled"], [Mount(BIND, "/srv/a", "/a", is_writable=False)], []),
    ([f"{BIND_A},readonly,bind-recursive=disabled"], [], []),
    ([f"{BIND_A},readonly,bind-recursive=writable"], [], []),
    (["--volume=data:/a:ro"], [Mount(VOLUME, "data", "/a", is_writable=False)], None),
    (["--mount=src=data,dst=/a,readonly"], [Mount(VOLUME, "data", "/a", is_writable=False)], None),
    (
        ["--volume-driver=nfs", "--volume=data:/a:ro"],
        [Mount(VOLUME, "data", "/a", is_writable=False, driver="nfs")],
        None,
    ),
    (
        ["--mount=dst=/a,ro,volume-opt=device=/srv/a,volume-opt=o=rbind,volume-opt=type=none"],
        [Mount(VOLUME, "", "/a", is_writable=False, options=OPTIONS)],
        None,
    ),
    (["--volumes-from=other"], [Mount(CONTAINER, "other")], None),
    (["--volumes-from=other:z,ro"], [Mount(CONTAINER, "other", is_writable=False)], None),
]


@pytest.mark.parametrize(("words", "expected", "to_older_clients"), RECURSIVE)
def test_which_mounts_are_read_only_all_the_way_down(
    words: list[str], expected: list[Mount], to_older_clients: list[Mount] | None
) -> None:
    body = body_of(*words)

    assert list(mounts.read_only_mounts(body, (1, 44))) == expected
    older = expected if to_older_clients is None else to_older_clients
    assert list(mounts.read_only_mounts(body, (1, 43))) == older


def test_a_demand_for_all_of_it_counts_with_every_client() -> None:
    body = body_of(f"{BIND_A},readonly,bind-recursive=readonly,{PRIVATE}")

    for api in ((1, 43), (1, 44)):
        assert [mount.is_forced for mount in mounts.read_only_mounts(body, api)] == [True]


MOUNTINFO = r"""
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
22 21 0:5 / /proc rw,nosuid - proc proc rw
23 21 8:2 / /srv/a rw,relatime shared:2 - ext4 /dev/sda2 rw
24 23 0:30 / /srv/a/sub rw,relatime shared:3 - tmpfs tmpfs rw
25 23 0:31 / /srv/a/sub/read\040only ro,relatime shared:4 - tmpfs tmpfs rw
26 23 7:0 / /srv/a/squashfs rw,relatime shared:5 - squashfs /dev/loop0 ro
27 21 0:32 / /srv/ab rw,relatime - tmpfs tmpfs rw
28 21 0:33 / /srv/c/ro ro,relatime - tmpfs tmpfs rw
29 21 0:34 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate
""".lstrip()

BELOW: list[tuple[str, list[str]]] = [
    ("/srv/a", ["/srv/a/squashfs", "/srv/a/sub"]),
    ("/srv/a/sub", []),
    ("/srv/ab", []),
    ("/srv/c", []),
    ("/nowhere", []),
    ("/", ["/proc", "/srv/a", "/srv/a/squashfs", "/srv/a/sub", "/srv/ab", "/sys/fs/cgroup"]),
]


@pytest.mark.parametrize(("path", "expected"), BELOW)
def test_mounts_below_a_path_that_are_not_read_only_themselves(path: str, expected: list[str]) -> None:
    assert list(mounts.writable_below(MOUNTINFO, path)) == expected


LOST: list[tuple[list[ReadOnlySource], str, str]] = [
    ([], MOUNTINFO, ""),
    ([ReadOnlySource("/srv/ab", ("/srv/ab",))], MOUNTINFO, ""),
    ([ReadOnlySource("/srv/ab", ("/srv/ab",))], "", "the mounts below the read-only '/srv/ab' cannot be read"),
    ([ReadOnlySource("data", unknown="only the driver knows")], MOUNTINFO, "only the driver knows"),
    (
        [ReadOnlySource("/srv/ab", ("/srv/ab",)), ReadOnlySource("/link", ("/srv/a",))],
        MOUNTINFO,
        "'/srv/a/squashfs' and 1 more would stay writable below the read-only '/link'",
    ),
]


@pytest.mark.parametrize(("sources", "mountinfo", "expected"), LOST)
def test_what_would_be_lost_is_named(sources: list[ReadOnlySource], mountinfo: str, expected: str) -> None:
    assert mounts.what_stays_writable(tuple(sources), mountinfo) == expected


TREES = [
    ("/sys/fs/cgroup:/sys/fs/cgroup", "/sys/fs/cgroup"),
    ("/sys/fs/cgroup/:/host", "/sys/fs/cgroup/"),
    ("/sys/fs/cgroup/system.slice:/host", "/sys/fs/cgroup/system.slice"),
    ("/sys/fs/cgroup:/sys/fs/cgroup:ro", ""),
    ("/sys/fs:/host", ""),
    ("/srv:/host", ""),
]


@pytest.mark.parametrize(("spec", "expected"), TREES)
def test_a_writable_cgroup_tree_is_found(spec: str, expected: str) -> None:
    assert mounts.writable_cgroup_tree(body_of(f"--volume={spec}"), MOUNTINFO) == expected
    option = f"type=bind,src={spec.split(':')[0]},dst=/x{',ro' if spec.endswith(':ro') else ''}"
    assert mounts.writable_cgroup_tree(body_of(f"--mount={option}"), MOUNTINFO) == expected


def test_the_kernel_keeps_namespaces_apart_where_it_is_told_to() -> None:
    assert mounts.keeps_namespaces_apart(MOUNTINFO)
    assert not mounts.keeps_namespaces_apart(MOUNTINFO.replace(",nsdelegate", ""))
    assert not mounts.keeps_namespaces_apart("")
