"""Settings of the unit that concern its end: they have the same effect as for a native service.

Restart=, SuccessExitStatus=, Type=, KillMode= and so on, value by value."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from integration.harness.machine import Machine, poll
from integration.words.processes import leader
from integration.words.units import IGNORES, TRAP, unit
from integration.words.waiting import wait_until

pytestmark = pytest.mark.integration

ENDINGS = {
    # how the payload ends, and the values of Restart= that restart it; systemd.service(5), "Restart="
    "exit 0": {"always", "on-success"},
    "exit 3": {"always", "on-failure"},
    "kill -TERM $$": {"always", "on-success"},
    "kill -SEGV $$": {"always", "on-failure", "on-abnormal", "on-abort"},
}

VALUES = ("no", "always", "on-success", "on-failure", "on-abnormal", "on-abort", "on-watchdog")

ONCE = "if ! mkdir /seen/$NAME 2>/dev/null; then exec sleep 600; fi; {}"
"""Ends as given the first time, and keeps running the second time."""


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_value_of_restart_is_that_of_a_native_service(machine: Machine, ending: str) -> None:
    machine.run("rm -rf /srv/seen; mkdir /srv/seen")
    for value in VALUES:
        options = f"--rm --init --network none --name {value} --env NAME={value} --volume /srv/seen:/seen"
        text = unit(ONCE.format(ending), options=options, service=(f"Restart={value}", "RestartSec=50ms"))
        machine.install_unit(f"{value}.service", text)

    machine.run(f"systemctl start {' '.join(VALUES)} || true")

    restarted = set()
    for value in VALUES:
        wait_until_settled(machine, value, ["active"] if value in ENDINGS[ending] else ["inactive", "failed"])
        if machine.show(value, "NRestarts") == "1":
            restarted.add(value)
    assert restarted == ENDINGS[ending]
    machine.run(f"systemctl stop {' '.join(VALUES)}; systemctl reset-failed")


def wait_until_settled(machine: Machine, name: str, states: Sequence[str]) -> None:
    """Wait until the payload has ended once, and the unit is in one of the states."""
    has_ended = f"test -d /srv/seen/{name}"
    poll(
        lambda: machine.attempt(has_ended).returncode == 0 and machine.show(name, "ActiveState") in states,
        what=f"{name} to be {' or '.join(states)}",
    )


SEGV = "kill -SEGV $$"

STATUSES = [
    # settings, own options, how the payload ends, the unit's state
    (["SuccessExitStatus=3"], "", "exit 3", "inactive/success"),
    (["SuccessExitStatus=SIGSEGV"], "", SEGV, "inactive/success"),
    (["SuccessExitStatus=139"], "--exit=code", SEGV, "inactive/success"),
    ([], "--exit=code", SEGV, "failed/exit-code"),
    (["Restart=on-failure", "RestartPreventExitStatus=3"], "", "exit 3", "failed/exit-code"),
    (["Restart=always", "RestartPreventExitStatus=SIGSEGV"], "", SEGV, "failed/signal"),
    (["Restart=no", "RestartForceExitStatus=7"], "", "exit 7", "active/success"),
    (["Restart=on-abnormal", "RestartForceExitStatus=SIGTERM"], "", "kill -TERM $$", "active/success"),
    (["Type=oneshot"], "", "exit 0", "inactive/success"),
    (["Type=oneshot", "RemainAfterExit=yes"], "", "exit 0", "active/success"),
    (["Type=oneshot"], "", "exit 3", "failed/exit-code"),
    (["Type=oneshot", "SuccessExitStatus=3", "RemainAfterExit=yes"], "", "exit 3", "active/success"),
    (["Type=oneshot", "Restart=on-failure", "RemainAfterExit=yes"], "", "exit 3", "activating/success"),
    (["Type=exec", "NotifyAccess=none"], "", "exit 3", "failed/exit-code"),
    (["Type=exec"], "", SEGV, "failed/signal"),
    (["Type=simple", "NotifyAccess=none"], "", SEGV, "failed/signal"),
    (["Type=simple", "Restart=on-failure"], "", "exit 3", "active/success"),
]


@pytest.mark.long
@pytest.mark.parametrize(("settings", "own", "ending", "state"), STATUSES)
def test_exit_statuses_and_types(
    machine: Machine, settings: Sequence[str], own: str, ending: str, state: str
) -> None:
    machine.run("rm -rf /srv/seen; mkdir /srv/seen")
    options = "--rm --init --network none --name web --env NAME=web --volume /srv/seen:/seen"
    text = unit(ONCE.format(ending), own=own, options=options, service=("RestartSec=50ms", *settings))
    machine.install_unit("web.service", text)

    machine.run("systemctl start --no-block web")

    active_state, _, result = state.partition("/")
    wait_until_settled(machine, "web", [active_state])
    assert machine.show("web", "Result") == result
    machine.run("systemctl stop web; systemctl reset-failed web || true")


def test_an_engine_that_refuses_has_a_status_that_need_not_be_tried_again(machine: Machine) -> None:
    service = ("Restart=always", "RestartSec=50ms", "RestartPreventExitStatus=125 126 127")
    machine.install_unit("web.service", unit("true", options="--rm --pull=never nosuch:image", service=service))
    machine.expect_journal("No such image")

    machine.run("systemctl start web || true")

    wait_until(machine, "web", "failed")
    assert (machine.show("web", "ExecMainStatus"), machine.show("web", "NRestarts")) == ("125", "0")
    machine.run("systemctl reset-failed web")


EXEC_STOP = "ExecStop=/usr/local/bin/systemd-docker stop"

STOPS = [
    # settings, docker's options, the payload
    (["KillMode=process"], "--stop-timeout 1", IGNORES),
    (["KillMode=mixed"], "--stop-timeout 1", IGNORES),
    (["KillMode=mixed", "TimeoutStopSec=4"], "", IGNORES),
    (["KillMode=process", "TimeoutStopSec=4"], "", IGNORES),
    (["KillMode=none", EXEC_STOP], "", TRAP),
    (["KillMode=process", EXEC_STOP], "", TRAP),
    (["KillMode=control-group", f"{EXEC_STOP} --time=1"], "", TRAP),
    (["KillMode=control-group", EXEC_STOP], "--stop-timeout 1", IGNORES),
    (["KillMode=mixed", f"{EXEC_STOP} --time=1"], "--stop-signal INT", IGNORES),
    (["SendSIGHUP=yes", "TimeoutStopSec=4"], "", IGNORES),
]


@pytest.mark.parametrize(("settings", "options", "command"), STOPS)
def test_a_stop_leaves_nothing_and_succeeds(
    machine: Machine, settings: Sequence[str], options: str, command: str
) -> None:
    text = unit(command, options=f"--rm --network none --name web {options}", service=settings)
    machine.install_unit("web.service", text)
    machine.run("systemctl start web")
    pid = leader(machine)

    machine.run("systemctl stop web")

    assert machine.show("web", "Result") == "success"
    poll(lambda: machine.run("docker ps --all --quiet") == "", what="the container to be removed")
    assert machine.attempt(f"test -d /proc/{pid}").returncode != 0


def test_with_kill_mode_none_the_next_start_takes_over(machine: Machine) -> None:
    """systemd then kills no process, as with a native service; systemd.kill(5) advises against it."""
    machine.install_unit("web.service", unit(TRAP, service=("KillMode=none",)))
    machine.run("systemctl start web")
    before = leader(machine)
    machine.run("systemctl stop web")
    assert leader(machine) == before

    machine.run("systemctl start web")

    assert leader(machine) not in (before, "0")
    assert machine.run("docker ps --all --format '{{.Names}}'") == "web"
    machine.run("docker stop web")
    wait_until(machine, "web", "inactive")
