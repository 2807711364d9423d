"""Missing images: pulled from a registry on the machine, with progress in the unit's status while systemd waits."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from integration.harness import images
from integration.harness.machine import Machine, Spec, poll
from integration.inside import registry as registry_room
from integration.words.recorder import DIRECTORY, Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.integration,
    pytest.mark.machines(Spec("trixie"), Spec("bookworm"), Spec("forky", images="containerd")),
]

IMAGE = "127.0.0.1:5000/app:1"
SIZE_BYTES = 4_000_000
BYTES_PER_SEC = 400_000
START_TIMEOUT_SEC = 5
"""Shorter than the pull takes, longer than it takes to begin."""


@pytest.fixture(scope="module", autouse=True)
def tree(machine: Machine) -> None:
    """Make the image's contents: a shell, and bytes that cannot be compressed."""
    machine.copy(Path(registry_room.__file__), "/srv/registry.py")
    archive = images.busybox(machine.spec.suite).read_bytes()
    machine.run("mkdir -p /srv/tree; tar -C /srv/tree -x", stdin=archive)
    machine.run(f"head -c {SIZE_BYTES} /dev/urandom >/srv/tree/blob")


@pytest.fixture
def gone(machine: Machine) -> Iterator[None]:
    """Remove the image after the test."""
    yield
    machine.attempt("systemctl stop web registry")
    machine.attempt(f"docker rmi --force {IMAGE}")


def serve(machine: Machine, options: str = "") -> None:
    machine.install_unit(
        "registry.service",
        "[Service]\nType=notify\nTimeoutStopSec=5\nExecStart=/usr/bin/python3 /srv/registry.py"
        f" --directory=/srv/tree --name=app --tag=1 --port=5000 {options}\n",
    )
    machine.run("systemctl start registry")


def install(machine: Machine, *service: str, kind: str = "notify") -> None:
    lines = ["[Service]", f"Type={kind}", "NotifyAccess=all", "TimeoutStartSec=60", *service]
    lines.append(f"ExecStart=/usr/local/bin/systemd-docker run --rm --init --name web {IMAGE} sleep 600")
    machine.install_unit("web.service", "\n".join(lines) + "\n")


def test_a_slow_pull_shows_how_far_it_is_and_outlives_the_timeout(machine: Machine, gone: None) -> None:
    serve(machine, f"--bytes-per-sec={BYTES_PER_SEC}")
    install(machine, f"TimeoutStartSec={START_TIMEOUT_SEC}")

    machine.run("systemctl start --no-block web")
    child = poll(lambda: machine.attempt("pgrep -f '[p]ull_worker'").stdout.strip(), what="the process that pulls")
    assert "NOTIFY_SOCKET" not in machine.run(f"cat /proc/{child}/environ")

    shown = re.compile(rf"Pulling {re.escape(IMAGE)}: (\d+)% \([\d.]+/[\d.]+ MB\)")
    texts = set[str]()

    def is_up() -> bool:
        texts.add(machine.show("web", "StatusText"))
        return machine.show("web", "ActiveState") not in ("activating", "inactive")

    poll(is_up, what="the end of the pull", timeout_sec=60)
    assert machine.show("web", "ActiveState") == "active"
    percents = sorted(int(found[1]) for text in texts if (found := shown.fullmatch(text)))
    assert len(percents) >= 3
    assert percents[0] < 50 < percents[-1] <= 100
    took_usec = int(machine.show("web", "ActiveEnterTimestampMonotonic")) - int(
        machine.show("web", "InactiveExitTimestampMonotonic")
    )
    assert took_usec > START_TIMEOUT_SEC * 1e6
    assert any("pulling image" in record["MESSAGE"] for record in machine.journal("--unit=web"))


def test_only_bytes_that_move_extend_the_timeout(machine: Machine, recorder: Recorder, gone: None) -> None:
    serve(machine, f"--bytes-per-sec={BYTES_PER_SEC}")
    install(machine, f"Environment=NOTIFY_SOCKET={DIRECTORY}/notify", kind="exec")

    machine.run("systemctl start --no-block web")

    poll(lambda: len(extensions(recorder)) >= 2, what="extensions")
    machine.run("systemctl kill --signal=STOP registry")
    # Bytes on their way still arrive; after that the registry sends nothing.
    machine.run("sleep 1")
    before = extensions(recorder)
    machine.run("sleep 2")
    assert extensions(recorder) == before
    assert set(before) == {"EXTEND_TIMEOUT_USEC=30000000"}
    machine.run("systemctl kill --signal=CONT registry")
    poll(lambda: len(extensions(recorder)) > len(before), what="extensions again")
    machine.run("systemctl stop web")


def extensions(recorder: Recorder) -> list[str]:
    return [text for text in recorder.datagrams() if text.startswith("EXTEND_TIMEOUT_USEC=")]


def test_a_stop_cancels_the_pull_and_leaves_nothing(machine: Machine, gone: None) -> None:
    serve(machine, "--bytes-per-sec=100000")
    install(machine)
    machine.run("systemctl start --no-block web")
    poll(lambda: "%" in machine.show("web", "StatusText"), what="the pull to begin")

    machine.run("systemctl stop web", timeout_sec=30)

    assert machine.show("web", "Result") == "success"
    assert machine.attempt(f"docker image inspect {IMAGE}").returncode != 0
    assert machine.attempt("pgrep -f '[p]ull_worker'").returncode != 0
    assert machine.run("docker ps --all --quiet") == ""


def login(machine: Machine, password: str) -> None:
    auth = base64.b64encode(f"user:{password}".encode()).decode()
    config = {"auths": {"127.0.0.1:5000": {"auth": auth}}}
    machine.write("/srv/docker/config.json", json.dumps(config), mode="600")


def test_credentials_come_from_dockers_own_configuration(machine: Machine, gone: None) -> None:
    serve(machine, "--login=user:secret")
    login(machine, "secret")
    install(machine, "Environment=DOCKER_CONFIG=/srv/docker")

    machine.run("systemctl start web")

    assert machine.run("docker inspect --format '{{.Config.Image}}' web") == IMAGE


def test_wrong_credentials_are_125_with_the_remedy(machine: Machine, gone: None) -> None:
    serve(machine, "--login=user:secret")
    login(machine, "wrong")
    install(machine, "Environment=DOCKER_CONFIG=/srv/docker")
    machine.expect_journal(f"cannot pull image '{re.escape(IMAGE)}'")

    assert machine.attempt("systemctl start web").returncode != 0

    assert machine.show("web", "ExecMainStatus") == "125"
    machine.run("journalctl --sync")
    said = " ".join(record["MESSAGE"] for record in machine.journal("--identifier=systemd-docker"))
    assert "docker login 127.0.0.1:5000" in said
    machine.run("systemctl reset-failed web")
