"""`systemd-docker run` as ExecStart=: what systemctl, the cgroup tree, the journal and docker show.

The basic capabilities, and those without a module of their own. Errors are in test_errors.py.
"""

from __future__ import annotations

import re
import time

import pytest

from integration.harness.machine import Machine, poll
from integration.words.cgroups import cgroup_of
from integration.words.journal import Journal
from integration.words.processes import leader, running, wrapper
from integration.words.units import GO_HELLO_WORLD, HOST_TOOLS, TRAP, unit
from integration.words.waiting import wait_until

pytestmark = pytest.mark.integration


def test_a_unit_for_the_old_tool_works_word_for_word(machine: Machine, journal: Journal) -> None:
    machine.install_unit("docker-hello-world.service", GO_HELLO_WORLD)

    machine.run("systemctl start docker-hello-world")

    status = machine.run("systemctl status docker-hello-world")
    pid = leader(machine, "hello-world")
    assert re.search(rf"Main PID: {pid} \(sh\)", status), status
    assert cgroup_of(machine, pid).startswith("/system.slice/docker-hello-world.service/")
    supervisor = wrapper(machine, "docker-hello-world.service")
    assert "systemd-docker" in machine.run(f"cat /proc/{supervisor}/cmdline | tr '\\0' ' '")
    poll(lambda: "hello world" in journal.lines("docker-hello-world"), what="the first line")
    stop_begin = time.monotonic()
    machine.run("systemctl stop docker-hello-world")
    stop_sec = time.monotonic() - stop_begin
    assert machine.show("docker-hello-world", "ActiveState") == "inactive"
    assert machine.show("docker-hello-world", "SubState") == "dead"
    assert machine.show("docker-hello-world", "Result") == "success"
    # The shell ignores SIGTERM, as PID 1 does without a handler, and gets the container's 10 s. Result=success: the
    # unit's 90 s did not run out.
    assert stop_sec >= 10


def test_the_template_runs_a_container_by_its_name(machine: Machine, journal: Journal) -> None:
    machine.run("systemctl start docker@hello-world")

    pid = leader(machine, "hello-world")
    assert machine.show("docker@hello-world", "MainPID") == pid
    assert cgroup_of(machine, pid).startswith(
        r"/system.slice/system-docker.slice/docker@hello\x2dworld.service/".replace(r"\x2d", "-")
    )
    poll(lambda: "hello world" in journal.lines("docker@hello-world"), what="the first line")
    machine.run("systemctl stop docker@hello-world")
    assert machine.show("docker@hello-world", "Result") == "success"
    # systemd makes a slice for a template's instances, and does not remove it.
    machine.run("systemctl stop system-docker.slice")


def test_docker_keeps_working_on_the_container(machine: Machine) -> None:
    machine.install_unit("web.service", unit(TRAP))
    machine.run("systemctl start web")

    assert machine.run("docker exec web sh -c 'echo $((6 * 7))'") == "42"
    machine.run("docker exec --detach web sleep 1234")
    sleeper = running(machine, "sleep 1234")
    assert cgroup_of(machine, sleeper).startswith("/system.slice/web.service/")
    assert "sleep 1234" in machine.run("docker top web")
    assert machine.run("docker stats --no-stream --format '{{.Name}}' web") == "web"
    machine.run("docker pause web")
    assert machine.run("docker inspect --format '{{.State.Status}}' web") == "paused"
    machine.run("docker unpause web")
    machine.run("docker update --cpu-shares 512 web")
    assert machine.show("web", "ActiveState") == "active"


def test_an_exit_code_is_the_units(machine: Machine) -> None:
    machine.install_unit("web.service", unit("sleep 0.5; exit 3"))
    machine.run("systemctl start web")

    wait_until(machine, "web", "failed")

    assert machine.show("web", "Result") == "exit-code"
    assert (machine.show("web", "ExecMainCode"), machine.show("web", "ExecMainStatus")) == ("1", "3")
    machine.run("systemctl reset-failed web")


