from __future__ import annotations

from pathlib import Path

import pytest

from systemd_docker.engine.http import no_longer_than, wait_ready
from systemd_docker.frozen import replace
from systemd_docker.kernel.signals import StopRequestedError
from systemd_docker.sd.unit_properties import UnitProperties
from systemd_docker.service.start.early_queries import EarlyQueries
from systemd_docker.unit import UnitContext, read_unit
from tests.fakes.bus import FakeBus
from tests.fakes.engine import FakeEngine


def web(engine: FakeEngine, address: str) -> UnitContext:
    unit = read_unit({"DOCKER_HOST": f"unix://{engine.path}", "DBUS_SYSTEM_BUS_ADDRESS": address}, "/nonexistent")
    return replace(unit, name="web.service")


def test_the_units_properties_are_asked_for(engine: FakeEngine, tmp_path: Path) -> None:
    with FakeBus(tmp_path / "bus", {"KillMode": ("s", "mixed")}) as bus:
        queries = EarlyQueries(web(engine, bus.address))
        try:
            assert queries.properties(no_longer_than(10, wait_ready)) == UnitProperties(kill_mode="mixed")
        finally:
            queries.close()

    assert {unit for unit, _ in bus.asked} == {"web.service"}


def test_a_systemd_that_does_not_answer_is_a_warning_with_reason_and_remedy(
    engine: FakeEngine, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with FakeBus(tmp_path / "bus", holds=True) as bus:
        queries = EarlyQueries(web(engine, bus.address))
        try:
            assert queries.properties(no_longer_than(0.1, wait_ready)) == UnitProperties()
        finally:
            queries.close()

    message = capfd.readouterr().err
    assert "cannot ask systemd for the properties of web.service" in message
    assert "systemd: no answer in time, it may be reloading its units" in message
    assert "'systemctl show web.service'" in message


def test_neither_bus_nor_systemctl_is_a_warning(
    engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    queries = EarlyQueries(web(engine, f"unix:path={tmp_path}/none"))

    assert queries.properties(wait_ready) == UnitProperties()
    queries.close()
    assert "systemctl: No such file or directory" in capfd.readouterr().err


def test_a_stop_ends_the_wait_for_systemd(engine: FakeEngine, tmp_path: Path) -> None:
    def stop(fd: int, events: int, deadline: float) -> None:
        raise StopRequestedError(15)

    with FakeBus(tmp_path / "bus", holds=True) as bus:
        queries = EarlyQueries(web(engine, bus.address))
        with pytest.raises(StopRequestedError):
            queries.properties(stop)
        queries.close()


def test_a_process_in_no_unit_asks_nothing(engine: FakeEngine, tmp_path: Path) -> None:
    with FakeBus(tmp_path / "bus") as bus:
        queries = EarlyQueries(replace(web(engine, bus.address), name=""))

        assert queries.properties(wait_ready) == UnitProperties()
        queries.close()
    assert not bus.asked
