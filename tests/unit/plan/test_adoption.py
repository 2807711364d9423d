from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from systemd_docker.engine.models import EngineInfo
from systemd_docker.errors import AdoptionError
from systemd_docker.frozen import replace
from systemd_docker.kernel.cgroup import Cgroup
from systemd_docker.options.run_options import parse_run
from systemd_docker.plan import adoption
from systemd_docker.plan.adoption import CONFIGURED_RUNTIME, SHIM_RUNTIME, AdoptionPlan, choose_adoptions
from systemd_docker.plan.facts import PlanFacts
from systemd_docker.plan.mounts import ReadOnlySource
from systemd_docker.sd.unit_properties import UnitProperties
from systemd_docker.unit import UnitContext

if TYPE_CHECKING:
    from systemd_docker.jsonobj import JsonObject, JsonValue

UNIT = UnitContext(
    name="web.service",
    cgroup=Cgroup("/sys/fs/cgroup", "/system.slice/web.service"),
    is_user=False,
    is_delegated=True,
    unified=True,
    is_v1_alone=False,
    invocation_id="0" * 32,
    notify_socket="",
    watchdog_usec=0,
    stdout_is_journal=False,
    stderr_is_journal=False,
    directory="/",
    runtime_directory="/run",
    environ={},
)
UNDELEGATED = replace(UNIT, is_delegated=False)
V1 = replace(UNIT, is_delegated=False, unified=False)
USERS = replace(UNIT, is_user=True)
HIDDEN = replace(UNIT, cgroup=Cgroup("/sys/fs/cgroup", "/"), control_group="/system.slice/web.service")
IN_SUBGROUP = replace(HIDDEN, cgroup=Cgroup("/sys/fs/cgroup", "/.."))
ALONE = replace(UNIT, name="", cgroup=None)

TRIXIE = EngineInfo("26.1.5+dfsg1", "systemd", "runc", {"io.containerd.runc.v2": "", "runc": "runc"}, ())
DEVELOPMENT = replace(TRIXIE, version="dev")
BOOKWORM = replace(TRIXIE, version="20.10.24+dfsg1")
CONFIGURED = replace(BOOKWORM, runtimes={**BOOKWORM.runtimes, CONFIGURED_RUNTIME: "/r"})
CGROUPFS = replace(BOOKWORM, cgroup_driver="cgroupfs")
ROOTLESS = replace(TRIXIE, security_options=("name=rootless",))
UNLIMITED = replace(ROOTLESS, has_limits=False)
WITHOUT_CGROUPS = replace(UNLIMITED, cgroup_driver="none")
FAST = replace(TRIXIE, runtimes={**TRIXIE.runtimes, "fast": "/usr/local/bin/crun"})
NVIDIA = replace(TRIXIE, default_runtime="nvidia")


def choose(wanted: str, unit: UnitContext, info: EngineInfo, *words: str) -> tuple[AdoptionPlan, ...]:
    return choose_adoptions(wanted, parse_run([*words, "busybox"]), PlanFacts(unit, UnitProperties(), info))


PARENT, MOVE, NONE = "parent", "move", "none"
SHIM = f"parent {SHIM_RUNTIME}"
LISTED = f"parent {CONFIGURED_RUNTIME}"

