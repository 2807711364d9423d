"""A container's health: in the unit's status, --health-on-failure=, and across re-execution of systemd-docker."""

from __future__ import annotations

import re

import pytest

from integration.harness.machine import Machine, poll
from integration.words.engine import health, set_live_restore
from integration.words.processes import leader, wrapper
from integration.words.units import HEALTHCHECK, HOST_TOOLS, unit
from integration.words.waiting import wait_until

pytestmark = pytest.mark.integration

RESTING_RSS_LIMIT_KB = 12.5 * 1024
"""Of a systemd-docker that waits for changes of health, or for notifications; half a MB more than without."""


def test_unhealthy_is_visible_and_healthy_again_too(machine: Machine) -> None:
    options = f"--rm --init --name web {HEALTHCHECK}"
    machine.install_unit("web.service", unit("touch /well; exec sleep 60", options=options, own="--sdnotify=healthy"))
    machine.expect_journal("container 'web' is unhealthy")
    machine.run("systemctl start web")

    machine.run("docker exec web rm /well")

    poll(lambda: machine.show("web", "StatusText").endswith("(unhealthy)"), what="the status to follow")
    status = machine.run("systemctl status web")
    assert "(unhealthy)" in status
    assert "container 'web' is unhealthy" in status
    machine.run("docker exec web touch /well")
    poll(lambda: machine.show("web", "StatusText").endswith("(healthy)"), what="the status to follow")
    assert machine.show("web", "ActiveState") == "active"


@pytest.mark.parametrize(
    ("action", "state", "result"), [("kill", "failed", "signal"), ("stop", "inactive", "success")]
)
def test_an_unhealthy_container_ends_as_asked(machine: Machine, action: str, state: str, result: str) -> None:
    options = f"--rm --init --name web {HEALTHCHECK}"
    machine.install_unit(
        "web.service", unit("touch /well; exec sleep 60", options=options, own=f"--health-on-failure={action}")
    )
    machine.expect_journal("container 'web' is unhealthy, (killing|stopping) it")
    machine.run("systemctl start web")

    machine.run("docker exec web rm /well")

    wait_until(machine, "web", state)
    assert machine.show("web", "Result") == result
    machine.attempt("systemctl reset-failed web")


def test_systemd_restarts_what_was_killed_for_its_health(machine: Machine) -> None:
    options = f"--rm --init --name web {HEALTHCHECK}"
    service = ("Restart=on-failure", "RestartSec=100ms")
    machine.install_unit(
        "web.service",
        unit("touch /well; exec sleep 60", options=options, own="--health-on-failure=kill", service=service),
    )
    machine.expect_journal("container 'web' is unhealthy, killing it")
    machine.run("systemctl start web")
    before = leader(machine)

    machine.run("docker exec web rm /well")

    poll(lambda: machine.show("web", "NRestarts") == "1", what="the restart")
    wait_until(machine, "web", "active")
    assert leader(machine) != before
    poll(
        lambda: ", restart 1 of the unit, adoption" in machine.show("web", "StatusText"), what="the count of restarts"
    )


def wait_until_re_executed(machine: Machine) -> str:
    """Wait until systemd-docker has executed itself again; return its PID."""
    pid = wrapper(machine)
    poll(
        lambda: machine.attempt(f"grep -q SYSTEMD_DOCKER_RESUME= /proc/{pid}/environ").returncode == 0,
        what="systemd-docker to execute itself again",
    )
    return pid


def rss_kb(machine: Machine, pid: str) -> int:
    return int(machine.run(f"grep VmRSS /proc/{pid}/status").split()[1])