def test_a_signal_is_the_units(machine: Machine) -> None:
    machine.install_unit("web.service", unit("exec sleep 60", options="--rm --init --name web"))
    machine.run("systemctl start web")

    # The exec'd shell may be killed with the container, so the command may fail.
    machine.attempt("docker exec web sh -c 'kill -SEGV $(pidof sleep)'")

    wait_until(machine, "web", "failed")
    assert machine.show("web", "Result") == "signal"
    assert (machine.show("web", "ExecMainCode"), machine.show("web", "ExecMainStatus")) == ("2", "11")
    machine.run("systemctl reset-failed web")


def test_restart_on_failure_restarts_what_failed(machine: Machine) -> None:
    restart = ("Restart=on-failure", "RestartSec=100ms", "StartLimitIntervalSec=0")
    machine.install_unit("web.service", unit("sleep 0.2; exit 3", service=restart))
    machine.run("systemctl start web")

    poll(lambda: int(machine.show("web", "NRestarts")) >= 2, what="two restarts")


@pytest.mark.parametrize("count", [1, 5000])
def test_a_container_that_ends_at_once_succeeds_and_loses_no_line(
    machine: Machine, journal: Journal, count: int
) -> None:
    machine.install_unit("web.service", unit(f"seq {count}", service=("LogRateLimitIntervalSec=0",)))

    machine.run("systemctl start web")

    wait_until(machine, "web", "inactive")
    assert machine.show("web", "Result") == "success"
    lines = journal.lines("web", "web")
    assert lines == [str(number) for number in range(1, count + 1)]


def test_standard_error_has_the_priority_of_errors(machine: Machine, journal: Journal) -> None:
    machine.install_unit("web.service", unit("echo fine; echo bad >&2; echo '<4>careful'"))
    machine.run("systemctl start web")
    wait_until(machine, "web", "inactive")

    priorities = {record["MESSAGE"]: record["PRIORITY"] for record in journal.records("web", "web")}
    assert priorities == {"fine": "6", "bad": "3", "careful": "4"}


def test_twenty_starts_and_stops_leave_nothing(machine: Machine) -> None:
    machine.install_unit("web.service", unit(TRAP, service=("StartLimitIntervalSec=0",)))

    for _ in range(20):
        machine.run("systemctl start web")
        machine.run("systemctl stop web")
        assert machine.show("web", "Result") == "success"

    assert machine.run("docker ps --all --quiet") == ""
    assert machine.attempt("ls -d /sys/fs/cgroup/system.slice/web.service").returncode != 0


def test_a_stop_signal_of_the_containers_own_reaches_it_once(machine: Machine, journal: Journal) -> None:
    on_quit = "n=$((n+1)); echo quit $n; sleep 0.3; exit $((n-1))"
    command = f"n=0; trap '{on_quit}' QUIT; trap '' TERM; while true; do sleep 0.1; done"
    options = "--rm --name web --stop-signal SIGQUIT"
    machine.install_unit("web.service", unit(command, options=options, service=("KillMode=mixed",)))
    machine.run("systemctl start web")

    machine.run("systemctl stop web")

    assert machine.show("web", "Result") == "success"
    assert journal.lines("web", "web") == ["quit 1"]


@pytest.mark.parametrize("main_pid", ["container", "wrapper"])
def test_a_payload_that_does_not_stop_gets_one_signal(machine: Machine, journal: Journal, main_pid: str) -> None:
    """systemd sends the signal; systemd-docker knows by the SIGCONT that follows, and sends no second one."""
    command = "trap 'echo asked' TERM; echo listening; while true; do sleep 0.1; done"
    options = "--rm --name web --stop-timeout 1"
    machine.install_unit("web.service", unit(command, options=options, own=f"--main-pid={main_pid}"))
    machine.run("systemctl start web")
    poll(lambda: journal.lines("web", "web") == ["listening"], what="the payload to listen")

    machine.run("systemctl stop web")

    assert machine.show("web", "Result") == "success"
    assert journal.lines("web", "web").count("asked") == 1


