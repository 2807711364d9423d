"""One unit, hundreds of random steps: commands of administrators, engines that restart, and kills, in any order.

After each step the unit and its container must agree: the unit is active and exactly one container runs, or
it is not and none does. `SYSTEMD_DOCKER_TEST_SEED=N` repeats a run; `SYSTEMD_DOCKER_TEST_STEPS=N` makes it longer.
A step takes about a second, most of it systemctl's and docker's.
"""

from __future__ import annotations

import os
import random
import time
from dataclasses import replace

import pytest

from integration.harness.machine import Machine, poll
from integration.tables.fault import OBEYS, Fault
from integration.tables.faults import KILL_ENGINE
from integration.words.engine import set_live_restore

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(1000)]

STEPS = int(os.environ.get("SYSTEMD_DOCKER_TEST_STEPS", "300"))

TIME_LIMIT_SEC = 900
"""A host that is too slow for STEPS steps fails the test."""

UNIT = Fault(
    "",
    "",
    "",
    "",
    payload=OBEYS,
    service=("Restart=on-failure", "RestartSec=50ms", "StartLimitIntervalSec=0", "TimeoutStopSec=20"),
)

WRAPPER = "$(sort -n /sys/fs/cgroup/system.slice/web.service/supervisor/cgroup.procs | head -n 1)"

ACTIONS = (
    # (how often, shell)
    (10, "systemctl start web"),
    (6, "systemctl stop web"),
    (6, "systemctl restart web"),
    (4, "systemctl --no-block stop web"),
    (4, "systemctl --no-block start web"),
    (4, "systemctl --no-block restart web"),
    (3, "systemctl kill -s HUP web"),
    (3, "systemctl kill -s KILL --kill-whom=main web"),
    (3, f"kill -KILL {WRAPPER}"),
    (4, "docker stop web"),
    (4, "docker kill web"),
    (4, "docker rm --force web"),
    (4, "docker restart web"),
    (2, "docker pause web; docker unpause web"),
    (1, "systemctl reset-failed docker; systemctl restart docker"),
    (1, f"systemctl reset-failed docker; {KILL_ENGINE}"),
)


@pytest.mark.parametrize("main", ["container", "wrapper"])
def test_unit_and_container_agree_after_every_step(
    machine: Machine, main: str, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = int(os.environ.get("SYSTEMD_DOCKER_TEST_SEED") or random.SystemRandom().randrange(10**6))
    chance = random.Random(seed)
    machine.tolerate_journal("")
    set_live_restore(machine, enabled=True)
    machine.install_unit("web.service", replace(UNIT, own=f"--main-pid={main}").unit_file())
    history: list[str] = []
    begin = time.monotonic()
    while len(history) < STEPS:
        (action,) = chance.choices([shell for _, shell in ACTIONS], [weight for weight, _ in ACTIONS])
        history.append(action)
        # Actions may fail: many do not fit the state of the unit.
        machine.attempt(f"{{ {action}; }} >/dev/null 2>&1 || true", timeout_sec=90)
        try:
            poll(lambda: agrees(machine), what="unit and container to agree", timeout_sec=40)
        except TimeoutError as error:
            done = "\n".join(history[-8:])
            pytest.fail(f"seed {seed}, step {len(history)}: {error}: {seen(machine)}\n{done}")
        assert time.monotonic() < begin + TIME_LIMIT_SEC, f"seed {seed}: only {len(history)} steps in time"
    with capsys.disabled():
        took = f"{len(history)} random steps in {time.monotonic() - begin:.0f} s"
        print(f"\n{machine.spec}, --main-pid={main}, seed {seed}: {took}, unit and container agreed after each")
    machine.run("systemctl start docker; systemctl stop web; systemctl reset-failed web || true")
    assert machine.run("docker ps --all --quiet") == ""


def seen(machine: Machine) -> tuple[str, list[str]]:
    """Return (ActiveState=, the states of all containers)."""
    shown = machine.attempt("systemctl show -P ActiveState web; docker ps --all --format '{{.State}}'")
    state, *containers = shown.stdout.split() or [""]
    return state, containers if shown.returncode == 0 else ["no engine"]


def agrees(machine: Machine) -> bool:
    return seen(machine) in (("active", ["running"]), ("inactive", []), ("failed", []))