def test_changes_of_health_arrive_across_re_executions(machine: Machine) -> None:
    options = f"--rm --init --name web {HEALTHCHECK} --health-start-period 60s"
    machine.install_unit("web.service", unit("exec sleep 60", options=options, own="--sdnotify=healthy"))
    machine.expect_journal("container 'web' is unhealthy")
    machine.run("systemctl start --no-block web")
    poll(lambda: machine.attempt("docker inspect web").returncode == 0, what="the container")
    pid = wait_until_re_executed(machine)
    poll(lambda: rss_kb(machine, pid) < RESTING_RSS_LIMIT_KB, what="little memory")
    assert machine.show("web", "StatusText").endswith(" (starting)")

    for command, state in (("touch", "healthy"), ("rm", "unhealthy"), ("touch", "healthy")):
        machine.run(f"docker exec web {command} /well")
        poll(lambda state=state: machine.show("web", "StatusText").endswith(f" ({state})"), what=state)  # type: ignore[misc]
        poll(lambda: rss_kb(machine, pid) < RESTING_RSS_LIMIT_KB, what="little memory again")
        assert machine.show("web", "ActiveState") == "active"
    machine.run("docker restart web")
    poll(lambda: machine.show("web", "StatusText").endswith(" (healthy, restarted once)"), what="its health")
    poll(lambda: rss_kb(machine, pid) < RESTING_RSS_LIMIT_KB, what="little memory again")
    assert machine.run("systemctl stop web; systemctl show -P Result web") == "success"


def test_ready_follows_health_after_re_execution(machine: Machine) -> None:
    options = f"--rm --init --name web {HEALTHCHECK} --health-start-period 60s"
    machine.install_unit("web.service", unit("exec sleep 60", options=options, own="--sdnotify=healthy"))
    machine.run("systemctl start --no-block web")
    poll(lambda: machine.attempt("docker inspect web").returncode == 0, what="the container")
    wait_until_re_executed(machine)
    assert machine.show("web", "ActiveState") == "activating"

    machine.run("docker exec web touch /well")

    wait_until(machine, "web", "active")
    poll(lambda: machine.show("web", "StatusText").endswith("(healthy)"), what="the status to follow")


def test_the_containers_status_survives_re_execution(machine: Machine) -> None:
    options = f"--rm --init --name web {HEALTHCHECK} {HOST_TOOLS}"
    command = "touch /well; systemd-notify --ready --status=serving; exec sleep 60"
    machine.install_unit("web.service", unit(command, options=options, own="--notify"))
    machine.expect_journal("container 'web' is unhealthy")
    machine.run("systemctl start web")
    wait_until_re_executed(machine)

    machine.run("docker exec web rm /well")

    poll(lambda: machine.show("web", "StatusText") == "serving (unhealthy)", what="the status to follow")
    machine.run("docker exec web systemd-notify --status='still serving'")
    assert machine.show("web", "StatusText") == "still serving (unhealthy)"


def test_an_unhealthy_container_that_is_restarted_leaves_the_unit_active(machine: Machine) -> None:
    options = f"--rm --init --name web {HEALTHCHECK}"
    machine.install_unit(
        "web.service", unit("touch /well; exec sleep 60", options=options, own="--health-on-failure=restart")
    )
    machine.expect_journal("container 'web' is unhealthy, restarting it")
    machine.run("systemctl start web")
    before, container = leader(machine), machine.run("docker inspect --format '{{.Id}}' web")

    machine.run("docker exec web rm /well")

    poll(lambda: leader(machine) not in (before, "0"), what="the restart")
    poll(lambda: machine.show("web", "MainPID") == leader(machine), what="the unit to follow")
    poll(lambda: machine.show("web", "StatusText").endswith(" (healthy, restarted once)"), what="its health")
    assert machine.show("web", "ActiveState") == "active"
    assert machine.run("docker inspect --format '{{.Id}}' web") == container


def test_a_container_that_stays_unhealthy_is_restarted_again(machine: Machine) -> None:
    command = "echo >>/runs; case $(wc -l </runs) in 1|3) touch /well ;; esac; exec sleep 60"
    options = f"--rm --init --name web {HEALTHCHECK}"
    machine.install_unit("web.service", unit(command, options=options, own="--health-on-failure=restart"))
    machine.expect_journal("container 'web' is unhealthy, restarting it")
    machine.run("systemctl start web")
    poll(lambda: machine.show("web", "StatusText").endswith(" (healthy)"), what="its health")

    machine.run("docker exec web rm /well")

    poll(
        lambda: machine.show("web", "StatusText").endswith(" (healthy, restarted 2 times)"), what="the second restart"
    )


