"""How systemd is asked for a unit's properties: on the bus, through systemctl, while it reloads, or not at all."""

from __future__ import annotations

import pytest

from integration.harness.machine import Machine
from integration.words.journal import Journal
from integration.words.processes import leader
from integration.words.units import TRAP, unit

pytestmark = pytest.mark.integration

NO_BUS = "InaccessiblePaths=/run/dbus"


@pytest.mark.parametrize("service", [(), (NO_BUS,), ("ExecStartPre=systemctl --no-block daemon-reload",)])
def test_what_systemd_reports_decides_the_main_process(
    service: tuple[str, ...], machine: Machine, journal: Journal
) -> None:
    machine.install_unit("web.service", unit(TRAP, service=service))

    machine.run("systemctl start web")

    # Only NotifyAccess=all and KillMode=control-group, both known, let the container's process be it.
    assert machine.show("web", "MainPID") == leader(machine)
    assert not [line for line in journal.lines("web") if "cannot ask systemd" in line]
    machine.run("systemctl stop web")


def test_without_bus_and_systemctl_a_start_says_so_and_works(machine: Machine, journal: Journal) -> None:
    machine.install_unit("web.service", unit(TRAP, service=(f"{NO_BUS} /usr/bin/systemctl",)))

    machine.tolerate_journal("cannot ask systemd for the properties of web.service")
    machine.run("systemctl start web")

    assert machine.show("web", "MainPID") != leader(machine)
    lines = journal.lines("web")
    assert any(line.startswith("cannot ask systemd for the properties of web.service") for line in lines)
    assert any("systemctl: Permission denied" in line for line in lines)
    machine.run("systemctl stop web")
    assert machine.show("web", "Result") == "success"


def test_every_property_is_known_to_systemd_by_its_type(machine: Machine) -> None:
    """The values of the two ways of asking, for a unit that has them all."""
    machine.install_unit("web.service", unit(TRAP, service=("SyslogIdentifier=shop", "SyslogFacility=local0")))
    machine.run("systemctl start web")
    program = """
import os, sys, time
sys.path += [path for path in open("/usr/local/bin/systemd-docker").read().split("'") if "-packages" in path]
from systemd_docker.engine.http import wait_ready
from systemd_docker.sd.unit_properties import PropertiesQuery
for address in (None, "unix:path=/nonexistent"):
    environ = dict(os.environ) | ({"DBUS_SYSTEM_BUS_ADDRESS": address} if address else {})
    query = PropertiesQuery("web.service", environ)
    print(query._bus is not None, query.answer(wait_ready, time.monotonic() + 10))
"""
    machine.write("/srv/ask.py", program)
    python = machine.run("head -n 1 /usr/local/bin/systemd-docker | cut -c3- | cut -d' ' -f1")

    on_bus, through_systemctl = machine.run(f"{python} -IS /srv/ask.py").splitlines()

    assert (on_bus.partition(" ")[0], through_systemctl.partition(" ")[0]) == ("True", "False")
    assert on_bus.partition(" ")[2] == through_systemctl.partition(" ")[2]
    assert "syslog_identifier='shop', syslog_facility=16" in on_bus
    assert "exec_start_count=1" in on_bus
    machine.run("systemctl stop web")
