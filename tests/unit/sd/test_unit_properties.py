from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from systemd_docker.engine.http import wait_ready
from systemd_docker.sd import bus
from systemd_docker.sd.unit_properties import (
    INFINITY_USEC,
    PROPERTIES,
    SELF,
    PropertiesQuery,
    UnitProperties,
    make_record,
    parse_shown,
    parse_timespan_usec,
)
from tests.fakes.bus import FakeBus

COMMAND = ("/usr/bin/systemd-docker", ["systemd-docker", "run"], False, 1, 2, 3, 4, 5, 0, 0)

# property, type, value on the bus, as `systemctl show` prints it, field, value in the record
ROWS: tuple[tuple[str, str, Any, tuple[str, ...], str, object], ...] = (
    ("Type", "s", "notify", ("notify",), "type", "notify"),
    ("NotifyAccess", "s", "all", ("all",), "notify_access", "all"),
    ("KillMode", "s", "mixed", ("mixed",), "kill_mode", "mixed"),
    ("KillSignal", "i", 3, ("3",), "kill_signal", 3),
    ("TimeoutStopUSec", "t", 61_000_000, ("1min 1s",), "timeout_stop_usec", 61_000_000),
    ("Delegate", "b", 1, ("yes",), "is_delegated", True),
    ("Transient", "b", 1, ("yes",), "is_transient", True),
    ("ControlGroup", "s", "/a.service", ("/a.service",), "control_group", "/a.service"),
    ("NRestarts", "u", 7, ("7",), "restarts", 7),
    ("MainPID", "u", 4711, ("4711",), "main_pid", 4711),
    ("ControlPID", "u", 4712, ("4712",), "control_pid", 4712),
    ("InvocationID", "ay", bytes(range(16)), (bytes(range(16)).hex(),), "invocation_id", bytes(range(16)).hex()),
    ("ActiveState", "s", "active", ("active",), "active_state", "active"),
    ("FinalKillSignal", "i", 6, ("6",), "final_kill_signal", 6),
    ("SendSIGKILL", "b", 0, ("no",), "sends_sigkill", False),
    ("StandardInput", "s", "tty", ("tty",), "standard_input", "tty"),
    ("SyslogIdentifier", "s", "shop", ("shop",), "syslog_identifier", "shop"),
    ("SyslogFacility", "i", 16, ("16",), "syslog_facility", 16),
    ("SyslogLevel", "i", 4, ("4",), "syslog_level", 4),
    ("SyslogLevelPrefix", "b", 0, ("no",), "syslog_level_prefix", False),
    ("RemainAfterExit", "b", 1, ("yes",), "remains_after_exit", True),
    ("ExecStart", "a(sasbttttuii)", [COMMAND, COMMAND], ("{ path=a }", "{ path=b }"), "exec_start_count", 2),
    ("Id", "s", "shop.service", ("shop.service",), "name", "shop.service"),
    ("DelegateSubgroup", "s", "supervisor", ("supervisor",), "delegate_subgroup", "supervisor"),
)
EXPECTED = UnitProperties(**{row[4]: row[5] for row in ROWS})  # type: ignore[arg-type]


def on_bus() -> dict[str, tuple[str, Any]]:
    return {name: (type_, value) for name, type_, value, *_ in ROWS}


def ask(environ: dict[str, str], *, unit: str = "web.service", timeout_sec: float = 10) -> UnitProperties:
    query = PropertiesQuery(unit, environ)
    return query.answer(wait_ready, time.monotonic() + timeout_sec)


def with_systemctl(directory: Path, script: str) -> dict[str, str]:
    """An environment without a bus, in which systemctl is a shell script."""
    program = directory / "systemctl"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return {"PATH": f"{directory}:/usr/bin:/bin", "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={directory}/none"}


def test_every_property_is_a_row_and_a_field() -> None:
    assert [row[0] for row in ROWS] == [row.name for row in PROPERTIES]
    assert [row[4] for row in ROWS] == [row.field for row in PROPERTIES]
    assert {row.field for row in PROPERTIES} == set(UnitProperties.__annotations__)


def test_no_row_expects_a_default() -> None:
    for _name, _type, _value, _shown, field, expected in ROWS:
        assert getattr(UnitProperties(), field) != expected, field


def test_the_bus_and_systemctl_report_the_same_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "\n".join(f"{name}={text}" for name, _, _, texts, *_ in ROWS for text in texts)
    environ = with_systemctl(tmp_path, f"cat <<'END'\n{lines}\nEND")
    monkeypatch.setenv("PATH", environ["PATH"])  # posix_spawnp(3) searches this process's

    assert ask(environ) == EXPECTED
    with FakeBus(tmp_path / "bus", on_bus()) as fake:
        assert ask({"DBUS_SYSTEM_BUS_ADDRESS": fake.address}) == EXPECTED


