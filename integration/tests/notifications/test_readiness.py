"""When a unit is ready, and which notifications of its container reach systemd: the --sdnotify modes of Podman."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from integration.harness.machine import Machine, poll
from integration.words.engine import health
from integration.words.processes import leader
from integration.words.recorder import DIRECTORY, Recorder
from integration.words.units import HEALTHCHECK, HOST_TOOLS, unit

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.integration


def environment(machine: Machine) -> list[str]:
    """Return the variables of the container's first process that concern the service manager."""
    variables = machine.run(f"tr '\\0' '\\n' </proc/{leader(machine)}/environ").splitlines()
    return [variable for variable in variables if variable.startswith(("NOTIFY_", "WATCHDOG_", "LISTEN_"))]


def test_conmon_is_main_pid_and_ready_in_one_datagram_and_no_socket(machine: Machine, recorder: Recorder) -> None:
    machine.install_unit("web.service", recorder.unit("exec sleep 60"))

    machine.run("systemctl start web")

    poll(recorder.datagrams, what="a datagram")
    assert recorder.datagrams() == [f"MAINPID={leader(machine)}\nREADY=1"]
    assert environment(machine) == []
    assert machine.run("docker inspect --format '{{.HostConfig.Binds}}' web") == "[]"


def test_container_is_main_pid_and_what_the_container_says(machine: Machine, recorder: Recorder) -> None:
    command = "while ! test -e /go; do sleep 0.1; done; systemd-notify --ready; exec sleep 60"
    options = f"--rm --init --name web {HOST_TOOLS}"
    machine.install_unit("web.service", recorder.unit(command, options=options, own="--sdnotify=container"))

    machine.run("systemctl start web")

    poll(recorder.datagrams, what="a datagram")
    main_pid = f"MAINPID={leader(machine)}"
    assert recorder.datagrams() == [main_pid]
    assert environment(machine) == ["NOTIFY_SOCKET=/run/host/sd-notify/notify"]
    assert machine.attempt("docker exec web touch /run/host/sd-notify/file").stderr.endswith(
        "Read-only file system\n"
    )
    machine.run("docker exec web touch /go")
    poll(lambda: len(recorder.datagrams()) == 2, what="the container's")
    assert recorder.datagrams() == [main_pid, "READY=1"]


def test_healthy_is_main_pid_and_ready_when_it_is(machine: Machine, recorder: Recorder) -> None:
    options = f"--rm --init --name web {HEALTHCHECK}"
    machine.install_unit("web.service", recorder.unit("exec sleep 60", options=options, own="--sdnotify=healthy"))
    machine.tolerate_journal("is unhealthy")

    machine.run("systemctl start web")

    poll(recorder.datagrams, what="a datagram")
    main_pid = f"MAINPID={leader(machine)}"
    poll(lambda: health(machine) == "unhealthy", what="a first probe")
    assert recorder.datagrams() == [main_pid]
    assert environment(machine) == []
    machine.run("docker exec web touch /well")
    poll(lambda: len(recorder.datagrams()) == 2, what="READY=1")
    assert recorder.datagrams() == [main_pid, "READY=1"]


def test_ignore_is_nothing(machine: Machine, recorder: Recorder) -> None:
    machine.install_unit("web.service", recorder.unit("exec sleep 60", own="--env --sdnotify=ignore"))

    machine.run("systemctl start web")

    poll(lambda: machine.attempt("docker inspect web").returncode == 0, what="the container")
    poll(lambda: leader(machine) != "0", what="its first process")
    assert environment(machine) == []
    machine.run("systemctl stop web")
    assert machine.run(f"cat {DIRECTORY}/log") == ""
    assert machine.show("web", "Result") == "success"


ENDS = [("exit 3", "exit-code", "3"), ("exit 0", "protocol", "0"), ("kill -KILL $$", "signal", "9")]


@pytest.mark.parametrize(("command", "result", "status"), ENDS)
def test_a_container_that_ends_before_it_is_ready_fails_the_start(
    machine: Machine, command: str, result: str, status: str
) -> None:
    options = "--rm --init --name web"
    machine.install_unit("web.service", unit(f"sleep 0.5; {command}", own="--sdnotify=container", options=options))

    assert machine.attempt("systemctl start web").returncode != 0

    assert machine.show("web", "Result") == result
    assert machine.show("web", "ExecMainStatus") == status
    machine.run("systemctl reset-failed web")


@pytest.mark.parametrize(("sdnotify", "option"), [("container", ""), ("healthy", "--health-cmd false")])
def test_a_container_that_is_never_ready_has_until_the_timeout(machine: Machine, sdnotify: str, option: str) -> None:
    options, service = f"--rm --init --name web {option}", ("TimeoutStartSec=3",)
    machine.install_unit(
        "web.service", unit("exec sleep 60", own=f"--sdnotify={sdnotify}", options=options, service=service)
    )

    assert machine.attempt("systemctl start web").returncode != 0

    assert machine.show("web", "Result") == "timeout"
    assert machine.run("docker ps --all --quiet") == ""
    machine.run("systemctl reset-failed web")


SPEAKER = """
import json, os, socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
    sock.connect(os.environ["NOTIFY_SOCKET"])
    for text in json.load(sys.stdin):
        sock.send(text.encode("latin-1"))
"""
"""Sends each text of a JSON list."""


def say(machine: Machine, texts: Sequence[str]) -> None:
    machine.run("docker exec --interactive web python3 /srv/speaker.py", stdin=json.dumps(texts).encode())


