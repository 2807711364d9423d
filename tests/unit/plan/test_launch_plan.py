from __future__ import annotations

import pytest

from systemd_docker.engine.models import EngineInfo
from systemd_docker.errors import AdoptionError
from systemd_docker.frozen import replace
from systemd_docker.kernel.cgroup import Cgroup
from systemd_docker.options.create_request import CreateRequest
from systemd_docker.options.own import OwnOptions, parse_own
from systemd_docker.options.run_options import parse_run
from systemd_docker.plan import launch_plan, stop
from systemd_docker.plan.adoption import AdoptionPlan
from systemd_docker.plan.facts import PlanFacts
from systemd_docker.sd.unit_properties import INFINITY_USEC, UnitProperties
from systemd_docker.unit import UnitContext, without_notifications

UNIT = UnitContext(
    name="web.service",
    cgroup=Cgroup("/sys/fs/cgroup", "/system.slice/web.service"),
    is_user=False,
    is_delegated=True,
    unified=True,
    is_v1_alone=False,
    invocation_id="0123456789abcdef0123456789abcdef",
    notify_socket="/run/systemd/notify",
    watchdog_usec=0,
    stdout_is_journal=True,
    stderr_is_journal=True,
    directory="/",
    runtime_directory="/run",
    environ={"HOME": "/root", "GREETING": "hello", "NOTIFY_SOCKET": "/run/systemd/notify", "LISTEN_FDS": "1"},
)
SHELL = replace(UNIT, name="", cgroup=None, notify_socket="", invocation_id="")
PROPERTIES = UnitProperties("notify", "all", "control-group", 15, 90_000_000, is_delegated=True)
CGROUPFS = EngineInfo("20.10.24+dfsg1", "cgroupfs", "runc", {"runc": "runc"}, ())
SYSTEMD = EngineInfo("26.1.5", "systemd", "runc", {"runc": "runc"}, ())


def make(
    line: str = "busybox:musl",
    *,
    own: str = "",
    unit: UnitContext = UNIT,
    properties: UnitProperties = PROPERTIES,
    info: EngineInfo = CGROUPFS,
    body: dict[str, object] | None = None,
    plain: bool = False,
) -> launch_plan.LaunchPlan:
    options = parse_run(line.split())
    request = CreateRequest("", "", {"Image": "busybox:musl", **(body or {})})  # type: ignore[dict-item]
    asked = replace(own_options(own), plain_request=plain)
    return launch_plan.make_plan(asked, options, request, PlanFacts(unit, properties, info))


def own_options(words: str) -> OwnOptions:
    return parse_own([*words.split(), "run"])[0]


def test_with_cgroupfs_the_parent_is_the_unit() -> None:
    made = make()

    assert made.adoption.strategy == "parent"
    assert made.adoption.sweep
    assert made.body["HostConfig"] == {"CgroupParent": "/system.slice/web.service"}


def test_with_the_systemd_driver_a_shims_name_leads_past_it() -> None:
    made = make(info=SYSTEMD)

    assert made.body["HostConfig"] == {
        "CgroupParent": "/system.slice/web.service/payload.slice",
        "Runtime": "systemd-docker.runc.v2",
    }


def test_every_container_says_whose_it_is() -> None:
    made = make(body={"Labels": {"a": "b"}})

    assert made.body["Labels"] == {
        "a": "b",
        "systemd-docker.unit": "web.service",
        "systemd-docker.invocation": UNIT.invocation_id,
        "systemd-docker.user": "",
    }


def test_plain_adds_nothing() -> None:
    assert make(own="--sdnotify=container", plain=True).body == {"Image": "busybox:musl"}


def test_a_cgroup_parent_of_the_users_own_is_respected() -> None:
    made = make("--cgroup-parent=/mine busybox")

    assert made.adoption.strategy == "none"
    assert "--cgroup-parent" in made.adoption.reason


def test_outside_of_a_service_only_none_is_left() -> None:
    with pytest.raises(AdoptionError, match="not started as a systemd service") as refused:
        make(unit=SHELL)

    assert "--adopt=none" in refused.value.hint
    made = make(unit=SHELL, own="--adopt=none")
    assert made.adoption.strategy == "none"
    assert "Labels" not in made.body


def test_parent_is_refused_where_the_user_puts_the_container_elsewhere() -> None:
    with pytest.raises(AdoptionError, match="--cgroup-parent puts it elsewhere"):
        make("--cgroup-parent=/mine busybox", own="--adopt=parent")


