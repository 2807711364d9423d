"""service.supervise.clean_up: what a container leaves behind goes, and a failure is a warning with a remedy."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

from systemd_docker.kernel.signals import Signals
from systemd_docker.service.supervise.clean_up import CleanUp, remove_container, remove_files
from tests.fakes import state as fake_state
from tests.fakes.containers import Container
from tests.fakes.engine import FakeEngine

PATIENCE_SEC = 0.2

REMEDY = "The unit's next start removes it, and so does 'systemd-docker rm' in ExecStopPost=."


def remove(engine: FakeEngine, container: Container, signals: Signals, limit_sec: float = 10.0) -> None:
    state = fake_state.container_state(container)
    remove_container(fake_state.address(engine), state, signals, limit_sec, PATIENCE_SEC)


def test_a_container_is_removed_without_a_word(
    engine: FakeEngine, signals: Signals, logged: Callable[[], list[str]]
) -> None:
    remove(engine, engine.add("web"), signals)

    assert not engine.containers
    assert logged() == []


def test_a_removal_that_the_engine_refuses_is_a_warning(
    engine: FakeEngine, signals: Signals, logged: Callable[[], list[str]]
) -> None:
    engine.fail("DELETE /containers/*", 500, "device or resource busy")

    remove(engine, engine.add("web"), signals)

    warning, remedy = logged()
    assert "cannot remove container 'web': " in warning
    assert "device or resource busy" in warning
    assert remedy.endswith(REMEDY)
    assert engine.containers


def test_an_engine_that_does_not_answer_gets_no_longer_than_its_limit(
    engine: FakeEngine, signals: Signals, logged: Callable[[], list[str]]
) -> None:
    release = engine.hold("DELETE /containers/*")

    remove(engine, engine.add("web"), signals, limit_sec=PATIENCE_SEC)
    release()

    assert "cannot remove container 'web': " in logged()[0]


def test_a_stop_in_the_middle_of_a_removal_ends_it_soon(
    engine: FakeEngine, signals: Signals, logged: Callable[[], list[str]]
) -> None:
    release = engine.hold("DELETE /containers/*")
    os.kill(os.getpid(), signal.SIGTERM)

    remove(engine, engine.add("web"), signals, limit_sec=600.0)
    release()

    assert "cannot remove container 'web': signal 15" in logged()[0]


def test_files_and_empty_directories_are_removed_in_order(tmp_path: Path) -> None:
    outer, inner = tmp_path / "outer", tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    (inner / "socket").touch()

    remove_files(CleanUp(files=(str(inner / "socket"),), directories=(str(inner), str(outer))))

    assert not outer.exists()


def test_what_is_gone_or_still_used_stops_nothing(tmp_path: Path) -> None:
    used, empty = tmp_path / "used", tmp_path / "empty"
    used.mkdir()
    empty.mkdir()
    (used / "another").touch()

    remove_files(CleanUp(files=(str(tmp_path / "gone"),), directories=(str(used), str(empty))))

    assert (used / "another").exists()
    assert not empty.exists()