def logged_adoption(machine: Machine) -> re.Match[str] | None:
    lines = (record["MESSAGE"] for record in machine.journal("--identifier=systemd-docker"))
    return next((found for line in lines if (found := re.search("adoption (parent|move), (.*)", line))), None)


def test_the_status_of_a_container_that_says_nothing(machine: Machine) -> None:
    machine.install_unit("web.service", unit("trap 'exit 0' TERM; while true; do sleep 60 & wait; done"))
    machine.run("systemctl start web")
    container = machine.run("docker inspect --format '{{.Id}}' web")[:12]
    adoption = poll(lambda: logged_adoption(machine), what="the log line, which comes after READY=1 and STATUS=")
    steady = f"Container web ({container}) from busybox:musl, adoption {adoption[1]}: {adoption[2]}"
    assert machine.show("web", "StatusText") == steady

    for count in ("once", "2 times"):
        machine.run("docker restart web")

        poll(lambda count=count: machine.show("web", "StatusText") == f"{steady} (restarted {count})", what=count)  # type: ignore[misc]


def test_a_restart_clears_the_containers_status(machine: Machine) -> None:
    command = "trap 'systemd-notify --status=ending; exit 0' TERM; while true; do sleep 60 & wait; done"
    options = f"--rm --name web {HOST_TOOLS}"
    machine.install_unit(
        "web.service", unit(f"systemd-notify --ready --status=up; {command}", options=options, own="--notify")
    )
    machine.run("systemctl start web; docker exec web systemd-notify --status=old")

    # A busy manager handles the old process's death after the new process's first notification.
    machine.run("for _ in 1 2 3 4 5 6 7 8; do systemctl daemon-reload; done & docker restart web; wait")

    poll(lambda: machine.show("web", "StatusText") == "up (restarted once)", what="the new status")


def test_a_container_that_is_restarted_keeps_its_socket(machine: Machine) -> None:
    command = 'systemd-notify --ready --status="run $(cat /runs | wc -l)"; echo >>/runs; exec sleep 60'
    options = f"--rm --init --name web {HOST_TOOLS}"
    machine.install_unit("web.service", unit(f"touch /runs; {command}", options=options, own="--notify"))
    machine.run("systemctl start web")
    assert machine.show("web", "StatusText") == "run 0"

    machine.run("docker restart web")

    poll(
        lambda: machine.show("web", "StatusText") == "run 1 (restarted once)",
        what="what the restarted container says",
    )
    assert machine.show("web", "ActiveState") == "active"


def test_health_that_changes_while_the_engine_is_away(machine: Machine) -> None:
    if int(machine.run("docker version --format '{{.Server.Version}}'").split(".")[0]) < 26:
        pytest.skip("engine 20.10 probes no container that ran when it was started")
    # Last in this module, because live-restore stays on. An engine that stops during a probe may miss its end.
    set_live_restore(machine, enabled=True)
    options = f"--rm --init --name web --stop-timeout 1 {HEALTHCHECK.replace('500ms', '2s')}"
    machine.install_unit(
        "web.service", unit("touch /well; exec sleep 600", options=options, own="--sdnotify=healthy")
    )
    machine.expect_journal("container 'web' is unhealthy")
    machine.run("systemctl start web")
    before = leader(machine)
    wait_until_re_executed(machine)

    for change, away in (("rm", "stop docker.socket docker"), ("touch", "restart docker")):
        state = "healthy" if change == "touch" else "unhealthy"
        machine.run(f"systemctl {away}; {change} /proc/{before}/root/well; systemctl start docker")
        poll(lambda state=state: health(machine) == state, what=f"the engine to find it {state}")  # type: ignore[misc]
        poll(lambda state=state: machine.show("web", "StatusText").endswith(f" ({state})"), what=state)  # type: ignore[misc]

    assert machine.show("web", "MainPID") == before
    assert machine.run("systemctl stop web; systemctl show -P Result web") == "success"