WAYS = [
    # --adopt=, the unit, the engine, docker-run's words, the ways that are tried
    ("auto", UNIT, CGROUPFS, [], [PARENT, MOVE]),
    ("auto", UNIT, TRIXIE, [], [SHIM, MOVE]),
    ("auto", UNIT, DEVELOPMENT, [], [SHIM, MOVE]),
    ("auto", UNIT, replace(CONFIGURED, version="dev"), [], [SHIM, LISTED, MOVE]),
    ("auto", UNIT, CONFIGURED, [], [LISTED, MOVE]),
    ("auto", UNIT, BOOKWORM, [], [MOVE]),
    ("auto", UNIT, TRIXIE, ["--runtime=nvidia"], [MOVE]),
    ("auto", UNIT, CGROUPFS, ["--runtime=crun"], [PARENT, MOVE]),
    ("auto", UNIT, NVIDIA, [], [MOVE]),
    ("auto", UNIT, TRIXIE, ["--cgroup-parent=x.slice"], [NONE]),
    ("auto", UNDELEGATED, TRIXIE, [], [MOVE]),
    ("auto", UNDELEGATED, CGROUPFS, [], [MOVE]),
    ("auto", V1, TRIXIE, [], [SHIM]),
    ("auto", V1, CGROUPFS, [], [PARENT, MOVE]),
    ("auto", USERS, TRIXIE, [], [SHIM]),
    ("auto", USERS, ROOTLESS, [], [SHIM, MOVE]),
    ("auto", replace(USERS, is_delegated=False), ROOTLESS, [], [MOVE]),
    ("auto", USERS, ROOTLESS, ["--runtime=nvidia"], [MOVE]),
    ("auto", USERS, UNLIMITED, [], [MOVE]),
    ("none", USERS, WITHOUT_CGROUPS, [], [NONE]),
    ("auto", HIDDEN, TRIXIE, [], [SHIM]),
    ("auto", HIDDEN, CGROUPFS, [], [PARENT]),
    ("parent", UNIT, TRIXIE, [], [SHIM]),
    ("move", UNIT, TRIXIE, [], [MOVE]),
    ("move", V1, CGROUPFS, [], [MOVE]),
    ("none", UNIT, TRIXIE, [], [NONE]),
    ("none", ALONE, TRIXIE, [], [NONE]),
]


CGROUPS = [
    # --adopt=, the unit, --cgroups=, the hierarchies that are moved besides systemd's, by way
    ("auto", V1, ["name=systemd"], [(), ()]),
    ("auto", V1, ["all"], [(), ("all",)]),
    ("move", V1, [], [()]),
    ("move", V1, ["name=systemd", "cpu", "memory"], [("cpu", "memory")]),
    ("move", UNIT, ["all"], [()]),
    ("none", V1, ["all"], [()]),
]


@pytest.mark.parametrize(("wanted", "unit", "cgroups", "expected"), CGROUPS)
def test_hierarchies_are_named_for_moving_on_v1(
    wanted: str, unit: UnitContext, cgroups: list[str], expected: list[tuple[str, ...]]
) -> None:
    ways = choose_adoptions(
        wanted, parse_run(["busybox"]), PlanFacts(unit, UnitProperties(), CGROUPFS), cgroups=cgroups
    )

    assert [way.cgroups for way in ways] == expected
    assert [f"--cgroups={','.join(way.cgroups)}" in way.reason for way in ways] == [bool(one) for one in expected]


@pytest.mark.parametrize(("wanted", "unit", "info", "words", "expected"), WAYS)
def test_the_ways_that_may_work_come_best_first(
    wanted: str, unit: UnitContext, info: EngineInfo, words: list[str], expected: list[str]
) -> None:
    ways = choose(wanted, unit, info, *words)

    assert [f"{way.strategy} {way.runtime}".strip() for way in ways] == expected