@pytest.mark.parametrize("kill_mode", ["control-group", "mixed", "process"])
def test_a_payload_that_takes_its_time_to_stop_gets_it(machine: Machine, journal: Journal, kill_mode: str) -> None:
    command = "trap 'sleep 1; echo done; exit 0' TERM; while true; do sleep 0.1; done"
    machine.install_unit("web.service", unit(command, service=(f"KillMode={kill_mode}",)))
    machine.run("systemctl start web")

    machine.run("systemctl stop web")

    assert machine.show("web", "Result") == "success"
    assert "done" in journal.lines("web", "web")


def test_without_notify_access_all_systemd_docker_stays_the_main_process(machine: Machine, journal: Journal) -> None:
    machine.install_unit("web.service", unit(TRAP, service=("NotifyAccess=main",)))

    machine.run("systemctl start web")

    main_pid = machine.show("web", "MainPID")
    assert main_pid != leader(machine)
    assert cgroup_of(machine, main_pid) == "/system.slice/web.service/supervisor"
    assert any("NotifyAccess=all" in line for line in journal.lines("web"))


@pytest.mark.parametrize("kind", ["simple", "exec", "oneshot"])
def test_types_without_notification_work(machine: Machine, journal: Journal, kind: str) -> None:
    machine.install_unit("web.service", unit("echo ran", service=(f"Type={kind}", "NotifyAccess=none")))

    machine.run("systemctl start web")

    wait_until(machine, "web", "inactive")
    assert machine.show("web", "Result") == "success"
    assert "ran" in journal.lines("web", "web")


@pytest.mark.parametrize("own", ["--notify", "-n", "--sdnotify=container"])
def test_the_payload_notifies_that_it_is_ready(machine: Machine, own: str) -> None:
    command = "sleep 1; systemd-notify --ready --status='At your service'; exec sleep 60"
    machine.install_unit("web.service", unit(command, own=own, options=f"--rm --init --name web {HOST_TOOLS}"))

    begin = time.monotonic()
    machine.run("systemctl start web")

    assert time.monotonic() - begin >= 1
    assert machine.show("web", "StatusText") == "At your service"
    assert machine.attempt("ls -d /run/systemd-docker/*").returncode == 0


def test_forbidden_notifications_of_the_payload_do_not_reach_systemd(machine: Machine) -> None:
    victim = machine.run("systemd-run --unit=victim sleep 600 2>/dev/null; systemctl show --value -p MainPID victim")
    command = f"systemd-notify --ready MAINPID={victim}; exec sleep 60"
    machine.install_unit("web.service", unit(command, own="--notify", options=f"--rm --init --name web {HOST_TOOLS}"))

    machine.run("systemctl start web")

    assert machine.show("web", "MainPID") == leader(machine)
    machine.run("systemctl stop web")
    assert machine.show("victim", "ActiveState") == "active"
    machine.run("systemctl stop victim")


def test_the_pid_file_has_the_leader_and_nothing_else(machine: Machine) -> None:
    machine.install_unit("web.service", unit(TRAP, own="--pid-file /run/web.pid"))
    machine.run("systemctl start web")

    assert machine.run("cat /run/web.pid | od -c") == machine.run(f"printf %s {leader(machine)} | od -c")

    machine.run("systemctl stop web")
    assert machine.attempt("cat /run/web.pid").returncode != 0


def test_the_environment_goes_in_when_asked(machine: Machine, journal: Journal) -> None:
    service = ("Environment=GREETING='hello world'",)
    machine.install_unit("web.service", unit("env", own="--env", service=service))
    machine.run("systemctl start web")
    wait_until(machine, "web", "inactive")

    lines = journal.lines("web", "web")

    assert "GREETING=hello world" in lines
    assert "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" in lines
    assert not [line for line in lines if line.startswith(("NOTIFY_SOCKET=", "JOURNAL_STREAM="))]


