"""WatchdogSec=: what sends WATCHDOG=1, and what happens to a container that hangs."""

from __future__ import annotations

import pytest

from integration.harness.machine import Machine, poll
from integration.words.engine import set_live_restore
from integration.words.processes import leader
from integration.words.units import HEALTHCHECK, HOST_TOOLS, unit
from integration.words.waiting import wait_until

pytestmark = pytest.mark.integration

WATCHDOG_SEC = 3

PINGS = "while true; do systemd-notify WATCHDOG=1; sleep 0.5; done"

SOURCES = [
    # own options, docker-run's, what the payload does
    ("--watchdog=payload", HOST_TOOLS, PINGS),
    ("--notify", HOST_TOOLS, f"systemd-notify --ready; {PINGS}"),
    ("--watchdog=health", HEALTHCHECK, "touch /well; exec sleep 600"),
    ("", HEALTHCHECK, "touch /well; exec sleep 600"),
    ("", "", "exec sleep 600"),
]


def watched(
    command: str,
    *,
    own: str,
    options: str = "",
    restart: str = "on-watchdog",
    kill_mode: str = "control-group",
    watchdog_sec: int = WATCHDOG_SEC,
) -> str:
    service = (f"WatchdogSec={watchdog_sec}", f"Restart={restart}", "RestartSec=100ms", f"KillMode={kill_mode}")
    return unit(command, own=own, options=f"--rm --init --name web --stop-timeout 1 {options}", service=service)


def last_ping_usec(machine: Machine) -> int:
    return int(machine.show("web", "WatchdogTimestampMonotonic"))


@pytest.mark.parametrize(
    ("own", "options", "command"), SOURCES, ids=["payload", "notify", "health", "auto", "engine"]
)
def test_a_frozen_container_is_killed_and_started_again(
    machine: Machine, own: str, options: str, command: str
) -> None:
    machine.install_unit("web.service", watched(command, own=own, options=options))
    machine.tolerate_journal("container 'web' is unhealthy")
    machine.run("systemctl start web")
    before = leader(machine)
    begun_usec = int(machine.show("web", "ActiveEnterTimestampMonotonic"))
    poll(lambda: last_ping_usec(machine) - begun_usec > WATCHDOG_SEC * 1.5e6, what="pings beyond the first deadline")
    assert machine.show("web", "NRestarts") == "0", "it is quiet as long as all is well"

    machine.run("docker pause web")

    poll(lambda: machine.show("web", "NRestarts") == "1", what="the restart")
    wait_until(machine, "web", "active")
    assert leader(machine) != before
    said = [record["MESSAGE"] for record in machine.journal("--unit=web", "_PID=1")]
    assert any("Watchdog timeout" in line for line in said)
    assert any("Failed with result 'watchdog'" in line for line in said)


@pytest.mark.parametrize("kill_mode", ["control-group", "mixed"])
def test_a_payload_that_stops_pinging_is_aborted_once_and_says_its_last(machine: Machine, kill_mode: str) -> None:
    command = "trap 'echo aborted; sleep 0.3; exit 4' ABRT; while true; do sleep 0.1; done"
    text = watched(command, own="--watchdog=payload", restart="no", kill_mode=kill_mode).replace("--init ", "")
    machine.install_unit("web.service", text)

    machine.run("systemctl start web")

    wait_until(machine, "web", "failed")
    assert machine.show("web", "Result") == "watchdog"
    machine.run("journalctl --sync")
    said = [record["MESSAGE"] for record in machine.journal("--unit=web", "--identifier=web")]
    assert said.count("aborted") == 1
    # While systemd aborts a unit it accepts no new main process, so it does not learn of the leader's end.
    assert machine.show("web", "ExecMainStatus") == ("4" if kill_mode == "mixed" else "0")
    machine.run("systemctl reset-failed web")


UNTIL = "until test -e /go; do sleep 0.1; done"