MAIN_PIDS = [
    # --main-pid=, NotifyAccess=, KillMode=, whether the leader is main, what the hint names
    ("auto", "all", "control-group", True, ""),
    ("auto", "main", "control-group", False, "NotifyAccess=all"),
    ("auto", "all", "mixed", False, "KillMode=control-group"),
    ("auto", "", "", False, ""),  # not known: early_queries has warned
    ("wrapper", "all", "control-group", False, ""),
    ("container", "main", "mixed", True, ""),
]


@pytest.mark.parametrize(("wanted", "access", "kill_mode", "leader_is_main", "hint"), MAIN_PIDS)
def test_the_leader_is_main_where_that_can_work(
    wanted: str, access: str, kill_mode: str, *, leader_is_main: bool, hint: str
) -> None:
    properties = replace(PROPERTIES, notify_access=access, kill_mode=kill_mode)

    made = make(own=f"--main-pid={wanted}", properties=properties)

    assert made.leader_is_main is leader_is_main
    assert hint in made.main_pid_hint
    assert bool(hint) == bool(made.main_pid_hint)
    assert made.passes_signals_on is not leader_is_main


@pytest.mark.parametrize(
    ("wanted", "leader_is_main", "hint"),
    [("auto", False, "cgroup v1 alone"), ("wrapper", False, ""), ("container", True, "")],
)
def test_where_only_a_release_agent_could_tell_of_the_end_we_stay_main(
    wanted: str, *, leader_is_main: bool, hint: str
) -> None:
    made = make(own=f"--main-pid={wanted}", unit=replace(UNIT, unified=False, is_v1_alone=True))

    assert made.leader_is_main is leader_is_main
    assert hint in made.main_pid_hint
    assert bool(hint) == bool(made.main_pid_hint)


@pytest.mark.parametrize(("wanted", "hint"), [("auto", True), ("container", True), ("wrapper", False)])
def test_a_payload_that_the_manager_may_not_signal_is_neither_main_nor_left_to_it(wanted: str, *, hint: bool) -> None:
    made = make(own=f"--main-pid={wanted}", unit=replace(UNIT, is_user=True), info=SYSTEMD)

    assert made.adoption.is_foreign
    assert not made.leader_is_main
    assert ("may not signal" in made.main_pid_hint) is hint
    assert not stop.reaches_payload(made.adoption, PROPERTIES)
    assert not stop.stops_payload(made.adoption, PROPERTIES, "")


def test_without_a_notification_socket_nobody_is_told_who_is_main() -> None:
    made = make(unit=replace(UNIT, notify_socket=""))

    assert not made.leader_is_main
    assert not made.main_pid_hint
    assert not made.notify_directory


STOP_TIMEOUTS = [
    # the container's, TimeoutStopUSec, what the payload gets
    (None, 90_000_000, 10),
    (3, 90_000_000, 3),
    (0, 90_000_000, 1),
    (60, 30_000_000, 28),
    (None, 5_000_000, 3),
    (None, 1_000_000, 1),
    (600, INFINITY_USEC, 600),
]


@pytest.mark.parametrize(("container_sec", "unit_usec", "expected"), STOP_TIMEOUTS)
def test_the_payloads_time_to_stop_ends_before_the_units(
    container_sec: int | None, unit_usec: int, expected: int
) -> None:
    assert stop.stop_timeout_sec(container_sec, replace(PROPERTIES, timeout_stop_usec=unit_usec)) == expected


SIGNALLED = [
    # strategy, KillMode=, KillSignal=, the container's stop signal, whether the payload has got it already
    ("parent", "control-group", 15, "", True),
    ("parent", "control-group", 15, "SIGTERM", True),
    ("parent", "control-group", 15, "SIGQUIT", False),
    ("parent", "control-group", 3, "SIGQUIT", True),
    ("parent", "mixed", 15, "", False),
    ("none", "control-group", 15, "", False),
]


@pytest.mark.parametrize(("strategy", "kill_mode", "kill_signal", "stop_signal", "expected"), SIGNALLED)
def test_the_payload_is_signalled_once(
    strategy: str, kill_mode: str, kill_signal: int, stop_signal: str, *, expected: bool
) -> None:
    properties = replace(PROPERTIES, kill_mode=kill_mode, kill_signal=kill_signal)
    adoption = AdoptionPlan(strategy, "")

    assert stop.stops_payload(adoption, properties, stop_signal) is expected