@pytest.mark.parametrize(
    "unit",
    [
        "web.service",
        "web@1.service",
        "1.service",
        "a\\x2db.service",
        "a_b-c:d.service",
        "é.service",
        "w" * 247 + ".service",
    ],
)
def test_any_unit_name_can_be_asked_for(unit: str, tmp_path: Path) -> None:
    with FakeBus(tmp_path / "bus", on_bus()) as fake:
        ask({"DBUS_SYSTEM_BUS_ADDRESS": fake.address}, unit=unit)

    assert {name.encode("latin-1").decode() for name, _ in fake.asked} == {unit}
    assert [name for _, name in fake.asked] == [row.name for row in PROPERTIES]


def test_a_users_manager_is_on_the_users_bus(tmp_path: Path) -> None:
    runtime = tmp_path / "run user:1000"
    runtime.mkdir()
    with FakeBus(runtime / "bus", on_bus()):
        query = PropertiesQuery("web.service", {"XDG_RUNTIME_DIR": str(runtime)}, is_user=True)
        assert query.answer(wait_ready, time.monotonic() + 10) == EXPECTED


def test_a_property_that_this_systemd_does_not_have_or_has_otherwise_keeps_its_default(tmp_path: Path) -> None:
    properties = {"KillMode": ("s", "mixed"), "NRestarts": ("s", "many"), "ExecStart": ("s", "")}

    with FakeBus(tmp_path / "bus", properties) as fake:
        assert ask({"DBUS_SYSTEM_BUS_ADDRESS": fake.address}) == UnitProperties(kill_mode="mixed")


@pytest.mark.parametrize("broken", [{"has_systemd": False}, {"hangs_up": True}])
def test_systemctl_is_asked_where_systemd_is_not_on_the_bus(
    broken: dict[str, bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = with_systemctl(tmp_path, "echo KillMode=process")
    monkeypatch.setenv("PATH", environ["PATH"])

    with FakeBus(tmp_path / "bus", on_bus(), **broken) as fake:
        assert ask(environ | {"DBUS_SYSTEM_BUS_ADDRESS": fake.address}).kill_mode == "process"


def test_a_systemd_that_reloads_is_given_up_at_the_deadline(tmp_path: Path) -> None:
    with FakeBus(tmp_path / "bus", holds=True) as fake, pytest.raises(TimeoutError) as raised:
        ask({"DBUS_SYSTEM_BUS_ADDRESS": fake.address}, timeout_sec=0.1)

    assert (raised.value.filename, raised.value.strerror) == (
        "systemd",
        "no answer in time, it may be reloading its units",
    )


def test_neither_bus_nor_systemctl_is_an_error_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(FileNotFoundError) as raised:
        ask({"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={tmp_path}/none"})

    assert raised.value.filename == "systemctl"


@pytest.mark.parametrize("has_systemd", [True, False])
def test_systemctl_does_not_know_which_unit_asks(has_systemd: bool, tmp_path: Path) -> None:  # noqa: FBT001  a column
    environ = with_systemctl(tmp_path, "echo Id=wrong.service")
    with FakeBus(tmp_path / "bus", on_bus(), has_systemd=has_systemd) as fake:
        environ["DBUS_SYSTEM_BUS_ADDRESS"] = fake.address
        if has_systemd:
            assert ask(environ, unit=SELF).name == "shop.service"
        else:
            with pytest.raises(OSError, match="systemd is not on the bus"):
                ask(environ, unit=SELF)
    with pytest.raises(ConnectionRefusedError):
        ask(environ, unit=SELF)


def test_a_query_may_be_given_up(tmp_path: Path) -> None:
    with FakeBus(tmp_path / "bus", holds=True) as fake:
        query = PropertiesQuery("web.service", {"DBUS_SYSTEM_BUS_ADDRESS": fake.address})
        query.close()
        query.close()


def test_an_address_that_means_nothing_is_an_error() -> None:
    with pytest.raises(OSError, match="nonsense"):
        bus.Query("nonsense", "web.service", [])


@pytest.mark.parametrize(
    ("text", "usec"),
    [
        ("1min 30s", 90_000_000),
        ("0", INFINITY_USEC),
        ("5s", 5_000_000),
        ("1h 1min 1s 1ms 1us", 3_661_001_001),
        ("1w 2d", 777_600_000_000),
        ("infinity", INFINITY_USEC),
        ("", INFINITY_USEC),
        ("[not set]", INFINITY_USEC),
    ],
)
def test_time_spans_are_read_as_systemctl_prints_them(text: str, usec: int) -> None:
    assert parse_timespan_usec(text) == usec


def test_a_unit_is_dead_only_where_systemd_reports_it() -> None:
    states = ("active", "activating", "deactivating", "reloading", "inactive", "failed", "")

    live = [state for state in states if UnitProperties(active_state=state).is_live]

    assert live == ["active", "activating", "deactivating", "reloading", ""]


@pytest.mark.parametrize("shown", [{}, {"NRestarts": ["[not set]"]}, {"ExecStart": [""], "MainPID": [""]}])
def test_a_property_that_systemctl_does_not_show_keeps_its_default(shown: dict[str, list[str]]) -> None:
    count = 0 if "ExecStart" in shown else UnitProperties().exec_start_count

    assert make_record(parse_shown(shown)) == UnitProperties(exec_start_count=count)