ENDS = [
    # WatchdogSec=, what the payload says of the watchdog once it is let go, and for how long it lives on
    (60, "systemd-notify WATCHDOG=trigger", ""),
    (
        60,
        "systemd-notify WATCHDOG=1 WATCHDOG_USEC=500000",
        "for i in 1 2 3 4; do systemd-notify WATCHDOG=1; sleep 0.2; done;",
    ),
]


@pytest.mark.parametrize(("watchdog_sec", "says", "lives"), ENDS, ids=["trigger", "shorter"])
def test_a_payload_may_call_the_watchdog_earlier(machine: Machine, watchdog_sec: int, says: str, lives: str) -> None:
    command = f"{UNTIL}; {says}; {lives} exec sleep 600"
    text = watched(command, own="--watchdog=payload", options=HOST_TOOLS, restart="no", watchdog_sec=watchdog_sec)
    machine.install_unit("web.service", text)
    machine.run("systemctl start web")

    machine.run("docker exec web touch /go")

    wait_until(machine, "web", "failed")
    assert machine.show("web", "Result") == "watchdog"
    machine.run("systemctl reset-failed web")


def test_a_payload_may_ask_for_more_time(machine: Machine) -> None:
    command = "systemd-notify WATCHDOG=1 WATCHDOG_USEC=60000000; exec sleep 600"
    machine.install_unit("web.service", watched(command, own="--watchdog=payload", options=HOST_TOOLS))
    machine.run("systemctl start web")

    began_usec = int(machine.show("web", "ActiveEnterTimestampMonotonic"))
    now = "cut -d ' ' -f 1 /proc/uptime"
    poll(lambda: float(machine.run(now)) * 1e6 > began_usec + 2 * WATCHDOG_SEC * 1e6, what="the time to be over")

    assert machine.show("web", "ActiveState") == "active"
    assert machine.show("web", "NRestarts") == "0"


def test_an_unhealthy_container_is_the_watchdogs(machine: Machine) -> None:
    machine.install_unit(
        "web.service", watched("touch /well; exec sleep 600", own="--watchdog=health", options=HEALTHCHECK)
    )
    machine.expect_journal("container 'web' is unhealthy")
    machine.run("systemctl start web")

    machine.run("docker exec web rm /well")

    poll(lambda: machine.show("web", "NRestarts") == "1", what="the restart")


def test_a_healthcheck_that_runs_too_seldom_gets_a_warning(machine: Machine) -> None:
    options = "--health-cmd true --health-interval 1m"
    machine.install_unit("web.service", watched("exec sleep 600", own="--watchdog=health", options=options))
    machine.expect_journal(
        r"the healthcheck runs every 60 s, which is too seldom for WatchdogSec=3: systemd will abort the service"
    )

    machine.run("systemctl start web")


def test_a_payload_that_pings_goes_on_while_the_engine_is_away(machine: Machine) -> None:
    # Last in this module, because live-restore stays on.
    set_live_restore(machine, enabled=True)
    command = "while true; do systemd-notify WATCHDOG=1 --status=$(cat /note); sleep 0.3; done"
    text = watched(f"echo before >/note; {command}", own="--watchdog=payload", options=HOST_TOOLS)
    machine.install_unit("web.service", text)
    machine.run("systemctl start web")
    before = leader(machine)

    machine.run(f"systemctl stop docker.socket docker; echo away >/proc/{before}/root/note")

    stopped_usec = int(machine.show("docker", "InactiveEnterTimestampMonotonic"))
    enough_usec = stopped_usec + WATCHDOG_SEC * 1.5e6
    poll(lambda: last_ping_usec(machine) > enough_usec, what="pings beyond a deadline without an engine")
    assert machine.show("web", "StatusText") == "away"
    machine.run("systemctl start docker")
    machine.run(f"echo back >/proc/{before}/root/note")
    poll(lambda: machine.show("web", "StatusText") == "back", what="what it says then")
    assert (machine.show("web", "NRestarts"), machine.show("web", "MainPID")) == ("0", before)