PODMAN_PASSES = [
    "READY=1", "RELOADING=1", "STOPPING=1", "WATCHDOG=1", "WATCHDOG=trigger",
    "STATUS=a b=c", "ERRNO=2", "BUSERROR=org.freedesktop.DBus.Error.TimedOut", "MONOTONIC_USEC=123",
]  # fmt: skip
"""The list of conmon, src/conn_sock.c."""

WE_PASS = [
    "VARLINKERROR=io.systemd.Oops", "EXIT_STATUS=3", "WATCHDOG_USEC=2000000", "EXTEND_TIMEOUT_USEC=1000000",
    "FDSTOREREMOVE=1\nFDNAME=state", "FDPOLL=0",
]  # fmt: skip

DROPPED = [
    "MAINPID=1", "MAINPIDFD=1", "MAINPIDFDID=12345", "NOTIFYACCESS=all", "X_APPLICATION=1", "READY=2", "nonsense",
    "READY", "=", "", "STATUS", "ERRNO=no", "ERRNO=99999", "WATCHDOG_USEC=-1", "BUSERROR=none", "FDNAME=a:b",
    "STATUS=a\0b", "STATUS=" + "x" * 5000,
]  # fmt: skip


def test_allowed_notifications_are_forwarded_and_no_others(machine: Machine, recorder: Recorder) -> None:
    machine.write("/srv/speaker.py", SPEAKER)
    options = f"--rm --init --name web {HOST_TOOLS}"
    machine.install_unit("web.service", recorder.unit("exec sleep 60", options=options, own="--sdnotify=container"))
    machine.run("systemctl start web")
    first = poll(recorder.datagrams, what="a datagram")

    say(
        machine,
        [*DROPPED, *PODMAN_PASSES, *WE_PASS, "MAINPID=1\nSTATUS=and\nNOTIFYACCESS=all", "STATUS=\xff.", "STATUS=end"],
    )

    poll(lambda: recorder.datagrams()[-1] == "STATUS=end", what="the last one")
    mixed = ["STATUS=and", "STATUS=\N{REPLACEMENT CHARACTER}.", "STATUS=end"]
    assert recorder.datagrams() == [*first, *PODMAN_PASSES, *WE_PASS, *mixed]


def test_a_container_may_not_send_what_systemd_docker_sends_itself(machine: Machine, recorder: Recorder) -> None:
    machine.write("/srv/speaker.py", SPEAKER)
    service = recorder.unit("exec sleep 60", options=f"--rm --init --name web {HOST_TOOLS}", own="--watchdog=payload")
    machine.install_unit("web.service", service + "Environment=WATCHDOG_USEC=5000000\n")
    machine.run("systemctl start web")
    first = poll(recorder.datagrams, what="a datagram")

    say(machine, ["READY=1", "WATCHDOG=1", "READY=1\nSTATUS=end"])

    poll(lambda: recorder.datagrams()[-1] == "STATUS=end", what="the last one")
    assert recorder.datagrams() == [*first, "WATCHDOG=1", "STATUS=end"]
    assert environment(machine) == ["NOTIFY_SOCKET=/run/host/sd-notify/notify", "WATCHDOG_USEC=5000000"]


READY = [
    # --sdnotify=, docker-run's options, the command with which the container becomes ready
    ("conmon", "", "true"),
    ("container", HOST_TOOLS, "systemd-notify --ready --no-block"),
    ("healthy", f"{HEALTHCHECK} --health-start-period 30s", "touch /well"),
]


@pytest.mark.parametrize(("sdnotify", "options", "ready"), READY, ids=[row[0] for row in READY])
def test_a_unit_ordered_after_starts_when_the_first_is_ready(
    machine: Machine, sdnotify: str, options: str, ready: str
) -> None:
    delay = "sleep 1; " if sdnotify != "conmon" else ""
    command = f"{delay}cut -d ' ' -f 1 /proc/uptime >/tmp/ready; {ready}; exec sleep 60"
    text = unit(command, options=f"--rm --init --name web {options}", own=f"--sdnotify={sdnotify}")
    machine.install_unit("web.service", text)
    machine.install_unit(
        "client.service",
        "[Unit]\nAfter=web.service\nWants=web.service\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=true\n",
    )

    machine.run("systemctl start client")

    active_usec = int(machine.show("web", "ActiveEnterTimestampMonotonic"))
    began_usec = int(machine.show("client", "ExecMainStartTimestampMonotonic"))
    assert 0 < active_usec <= began_usec
    if sdnotify != "conmon":
        assert float(machine.run("docker exec web cat /tmp/ready")) * 1e6 <= active_usec


BAD = [
    ("--sdnotify=healthy", "", "--sdnotify=healthy"),
    ("--health-on-failure=kill", "", "--health-on-failure=kill"),
    ("--sdnotify=healthy", "--no-healthcheck", "--sdnotify=healthy"),
]


@pytest.mark.parametrize(("own", "option", "said"), BAD)
def test_without_a_healthcheck_the_start_fails_with_125(machine: Machine, own: str, option: str, said: str) -> None:
    machine.install_unit("web.service", unit("touch /tmp/ran", own=own, options=f"--rm --name web {option}"))
    machine.expect_journal(
        f"{said} needs a healthcheck, and neither the command line nor image 'busybox:musl' has one"
    )

    assert machine.attempt("systemctl start web").returncode != 0

    assert machine.show("web", "ExecMainStatus") == "125"
    machine.run("systemctl reset-failed web")
