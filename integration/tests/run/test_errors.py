"""Errors of a start: one line that names the thing and the reason, a hint, and an exit status of docker-run(1)."""

from __future__ import annotations

import re

import pytest

from integration.harness.machine import Machine
from integration.words.journal import Journal
from integration.words.processes import leader
from integration.words.units import TRAP, unit

pytestmark = pytest.mark.integration


BAD = [
    # own options, docker-run's words, what the line says, what the hint says
    ("", "run --bogus busybox:musl true", "unknown flag: --bogus", "systemd-docker run --help"),
    ("", "run", "'systemd-docker run' needs an image", ""),
    ("", "run --rm nosuch:image true", "cannot pull image 'nosuch:image'", ""),
    ("", "run --rm --pull=never nosuch:image true", "No such image: nosuch:image", "docker pull"),
    ("", "run --restart=always busybox:musl true", "--restart=always", "Restart="),
    ("", "run --rm --memory=lots busybox:musl true", 'invalid argument "lots" for --memory: not a size', ""),
    ("", "frobnicate", "unknown subcommand: 'frobnicate'", "run"),
    ("--adopt=sideways", "run busybox:musl true", "sideways", ""),
    ("", "run --rm --volume relative/dir:/x busybox:musl true", "relative/dir", ""),
]


@pytest.mark.parametrize(("own", "words", "line", "hint"), BAD)
def test_bad_input_gives_one_line_a_hint_and_125(
    machine: Machine, journal: Journal, own: str, words: str, line: str, hint: str
) -> None:
    machine.install_unit(
        "bad.service",
        f"[Service]\nType=notify\nNotifyAccess=all\nExecStart=/usr/local/bin/systemd-docker {own} {words}\n",
    )
    machine.tolerate_journal(re.escape(line))

    assert machine.attempt("systemctl start bad").returncode != 0

    assert machine.show("bad", "ExecMainStatus") == "125"
    said = journal.own_records()
    errors = [record["MESSAGE"] for record in said if record["PRIORITY"] == "3"]
    assert len(errors) == 1
    assert line in errors[0]
    assert hint in " ".join(record["MESSAGE"] for record in said if record["PRIORITY"] == "6")
    machine.run("systemctl reset-failed bad")


@pytest.mark.parametrize(("command", "status"), [("nosuchcommand", "127"), ("/etc", "126")])
def test_a_command_that_cannot_run_has_docker_runs_status(machine: Machine, command: str, status: str) -> None:
    machine.install_unit(
        "bad.service",
        "[Service]\nType=notify\nNotifyAccess=all\n"
        f"ExecStart=/usr/local/bin/systemd-docker run --rm --name bad busybox:musl {command}\n",
    )
    machine.expect_journal("cannot start container 'bad'")

    assert machine.attempt("systemctl start bad").returncode != 0

    assert machine.show("bad", "ExecMainStatus") == status
    machine.run("systemctl reset-failed bad")


def test_a_name_of_another_unit_is_not_taken_from_it(machine: Machine) -> None:
    machine.install_unit("web.service", unit(TRAP))
    machine.install_unit("thief.service", unit("true"))
    machine.run("systemctl start web")
    machine.expect_journal(r"cannot create container 'web': .* belongs to web\.service")

    assert machine.attempt("systemctl start thief").returncode != 0

    assert machine.show("thief", "ExecMainStatus") == "125"
    assert machine.show("web", "ActiveState") == "active"
    assert leader(machine) == machine.show("web", "MainPID")
    machine.run("systemctl reset-failed thief")


def test_the_error_for_a_missing_engine_names_its_socket(machine: Machine) -> None:
    machine.install_unit("web.service", unit("true", service=("Environment=DOCKER_HOST=unix:///run/missing.sock",)))
    machine.expect_journal(r"cannot reach the engine at '/run/missing\.sock': No such file or directory")

    assert machine.attempt("systemctl start web").returncode != 0

    assert machine.show("web", "ExecMainStatus") == "125"
    machine.run("systemctl reset-failed web")


def test_the_error_for_a_forbidden_socket_has_a_remedy(machine: Machine, journal: Journal) -> None:
    machine.install_unit("web.service", unit("true", service=("DynamicUser=yes",)))
    machine.expect_journal(r"cannot reach the engine at '/var/run/docker\.sock': Permission denied")

    assert machine.attempt("systemctl start web").returncode != 0

    assert any("SupplementaryGroups=docker" in record["MESSAGE"] for record in journal.own_records())
    machine.run("systemctl reset-failed web")


def test_outside_of_a_service_there_is_nothing_to_be_part_of(machine: Machine) -> None:
    result = machine.attempt("systemd-docker run --rm busybox:musl true")

    assert result.returncode == 125
    assert result.stderr.splitlines()[0].startswith("systemd-docker: not started as a systemd service")
    assert "--adopt=none" in result.stderr.splitlines()[1]
    assert machine.run("systemd-docker --log-level=error --adopt=none run --rm busybox:musl echo beside") == "beside"
