from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from systemd_docker.engine.client import connect
from systemd_docker.engine.http import wait_ready
from systemd_docker.errors import UsageError
from systemd_docker.kernel.loop import Loop
from systemd_docker.service.notifications.health import MAX_PROBES, Health, require_healthcheck
from tests.fakes.held import held

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.fakes.containers import Container
    from tests.fakes.engine import FakeEngine

BEGIN_NSEC = 1767225600 * 10**9
"""The time of the fake engine's first event."""

CHECK = "test -e /well"


class Bench:
    def __init__(self, engine: FakeEngine, *, listens_to_probes: bool = False) -> None:
        self.engine = engine
        self.container: Container = engine.add("web")
        self.statuses: list[str] = []
        self.probes: list[tuple[bool, str]] = []
        self.loop = Loop()
        record = held(id=self.container.id, healthcheck=CHECK, health_since_nsec=BEGIN_NSEC)
        self.health = Health(
            self.loop,
            connect(engine.path, wait=wait_ready),
            record,
            changed=self.statuses.append,
            probed=(lambda *probe: self.probes.append(probe)) if listens_to_probes else None,
        )

    def probe(self, exec_id: str, exit_code: int, command: str = f"/bin/sh -c {CHECK}") -> None:
        self.emit(f"exec_create: {command}", execID=exec_id)
        self.emit("exec_die", execID=exec_id, exitCode=str(exit_code))

    def emit(self, action: str, **attributes: str) -> None:
        with self.engine.changed:
            self.engine.emit(self.container, action, **attributes)

    def wait(self, is_true: Callable[[], object]) -> None:
        self.loop.run_until(lambda: bool(is_true()))


@pytest.fixture
def bench(engine: FakeEngine) -> Iterator[Bench]:
    bench = Bench(engine, listens_to_probes=True)
    yield bench
    bench.health.close()


def test_each_change_is_told_once(engine: FakeEngine) -> None:
    bench = Bench(engine)
    for status in ("starting", "healthy", "healthy", "unhealthy", "healthy"):
        engine.set_health("web", status)

    bench.wait(lambda: len(bench.statuses) == 4)

    assert bench.statuses == ["starting", "healthy", "unhealthy", "healthy"]
    query = engine.wait_for_request("GET /events").query["filters"]
    assert "exec_die" not in query
    bench.health.close()


def test_probes_are_execs_of_the_checks_command(bench: Bench) -> None:
    bench.engine.set_health("web", "healthy")
    bench.probe("1", 0)
    bench.probe("2", 0, "touch /tmp/x")
    bench.probe("3", 1)

    bench.wait(lambda: len(bench.probes) == 2)

    assert bench.probes == [(True, "healthy"), (False, "healthy")]


def test_probes_that_never_end_do_not_add_up(bench: Bench) -> None:
    for number in range(MAX_PROBES * 2):
        bench.emit(f"exec_create: {CHECK}", execID=str(number))
    for number in range(MAX_PROBES * 2):
        bench.emit("exec_die", execID=str(number), exitCode="0")
    bench.engine.set_health("web", "healthy")

    bench.wait(lambda: bench.statuses)

    assert len(bench.probes) == MAX_PROBES


def test_listening_again_misses_nothing_and_repeats_nothing(bench: Bench) -> None:
    bench.engine.set_health("web", "healthy")
    bench.wait(lambda: bench.statuses)
    bench.engine.hang_up()
    bench.loop.after(0.2, bench.health.listen)
    bench.engine.set_health("web", "unhealthy")

    bench.wait(lambda: len(bench.statuses) == 2)

    assert bench.statuses == ["healthy", "unhealthy"]


@pytest.mark.parametrize("test", [["CMD-SHELL", CHECK], ["CMD", "true"]])
def test_a_container_with_a_healthcheck_is_taken(engine: FakeEngine, test: list[str]) -> None:
    container = engine.add("web", request={"Healthcheck": {"Test": test}})

    require_healthcheck(connect(engine.path, wait=wait_ready), "--sdnotify=healthy", "busybox:musl", container.id)


@pytest.mark.parametrize("healthcheck", [{"Test": ["NONE"]}, {"Test": []}, {}, None])
def test_a_container_without_one_is_refused(engine: FakeEngine, healthcheck: object) -> None:
    container = engine.add("web", request={"Healthcheck": healthcheck})

    with pytest.raises(UsageError, match=r"--sdnotify=healthy needs a healthcheck, .* image 'busybox:musl' has one"):
        require_healthcheck(connect(engine.path, wait=wait_ready), "--sdnotify=healthy", "busybox:musl", container.id)
