from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from systemd_docker.engine.models import EngineInfo
from systemd_docker.errors import AdoptionError
from systemd_docker.frozen import replace
from systemd_docker.kernel.cgroup import Cgroup
from systemd_docker.options.run_options import parse_run
from systemd_docker.plan import adoption
from systemd_docker.plan.adoption import CONFIGURED_RUNTIME, SHIM_RUNTIME, AdoptionPlan, choose_adoptions
from systemd_docker.sd.unit_properties import UnitProperties
from systemd_docker.unit import UnitContext

if TYPE_CHECKING:
    from systemd_docker.jsonobj import JsonObject

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
    return choose_adoptions(wanted, parse_run([*words, "busybox"]), unit, UnitProperties(), info)


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
    ways = choose_adoptions(wanted, parse_run(["busybox"]), unit, UnitProperties(), CGROUPFS, cgroups=cgroups)

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
    (way,) = choose_adoptions("auto", parse_run(["busybox"]), UNDELEGATED, transient, TRIXIE)

    assert way.strategy == "move"
    assert way.hint == "Give systemd-run(1) the option --property=Delegate=yes."


def test_asked_for_nothing_is_recommended() -> None:
    assert choose("move", UNDELEGATED, TRIXIE)[0].hint == ""


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
    body: JsonObject = {"Image": "busybox", "HostConfig": {"Memory": 1, "Annotations": {"mine": "1"}}}
    way = AdoptionPlan("parent", "", cgroup_parent="/a.service", runtime="r", annotations=(("ours", "2"),))

    assert adoption.with_adoption(body, way) == {
        "Image": "busybox",
        "HostConfig": {
            "Memory": 1,
            "Annotations": {"ours": "2", "mine": "1"},
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