REFUSED = [
    # --adopt=, the unit, the engine, docker-run's words, the reason, the remedy
    ("auto", ALONE, TRIXIE, [], "not started as a systemd service", "systemd-run"),
    ("auto", UNIT, ROOTLESS, [], "rootless engine", "--adopt=none"),
    ("parent", USERS, UNLIMITED, [], "the rootless engine has no controllers", "--adopt=none"),
    ("parent", replace(USERS, unified=False), ROOTLESS, [], "only with cgroup v2", "--adopt=none"),
    ("parent", USERS, ROOTLESS, ["--runtime=nvidia"], "--runtime", "Use --adopt=none"),
    ("auto", USERS, WITHOUT_CGROUPS, [], "makes no cgroups for its containers", "native.cgroupdriver"),
    ("move", USERS, WITHOUT_CGROUPS, [], "makes no cgroups for its containers", "native.cgroupdriver"),
    ("move", replace(USERS, unified=False), ROOTLESS, [], "only with cgroup v2", "--adopt=none"),
    ("auto", V1, BOOKWORM, [], "slices only", CONFIGURED_RUNTIME),
    ("auto", USERS, BOOKWORM, [], "slices only", "cgroupfs"),
    ("parent", UNIT, BOOKWORM, [], "slices only", CONFIGURED_RUNTIME),
    ("parent", UNIT, NVIDIA, [], "'nvidia'", "cgroupfs"),
    ("parent", UNIT, TRIXIE, ["--runtime=crun"], "--runtime", "cgroupfs"),
    ("parent", UNIT, CGROUPFS, ["--cgroup-parent=/x"], "--cgroup-parent", "--adopt=none"),
    ("parent", UNDELEGATED, CGROUPFS, [], "not delegated", "Delegate=yes"),
    ("move", V1, TRIXIE, [], "docker exec fails", "--adopt=parent"),
    ("auto", UNIT, TRIXIE, ["--runtime=crun"], "--runtime", "cgroupfs"),
    ("auto", UNIT, FAST, ["--runtime=fast"], "--runtime", "cgroupfs"),
    ("move", UNIT, FAST, ["--runtime=fast"], "with crun .* docker exec fails", "cgroupfs"),
    ("move", UNIT, replace(FAST, default_runtime="fast"), [], "with crun .* docker exec fails", "cgroupfs"),
    ("move", UNIT, ROOTLESS, [], "its user's manager", "--adopt=none"),
    ("move", USERS, TRIXIE, [], "only its rootless engine's", "--adopt=none"),
    ("move", UNIT, TRIXIE, ["--cgroup-parent=x.slice"], "--cgroup-parent", "--adopt=none"),
]


@pytest.mark.parametrize(("wanted", "unit", "info", "words", "reason", "remedy"), REFUSED)
def test_what_cannot_be_says_why_and_what_to_do(
    wanted: str, unit: UnitContext, info: EngineInfo, words: list[str], reason: str, remedy: str
) -> None:
    with pytest.raises(AdoptionError, match=reason) as caught:
        choose(wanted, unit, info, *words)

    assert remedy in caught.value.hint


@pytest.mark.parametrize(
    ("unit", "info", "expected"), [(USERS, TRIXIE, True), (USERS, ROOTLESS, False), (UNIT, TRIXIE, False)]
)
def test_a_users_manager_may_not_signal_what_the_systems_engine_runs(
    unit: UnitContext, info: EngineInfo, *, expected: bool
) -> None:
    assert {way.is_foreign for way in choose("auto", unit, info)} == {expected}


def test_a_unit_without_delegation_is_told_what_would_be_better() -> None:
    (way,) = choose("auto", UNDELEGATED, TRIXIE)

    assert "Delegate=yes" in way.hint
    assert not way.sweep


def test_a_users_unit_is_not_told_of_the_systems_generator() -> None:
    (way,) = choose("auto", replace(USERS, is_delegated=False), ROOTLESS)

    assert way.hint == "Set Delegate=yes in the unit."


def test_a_transient_unit_is_told_how_its_maker_says_so() -> None:
    transient = UnitProperties(is_transient=True)
    (way,) = choose_adoptions("auto", parse_run(["busybox"]), PlanFacts(UNDELEGATED, transient, TRIXIE))

    assert way.strategy == "move"
    assert way.hint == "Give systemd-run(1) the option --property=Delegate=yes."


def test_asked_for_nothing_is_recommended() -> None:
    assert choose("move", UNDELEGATED, TRIXIE)[0].hint == ""