def test_without_logs_nothing_is_relayed(machine: Machine, journal: Journal) -> None:
    machine.install_unit("web.service", unit("echo hello", own="--logs=false"))
    machine.run("systemctl start web")
    wait_until(machine, "web", "inactive")

    assert journal.lines("web", "web") == []


def test_output_goes_to_a_file_where_the_unit_says_so(machine: Machine, journal: Journal) -> None:
    service = ("StandardOutput=file:/tmp/web.out", "StandardError=journal")
    machine.install_unit("web.service", unit("echo out; echo err >&2", service=service))
    machine.run("systemctl start web")
    wait_until(machine, "web", "inactive")

    assert machine.run("cat /tmp/web.out") == "out"
    assert journal.lines("web", "web") == ["err"]
    machine.run("rm /tmp/web.out")


def test_standard_input_is_the_payloads_where_the_unit_has_one(machine: Machine, journal: Journal) -> None:
    service = ("StandardInput=data", "StandardInputText=one\\ntwo")
    machine.install_unit("web.service", unit("cat; echo end", options="--rm -i --name web", service=service))

    machine.run("systemctl start web")

    wait_until(machine, "web", "inactive")
    assert machine.show("web", "Result") == "success"
    assert journal.lines("web", "web") == ["one", "two", "end"]


def test_the_engines_socket_and_credentials_go_in_when_asked(machine: Machine, journal: Journal) -> None:
    machine.write("/tmp/docker/config.json", '{"auths": {"registry.example": {"auth": "dTpw"}}}')
    service = ("Environment=DOCKER_CONFIG=/tmp/docker",)
    command = (
        "ls -l $DOCKER_CONFIG/config.json | cut -c1-10; cat $DOCKER_CONFIG/config.json; echo; ls /var/run/docker.sock"
    )
    options = "--rm --use-api-socket --name web"
    machine.install_unit("web.service", unit(command, options=options, service=service))

    machine.run("systemctl start web")

    wait_until(machine, "web", "inactive")
    mode, config, socket = journal.lines("web", "web")
    assert (mode, socket) == ("-rw-------", "/var/run/docker.sock")
    assert "registry.example" in config
    machine.run("rm -r /tmp/docker")


def test_a_leftover_of_the_name_is_replaced(machine: Machine) -> None:
    machine.install_unit("web.service", unit(TRAP))
    left = machine.run("docker create --name web busybox:musl true")

    machine.run("systemctl start web")

    assert machine.run("docker inspect --format '{{.Id}}' web") != left


def test_a_container_that_is_kept_is_started_again_as_it_was(machine: Machine, journal: Journal) -> None:
    count = "n=$(cat /count 2>/dev/null); echo x$n >/count; cat /count"
    machine.install_unit("web.service", unit(count, options="--name web"))
    for _ in range(3):
        machine.run("systemctl start web")
        wait_until(machine, "web", "inactive")

    assert journal.lines("web", "web") == ["x", "xx", "xxx"]
    machine.run("docker rm web")


def test_without_a_notification_socket_it_works_without_notifications(machine: Machine) -> None:
    machine.install_unit("web.service", unit("echo ran", service=("Type=exec", "NotifyAccess=none")))

    machine.run("systemctl start web")

    wait_until(machine, "web", "inactive")
    assert machine.show("web", "Result") == "success"


def test_a_unit_that_refuses_delegation_is_moved_in_and_gets_a_hint(machine: Machine, journal: Journal) -> None:
    machine.install_unit("web.service", unit(TRAP, service=("Delegate=no",)))

    machine.run("systemctl start web")

    assert cgroup_of(machine, leader(machine)) == "/system.slice/web.service/payload"
    said = journal.lines("web", "systemd-docker")
    assert any("adoption move, systemd has not delegated its cgroup" in line for line in said)
    assert any("Delegate=yes" in line for line in said)
