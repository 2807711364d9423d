"""Whose container: images that carry a unit's labels, shells in scopes, names of any kind; on a real engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from integration.harness.machine import Machine, poll
from integration.words.journal import Journal
from integration.words.processes import leader
from integration.words.units import ON_HUP, TRAP, unit
from integration.words.waiting import wait_until

pytestmark = pytest.mark.integration

TRICK = "trick:latest"

RELOADS = (
    "ExecReload=/usr/local/bin/systemd-docker kill --signal=HUP",
    "ExecReload=/usr/local/bin/systemd-docker exec touch /reloaded-too",
    "ExecStop=/usr/local/bin/systemd-docker stop",
    "ExecStopPost=-/usr/local/bin/systemd-docker rm",
)


@pytest.fixture
def web(machine: Machine) -> Iterator[None]:
    """web.service, active."""
    machine.install_unit("web.service", unit(ON_HUP.format("touch /reloaded"), service=RELOADS))
    machine.run("systemctl start web")
    yield
    machine.attempt(f"docker rm --force --volumes stranger seed; docker rmi --force {TRICK}")


def commit(machine: Machine) -> None:
    machine.run(f"docker commit web {TRICK}")


def label(machine: Machine) -> None:
    machine.run("docker create --name seed busybox:musl")
    machine.run(f"docker commit --change 'LABEL systemd-docker.unit=web.service' seed {TRICK}")
    machine.run("docker rm seed")


def start_stranger(machine: Machine) -> str:
    """Run the image with plain `docker run`; the container's first process."""
    machine.run(
        f'docker run --detach --name stranger --volume /data {TRICK} sh -c "{TRAP.replace("$", chr(92) + "$")}"'
    )
    machine.run("docker exec stranger sh -c 'echo precious > /data/file'")
    found = machine.run("docker ps --quiet --filter label=systemd-docker.unit=web.service").splitlines()
    assert len(found) == 2, "the stranger's container does not have the label"
    return leader(machine, "stranger")


@pytest.mark.parametrize("make_image", [commit, label], ids=["commit", "LABEL"])
def test_a_container_whose_image_carries_the_units_labels_is_not_the_units(
    make_image: type, machine: Machine, journal: Journal, web: None
) -> None:
    make_image(machine)
    stranger = start_stranger(machine)

    machine.run("systemctl reload web")
    assert machine.run("docker exec web ls /reloaded /reloaded-too").split() == ["/reloaded", "/reloaded-too"]
    assert machine.run("systemd-docker exec --unit=web cat /etc/hostname") == machine.run(
        "docker inspect --format '{{.Config.Hostname}}' web"
    )
    machine.run("systemd-docker kill --unit=web --signal=HUP")
    machine.run("systemctl restart web")
    machine.run("systemctl kill --signal=KILL web")
    poll(lambda: machine.show("web", "ActiveState") in ("failed", "inactive"), what="web.service to be dead")
    machine.run("systemctl start web")
    machine.run("systemd-docker stop --unit=web")
    wait_until(machine, "web", "inactive")
    nothing = machine.attempt("systemd-docker rm --unit=web")

    assert nothing.returncode == 1
    assert "web.service has no container" in nothing.stderr
    assert leader(machine, "stranger") == stranger
    assert machine.run("docker exec stranger cat /data/file") == "precious"
    assert machine.attempt("docker exec stranger ls /reloaded /reloaded-too").returncode != 0
    assert any("leaving container 'stranger'" in record["MESSAGE"] for record in journal.own_records())


def test_an_images_label_of_a_user_does_not_lock_the_unit_out(machine: Machine, journal: Journal) -> None:
    machine.run("docker create --name seed busybox:musl")
    machine.run(f"docker commit --change 'LABEL systemd-docker.user=1000' seed {TRICK}")
    machine.run("docker rm seed")
    text = unit(TRAP, own="--main-pid=wrapper", service=("KillMode=process",))
    machine.install_unit("web.service", text.replace("busybox:musl", TRICK))
    machine.run("systemctl start web")
    left = leader(machine)

    # The payload is no process that systemd ends with KillMode=process.
    machine.run("systemctl kill --kill-whom=main --signal=KILL web")
    wait_until(machine, "web", "failed")
    assert leader(machine) == left
    machine.run("systemctl start web")

    assert leader(machine) != left
    poll(
        lambda: any("left by an earlier start of web.service" in line for line in journal.lines("web")),
        what="the removal to be reported",
    )
    machine.run("systemctl stop web")
    machine.run(f"docker rmi --force {TRICK}")


def test_rm_of_a_unit_that_is_named_is_careful(machine: Machine, web: None) -> None:
    typo = machine.attempt("systemd-docker rm --unit=typo")
    active = machine.attempt("systemd-docker rm --unit=web")

    assert (typo.returncode, "typo.service has no container" in typo.stderr) == (1, True)
    assert (active.returncode, "the unit is active" in active.stderr, "--force" in active.stderr) == (125, True, True)
    assert machine.show("web", "ActiveState") == "active"
    forced = machine.attempt("systemd-docker rm --force --unit=web")
    assert (forced.returncode, "removed container 'web'" in forced.stderr) == (0, True)
    wait_until(machine, "web", "failed")
    machine.run("systemctl reset-failed web")


def test_a_second_terminal_of_a_desktop_session_leaves_the_first_alone(machine: Machine) -> None:
    machine.run("systemctl start user@0.service")
    terminal = "XDG_RUNTIME_DIR=/run/user/0 DOCKER_HOST=unix:///run/docker.sock systemd-run --user --scope --quiet"
    ours = "systemd-docker --adopt=none run --rm"
    machine.run(f"{terminal} --unit=first {ours} --name first busybox:musl sleep 1000 >/dev/null 2>&1 &")
    poll(lambda: machine.attempt("docker exec first true").returncode == 0, what="the first container to run")

    assert machine.run(f"{terminal} --unit=second {ours} --name second busybox:musl echo done 2>/dev/null") == "done"

    assert machine.run("docker inspect --format '{{.State.Running}}' first") == "true"
    machine.run("docker stop --time 0 first")
    machine.run("systemctl stop user@0.service user-runtime-dir@0.service user-0.slice")


@pytest.mark.parametrize("name", ["web:blue", "redis-7.2", "w" * 247], ids=["colon", "dot", "255 characters"])
def test_a_unit_of_any_name_has_its_container(name: str, machine: Machine) -> None:
    machine.install_unit(
        f"{name}.service", unit(TRAP, service=("ExecReload=/usr/local/bin/systemd-docker exec true",))
    )
    machine.run(f"systemctl start '{name}.service'")

    machine.run(f"systemctl reload '{name}.service'")
    assert machine.run(f"systemd-docker exec --unit='{name}' echo hello") == "hello"
    machine.run(f"systemctl stop '{name}.service'")

    assert machine.run("docker ps --all --quiet") == ""