SUBMOUNT = "21 1 0:5 / /srv/a/sub rw,relatime - tmpfs tmpfs rw\n"
BIND = ReadOnlySource("/srv/a", ("/srv/a",))
LISTS = replace(TRIXIE, runtimes={**TRIXIE.runtimes, CONFIGURED_RUNTIME: "/r"})

WEAKER = [
    # --adopt=, the unit, the engine, the mounts of the host, the ways that are tried
    ("auto", UNIT, TRIXIE, "", [SHIM, MOVE]),
    ("auto", UNIT, TRIXIE, SUBMOUNT, [MOVE]),
    ("auto", UNIT, LISTS, SUBMOUNT, [LISTED, MOVE]),
    ("auto", USERS, ROOTLESS, SUBMOUNT, [MOVE]),
    ("auto", UNIT, CGROUPFS, SUBMOUNT, [PARENT, MOVE]),
    ("move", UNIT, TRIXIE, SUBMOUNT, [MOVE]),
    ("none", UNIT, TRIXIE, SUBMOUNT, [NONE]),
    ("parent", UNIT, LISTS, SUBMOUNT, [LISTED]),
    ("auto", V1, LISTS, SUBMOUNT, [LISTED]),
]


@pytest.mark.parametrize(("wanted", "unit", "info", "submounts", "expected"), WEAKER)
def test_no_read_only_mount_gets_weaker(
    wanted: str, unit: UnitContext, info: EngineInfo, submounts: str, expected: list[str]
) -> None:
    mountinfo = f"20 1 0:4 / / rw - ext4 /dev/sda1 rw\n{submounts}"
    facts = PlanFacts(unit, UnitProperties(), info, (BIND,), mountinfo)
    ways = choose_adoptions(wanted, parse_run(["busybox"]), facts)

    assert [f"{way.strategy} {way.runtime}".strip() for way in ways] == expected
    assert not [way for way in ways if way.runtime == SHIM_RUNTIME and (way.read_only != ("/srv/a",) or submounts)]
    if wanted == "auto" and expected == [MOVE]:
        assert "'/srv/a/sub' would stay writable below the read-only '/srv/a'" in ways[0].reason
        assert CONFIGURED_RUNTIME in ways[0].hint


@pytest.mark.parametrize(("wanted", "unit"), [("parent", UNIT), ("auto", V1), ("auto", USERS)])
def test_a_read_only_mount_that_would_get_weaker_is_refused_where_there_is_no_other_way(
    wanted: str, unit: UnitContext
) -> None:
    facts = PlanFacts(unit, UnitProperties(), TRIXIE, (BIND,), SUBMOUNT)
    with pytest.raises(AdoptionError, match="'/srv/a/sub' would stay writable") as refused:
        choose_adoptions(wanted, parse_run(["busybox"]), facts)

    assert CONFIGURED_RUNTIME in refused.value.hint


NSDELEGATE = "30 1 0:6 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n"
NO_NSDELEGATE = NSDELEGATE.replace(",nsdelegate", "")
PRIVATE = replace(TRIXIE, security_options=("name=seccomp,profile=builtin", "name=cgroupns"))

TREES: list[tuple[UnitContext, EngineInfo, str, dict[str, JsonValue], bool]] = [
    # the unit, the engine, the mounts of the host, HostConfig, whether it is refused
    (UNIT, PRIVATE, NO_NSDELEGATE, {}, True),
    (UNIT, PRIVATE, NO_NSDELEGATE, {"Privileged": True}, True),
    (UNIT, PRIVATE, NSDELEGATE, {}, False),
    (UNIT, PRIVATE, NO_NSDELEGATE, {"CgroupnsMode": "host"}, False),
    (UNIT, TRIXIE, NO_NSDELEGATE, {}, False),
    (UNIT, TRIXIE, NO_NSDELEGATE, {"CgroupnsMode": "private"}, True),
    (V1, PRIVATE, NO_NSDELEGATE, {"Privileged": True}, False),
    (V1, PRIVATE, NO_NSDELEGATE, {}, True),
]


