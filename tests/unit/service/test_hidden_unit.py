from __future__ import annotations

from pathlib import Path

import pytest

from systemd_docker import unit
from systemd_docker.engine.http import no_longer_than, wait_ready
from systemd_docker.service.hidden_unit import reveal
from systemd_docker.unit import UnitContext
from tests.fakes.bus import FakeBus

KNOWN = {"Id": ("s", "web.service"), "ControlGroup": ("s", "/system.slice/web.service")}


def hidden(directory: Path, address: str) -> UnitContext:
    """A unit with ProtectControlGroups=private."""
    (directory / "self").mkdir()
    (directory / "self/mountinfo").write_text("30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
    (directory / "self/cgroup").write_text("0::/\n")
    return unit.read_unit({"INVOCATION_ID": "0" * 32, "DBUS_SYSTEM_BUS_ADDRESS": address}, str(directory))


@pytest.mark.parametrize(("subgroup", "path"), [("", "/"), ("supervisor", "/..")])
def test_systemd_is_asked_which_unit_asks(subgroup: str, path: str, tmp_path: Path) -> None:
    with FakeBus(tmp_path / "bus", {**KNOWN, "DelegateSubgroup": ("s", subgroup)}) as bus:
        found = reveal(hidden(tmp_path, bus.address), no_longer_than(10, wait_ready))

    assert {name for name, _ in bus.asked} == {"self"}
    assert (found.name, found.engine_path) == ("web.service", "/system.slice/web.service")
    assert found.cgroup is not None
    assert found.cgroup.path == path


@pytest.mark.parametrize("holds", [True, False])
def test_without_an_answer_the_process_is_in_no_service(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], *, holds: bool
) -> None:
    with FakeBus(tmp_path / "bus", holds=holds, has_systemd=False) as bus:
        found = reveal(hidden(tmp_path, bus.address), no_longer_than(0.2, wait_ready))

    assert (found.name, found.cgroup, found.is_hidden) == ("", None, False)
    assert "cannot ask systemd which unit this is" in capfd.readouterr().err
