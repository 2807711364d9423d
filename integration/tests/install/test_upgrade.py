"""Services run on as if nothing had happened while the package is upgraded, downgraded, removed, or Python replaced.

Four services are under way when that happens: at rest, at rest with a healthcheck, at rest with a payload that
notifies systemd by itself, and within the first second. With all of them, everything is tried that has systemd-docker
act: a signal to all processes, changes of health, a notification, a restart of the engine, and a stop.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from integration.harness.machine import Machine, Spec, poll
from integration.words.engine import set_live_restore
from integration.words.journal import lines
from integration.words.processes import wrapper
from integration.words.units import HEALTHCHECK, HOST_TOOLS, ON_HUP, unit
from integration.words.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.integration, pytest.mark.machines(Spec("bookworm"), Spec("trixie"))]

COMMAND = "/opt/systemd-docker/bin/systemd-docker"

PROBES_AFTER_RESTART = 26
"""The first engine tested that goes on probing containers that ran when it was started."""

DEPENDENCIES = "usr/lib/python3/dist-packages"

KEPT = "/var/cache/systemd-docker-kept.tar"

INSTALL_ANOTHER_VERSION = r"""
cd /opt/systemd-docker/lib/python3*/site-packages/systemd_docker
sed -i 's/^__version__ = .*/__version__ = "99.0"/' __init__.py
for package in kernel sd engine; do
    mv $package another_$package
    find . -name '*.py' -exec sed -i -E "s/\bsystemd_docker\.$package\b/systemd_docker.another_$package/g" {} +
done
sed -i -E 's/^(STATE_)?VERSION = .*/\1VERSION = 99/' service/supervise/state.py
find . -name '*.py' -exec sed -i 's/\bsweeps\b/another_sweeps/g' {} +
"""
"""Packages, and a part of the state that is handed over, have other names; see service.supervise.state."""

INSTALL_PYTHON_AGAIN = r"""
packages=$(dpkg-query --show --showformat='${Package}\n' | grep -xE '(lib)?python3\.[0-9]+(-minimal|-stdlib)?')
for file in $(dpkg --listfiles $packages python3-systemd python3-sdnotify); do
    [ -f "$file" ] && [ ! -L "$file" ] || continue
    cp -a "$file" "$file.dpkg-new"
    mv "$file.dpkg-new" "$file"