def test_the_environment_is_passed_on_but_for_what_is_about_this_process() -> None:
    made = make(own="--env", body={"Env": ["GREETING=mine"]})

    assert made.body["Env"] == ["GREETING=hello", "GREETING=mine"]


def test_a_payload_that_speaks_for_itself_gets_a_socket_of_ours() -> None:
    made = make(own="--notify", unit=replace(UNIT, watchdog_usec=5), body={"HostConfig": {"Binds": ["/a:/b"]}})

    directory = f"/run/systemd-docker/{UNIT.invocation_id}-{UNIT.pid}"
    assert made.notify_directory == directory
    assert made.body["Env"] == ["NOTIFY_SOCKET=/run/host/sd-notify/notify", "WATCHDOG_USEC=5"]
    host_config = made.body["HostConfig"]
    assert isinstance(host_config, dict)
    assert host_config["Binds"] == ["/a:/b"]
    mount = {"Type": "bind", "Source": f"{directory}/n", "Target": "/run/host/sd-notify", "ReadOnly": True}
    assert host_config["Mounts"] == [mount]


@pytest.mark.parametrize("name", ["web:blue.service", f"{'x' * 247}.service"])
def test_a_units_name_of_any_length_or_with_a_colon_has_a_socket_that_can_be_bound(name: str) -> None:
    made = make(own="--notify", unit=replace(UNIT, name=name))

    assert len(f"{made.notify_directory}/n/notify") < 107
    assert ":" not in made.notify_directory


@pytest.mark.parametrize(
    ("type_", "sdnotify", "is_main"),
    [
        ("notify", "conmon", True),
        ("notify-reload", "conmon", False),
        ("notify-reload", "healthy", False),
        ("notify-reload", "container", True),
    ],
)
def test_a_reload_is_systemd_dockers_business_before_the_payload_is_ready_for_it(
    type_: str, sdnotify: str, *, is_main: bool
) -> None:
    """systemd 262 fails a unit whose main process has no handler for SIGHUP when READY=1 comes."""
    made = make(own=f"--sdnotify={sdnotify}", properties=replace(PROPERTIES, type=type_))

    assert made.leader_is_main is is_main
    assert bool(made.main_pid_hint) is not is_main


READY = [
    # --sdnotify=, when READY=1 is true, whether the payload has a socket
    ("conmon", "started", False),
    ("container", "payload", True),
    ("healthy", "healthy", False),
]


@pytest.mark.parametrize(("sdnotify", "ready", "has_socket"), READY)
def test_who_says_ready(sdnotify: str, ready: str, *, has_socket: bool) -> None:
    made = make(own=f"--sdnotify={sdnotify}")

    assert made.ready == ready
    assert bool(made.notify_directory) is has_socket


def test_a_payload_that_only_pings_has_a_socket_and_the_watchdogs_time() -> None:
    made = make(own="--watchdog=payload", unit=replace(UNIT, watchdog_usec=5))

    assert (made.ready, made.watchdog) == ("started", "payload")
    assert made.body["Env"] == ["NOTIFY_SOCKET=/run/host/sd-notify/notify", "WATCHDOG_USEC=5"]


def test_a_payload_whose_health_pings_for_it_is_not_told_of_the_watchdog() -> None:
    made = make(own="--notify --watchdog=health", unit=replace(UNIT, watchdog_usec=5))

    assert made.body["Env"] == ["NOTIFY_SOCKET=/run/host/sd-notify/notify"]


def test_whom_the_manager_does_not_listen_to_says_nothing() -> None:
    made = make(own="--notify", unit=without_notifications(replace(UNIT, watchdog_usec=5)))

    assert not made.leader_is_main
    assert not made.notify_directory
    assert not made.watchdog


NEEDS = [
    ("", ""),
    ("--sdnotify=healthy", "--sdnotify=healthy"),
    ("--health-on-failure=stop", "--health-on-failure=stop"),
    ("--watchdog=health", "--watchdog=health"),
    ("--watchdog=engine", ""),
]


@pytest.mark.parametrize(("own", "option"), NEEDS)
def test_what_needs_a_healthcheck_is_named(own: str, option: str) -> None:
    assert make(own=own, unit=replace(UNIT, watchdog_usec=5)).needs_healthcheck == option
