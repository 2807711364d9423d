"""Changes of a machine's engine, and questions to it about a container."""

from __future__ import annotations

import json
from typing import Any

from integration.harness.machine import Machine, poll
from integration.harness.states import engine_configuration

FREEZE = "systemctl kill --kill-whom=main --signal=STOP docker"
THAW = "systemctl kill --kill-whom=main --signal=CONT docker"


def configure(machine: Machine, **settings: Any) -> None:
    """Have these settings beside the machine's own, and no others, in an engine that runs with them."""
    before = json.loads(machine.run("cat /etc/docker/daemon.json"))
    after = {**json.loads(engine_configuration(machine.spec)), **settings}
    if after != before:
        machine.write("/etc/docker/daemon.json", json.dumps(after))
        machine.run("systemctl reset-failed docker; systemctl restart docker")


def set_live_restore(machine: Machine, *, enabled: bool) -> None:
    """Have the engine run with live-restore on or off."""
    if machine.run("docker info --format '{{.LiveRestoreEnabled}}'") == json.dumps(enabled):
        return
    settings = json.loads(machine.run("cat /etc/docker/daemon.json")) | {"live-restore": enabled}
    machine.write("/etc/docker/daemon.json", json.dumps(settings))
    machine.run("systemctl reload docker")
    poll(
        lambda: machine.run("docker info --format '{{.LiveRestoreEnabled}}'") == json.dumps(enabled),
        what=f"live-restore to be {enabled}",
    )


def health(machine: Machine) -> str:
    """Return the health of container web."""
    return machine.run("docker inspect --format '{{.State.Health.Status}}' web")