done
"""
"""As dpkg(1) unpacks a package: each file is another one afterwards, with the same content."""


@pytest.fixture(autouse=True)
def installation(machine: Machine) -> Iterator[None]:
    """What is installed stays as it was for the tests that follow."""
    machine.run(f"test -e {KEPT} || tar -C / -cf {KEPT} opt/systemd-docker {DEPENDENCIES}")
    yield
    machine.run(f"systemctl stop 'web-*'; rm -rf /opt/systemd-docker; tar -C / -xf {KEPT}")
    machine.run(f"{COMMAND} install-system; systemctl daemon-reload")


def upgrade(machine: Machine) -> None:
    machine.run(INSTALL_ANOTHER_VERSION + f"{COMMAND} install-system")
    assert machine.run("systemd-docker --version") == "systemd-docker 99.0"


def downgrade(machine: Machine) -> None:
    machine.run(f"rm -rf /opt/systemd-docker; tar -C / -xf {KEPT}; {COMMAND} install-system")
    assert machine.run("systemd-docker --version") != "systemd-docker 99.0"


def remove(machine: Machine) -> None:
    running = machine.run(f"{COMMAND} install-system --uninstall; rm -rf /opt/systemd-docker").splitlines()[-1]
    assert running.startswith("These units run on until they are stopped")
    assert "web-early.service, web-rest.service, web-told.service, web-well.service" in running


def remove_with_dependencies(machine: Machine) -> None:
    """As `apt autoremove` does it; a service that has not executed itself again has to do without that."""
    remove(machine)
    machine.run(f"cd /{DEPENDENCIES}; rm -r docker* sdnotify* systemd*")


def install_python_again(machine: Machine) -> None:
    machine.run(INSTALL_PYTHON_AGAIN, timeout_sec=120)


@dataclass(frozen=True, slots=True)
class Change:
    """What happens under running services, and what has to be installed before they start."""

    happen: Callable[[Machine], None]
    before: Callable[[Machine], None] | None = None

    def __str__(self) -> str:
        return self.happen.__name__


CHANGES = [
    Change(upgrade),
    Change(downgrade, before=upgrade),
    Change(remove),
    Change(remove_with_dependencies),
    Change(install_python_again),
]


@pytest.mark.parametrize("engine", ["engine up", "engine away"])
@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_services_run_on(machine: Machine, change: Change, engine: str) -> None:
    machine.tolerate_journal("the engine")
    set_live_restore(machine, enabled=True)
    if change.before:
        change.before(machine)
    start_services(machine)

    if engine == "engine away":
        machine.run("systemctl stop docker.socket docker.service")
    change.happen(machine)
    machine.run("systemctl daemon-reload")

    if engine == "engine up":
        assert_all_is_well(machine)
    machine.run("systemctl reset-failed docker.service; systemctl restart docker.service")  # it is often restarted
    assert_all_is_well(machine, probes=engine_version(machine) >= PROBES_AFTER_RESTART)
    assert_services_stop(machine)


def engine_version(machine: Machine) -> int:
    return int(machine.run("docker version --format '{{.Server.Version}}'").split(".")[0])


def assert_all_is_well(machine: Machine, *, probes: bool = True) -> None:
    """probes: whether the engine probes the health of containers."""
    for name in ("rest", "early"):
        assert_signals_arrive(machine, name)
    if probes:
        assert_health_is_shown(machine)
    assert_notifications_arrive(machine)


def start_services(machine: Machine) -> None:
    """Start three services and wait until they rest; start a fourth one."""
    reloads = ON_HUP.format("echo reloaded")
    notifies = (
        f"systemd-notify --ready; {ON_HUP.format('systemd-notify --status=$(cat /proc/sys/kernel/random/uuid)')}"
    )
    for name, payload, options, own in (
        ("rest", reloads, "", ""),
        ("early", reloads, "", ""),
        ("well", f"touch /well; {reloads}", HEALTHCHECK.replace("500ms", "2s"), ""),
        ("told", notifies, HOST_TOOLS, "--sdnotify=container"),
    ):
        text = unit(payload, options=f"--rm --name web-{name} {options}", own=own)
        machine.install_unit(f"web-{name}.service", text)
    machine.run("systemctl start web-rest web-well web-told")
    for name in ("rest", "well", "told"):
        wait_for_rest(machine, name)
    machine.run("systemctl start web-early")


def wait_for_rest(machine: Machine, name: str) -> None:
    pid = wrapper(machine, f"web-{name}.service")
    again = f"grep -qz ^SYSTEMD_DOCKER_RESUME= /proc/{pid}/environ"
    poll(lambda: machine.attempt(again).returncode == 0, what=f"web-{name} to rest")


def assert_signals_arrive(machine: Machine, name: str) -> None:
    before = lines(machine, f"web-{name}").count("reloaded")
    machine.run(f"systemctl kill --signal=HUP web-{name}")
    poll(lambda: lines(machine, f"web-{name}").count("reloaded") == before + 1, what=f"web-{name} to reload")


def assert_health_is_shown(machine: Machine) -> None:
    machine.tolerate_journal("container 'web-well' is unhealthy")
    for command, state in (("rm", "unhealthy"), ("touch", "healthy")):
        machine.run(f"docker exec web-well {command} /well")
        poll(lambda state=state: f"({state}" in machine.show("web-well", "StatusText"), what=state)  # type: ignore[misc]


def assert_notifications_arrive(machine: Machine) -> None:
    before = machine.show("web-told", "StatusText")
    machine.run("systemctl kill --kill-whom=main --signal=HUP web-told")
    poll(lambda: machine.show("web-told", "StatusText") not in (before, ""), what="the payload's status")


def assert_services_stop(machine: Machine) -> None:
    for name in ("rest", "early", "well", "told"):
        machine.run(f"systemctl stop web-{name}")
        wait_until(machine, f"web-{name}", "inactive")
        assert machine.show(f"web-{name}", "Result") == "success"
    assert machine.run("docker ps --all --quiet") == ""