@pytest.mark.parametrize(("unit", "info", "mountinfo", "host_config", "is_refused"), TREES)
def test_a_payload_that_takes_the_hosts_cgroups_for_its_own_is_refused_unless_the_kernel_holds_it(
    unit: UnitContext, info: EngineInfo, mountinfo: str, host_config: dict[str, JsonValue], *, is_refused: bool
) -> None:
    body: JsonObject = {"HostConfig": {"Binds": ["/sys/fs/cgroup:/sys/fs/cgroup:rw"], **host_config}}
    facts = PlanFacts(unit, UnitProperties(), info, mountinfo=mountinfo)

    refusal = pytest.raises(AdoptionError, match="can leave web") if is_refused else contextlib.nullcontext()
    with refusal:
        adoption.check_cgroup_tree(body, facts)


BOUND = {
    "org.systemd.property.BindsTo": r"['docker@a\\x2db.service']",
    "org.systemd.property.KillSignal": "18",
    "org.systemd.property.TimeoutStopUSec": "uint64 12000000",
}


@pytest.mark.parametrize(
    ("unit", "info", "expected"),
    [
        (replace(UNIT, name=r"docker@a\x2db.service"), TRIXIE, BOUND),
        (replace(UNIT, name=r"docker@a\x2db.service"), replace(TRIXIE, version="25.0.3"), {}),
        (UNIT, CGROUPFS, {}),
        (UNIT, ROOTLESS, {}),
        (USERS, TRIXIE, {}),
        (ALONE, TRIXIE, {}),
    ],
)
def test_a_container_beside_the_unit_is_bound_to_it(
    unit: UnitContext, info: EngineInfo, expected: dict[str, str]
) -> None:
    assert dict(choose("none", unit, info)[0].annotations) == expected


def test_the_create_request_keeps_what_else_it_has() -> None:
    body: JsonObject = {"Image": "busybox", "HostConfig": {"Memory": 1, "Annotations": {"asked": "1"}}}
    way = AdoptionPlan("parent", "", cgroup_parent="/a.service", runtime="r", annotations=(("added", "2"),))

    assert adoption.with_adoption(body, way) == {
        "Image": "busybox",
        "HostConfig": {
            "Memory": 1,
            "Annotations": {"added": "2", "asked": "1"},
            "CgroupParent": "/a.service",
            "Runtime": "r",
        },
    }


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Unknown runtime specified systemd-docker.runc.v2", True),
        ('cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"', True),
        ("runc create failed: invalid slice name: /system.slice/x.slice: unknown", True),
        ('cannot enter cgroupv2 "/sys/fs/cgroup/x" with domain controllers -- it is in an invalid state', True),
        ('rro is not supported by runtime "systemd-docker.runc.v2": OCI features struct is not available', True),
        ('exec: "nosuch": executable file not found in $PATH', False),
    ],
)
def test_the_engines_refusals_of_a_parent_are_known(message: str, *, expected: bool) -> None:
    assert adoption.is_parent_refusal(message) is expected


@pytest.mark.parametrize(("unit", "sweep"), [(UNIT, True), (HIDDEN, True), (IN_SUBGROUP, False)])
@pytest.mark.parametrize("info", [TRIXIE, CGROUPFS])
def test_the_engine_is_told_the_units_own_path_from_inside_a_namespace(
    unit: UnitContext, info: EngineInfo, *, sweep: bool
) -> None:
    way = choose("parent", unit, info)[0]

    assert way.cgroup_parent.startswith("/system.slice/web.service")
    assert way.sweep is sweep


def test_nothing_can_be_moved_into_a_namespace() -> None:
    with pytest.raises(AdoptionError, match="hides the engine's cgroups"):
        choose("move", HIDDEN, TRIXIE)
