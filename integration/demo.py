"""`integration/demo`: show and check a unit from start to stop, as an administrator sees it.

It runs in a fresh machine, or with --host on the host itself if its PID 1 is systemd and an engine answers. What it
installs on the host it removes. --host needs nothing but Python, so imports of the rest are in functions.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from integration.harness.polling import poll

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

REPOSITORY = Path(__file__).parent.parent

UNIT = "hello-world.service"
CONTAINER = "hello-world"

OUTPUT_TIMEOUT_SEC = 60


class DemoError(Exception):
    """The demonstration cannot run here, or showed something wrong."""


class Place(Protocol):
    """Where commands run: a machine, or the host."""

    def run(self, command: str) -> str: ...


class Host:
    """The host itself."""

    def run(self, command: str) -> str:
        result = subprocess.run(["sh", "-euc", command], capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise DemoError(f"{command}: exit status {result.returncode}\n{result.stdout}{result.stderr}")
        return result.stdout.strip()


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="integration/demo", description="Run units/hello-world.service and show it."
    )
    parser.add_argument("--host", action="store_true", help="on this host instead of in a machine")
    parser.add_argument("--suite", default="trixie", help="the machine's Debian release (default %(default)s)")
    options = parser.parse_args(argv)
    start = time.monotonic()

    def stage(text: str) -> None:
        say(f"[{time.monotonic() - start:5.1f} s] {text}")

    try:
        with _host(stage) if options.host else _machine(options.suite, stage) as place:
            show(place, stage)
    except DemoError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    stage("done")
    return 0


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@contextlib.contextmanager
def _machine(suite: str, stage: Callable[[str], None]) -> Iterator[Place]:
    # Imported here because --host runs without them.
    from integration.harness import product, root
    from integration.harness.machine import Spec

    if suite not in root.SUITES:
        raise DemoError(f"no machine is made of '{suite}', but of {', '.join(root.SUITES)}")
    stage(f"base root: Debian {suite} with systemd and an engine, built once and kept")
    root.base_root(root.SUITES[suite])
    stage("systemd-docker, installed on it as the README tells")
    product.layer(root.SUITES[suite])
    stage("machine")
    with product.installed(Spec(suite)) as machine:
        stage("up")
        yield machine
    stage("machine ended")


@contextlib.contextmanager
def _host(stage: Callable[[str], None]) -> Iterator[Place]:
    host = Host()
    if os.geteuid() != 0:
        raise DemoError("needs root: it installs and starts a unit")
    if not Path("/run/systemd/system").is_dir():  # sd_booted(3)
        raise DemoError("this host's PID 1 is not systemd; without --host the demonstration brings its own machine")
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode != 0:
        raise DemoError("no engine answers on this host: 'docker info' fails")
    if shutil.which("systemd-docker"):
        stage("systemd-docker is installed here already")
        yield host
        return
    stage("installing systemd-docker on this host")
    try:
        host.run(
            "python3 -m venv --system-site-packages /opt/systemd-docker;"
            f"/opt/systemd-docker/bin/pip install --quiet {REPOSITORY};"
            "/opt/systemd-docker/bin/systemd-docker install-system; systemctl daemon-reload"
        )
        yield host
    finally:
        stage("removing systemd-docker from this host")
        host.run(
            "/opt/systemd-docker/bin/systemd-docker install-system --uninstall;"
            "rm -rf /opt/systemd-docker; systemctl daemon-reload"
        )


def show(place: Place, stage: Callable[[str], None]) -> None:
    """Start the unit, show its processes, log and container, stop it, and check that nothing remains."""

    def transcript(command: str) -> str:
        output = place.run(command)
        say(f"# {command}\n{output}\n")
        return output

    stage(f"starting {UNIT}")
    transcript(f"systemctl start {UNIT}")
    try:
        _wait_for_output(place)
        transcript(f"systemctl status --no-pager {UNIT}")
        transcript(f"systemd-cgls --no-pager --unit {UNIT}")
        transcript(f"journalctl --no-pager --unit {UNIT}")
        transcript("docker ps")
        cgroup = _check_running(place)
    finally:
        stage(f"stopping {UNIT}")
        transcript(f"systemctl stop {UNIT}")
    state = transcript(f"systemctl show --property=ActiveState,SubState,Result {UNIT}")
    containers = transcript(f"docker ps --all --filter name=^{CONTAINER}$ --format '{{{{.ID}}}} {{{{.Status}}}}'")
    left = transcript(f"find /sys/fs/cgroup -path '*{cgroup}*'")
    if (state, containers, left) != ("Result=success\nActiveState=inactive\nSubState=dead", "", ""):
        raise DemoError("something is left, see above")
    stage("nothing is left: no container, no cgroup, no failed unit")


def _wait_for_output(place: Place) -> None:
    invocation = place.run(f"systemctl show --value --property=InvocationID {UNIT}")
    show = f"journalctl --output=cat _SYSTEMD_INVOCATION_ID={invocation}"
    try:
        poll(lambda: "hello world" in place.run(show), what="the container's output", timeout_sec=OUTPUT_TIMEOUT_SEC)
    except TimeoutError as error:
        raise DemoError(str(error)) from None


def _check_running(place: Place) -> str:
    """Check that the container's first process is the unit's main process, in its cgroup; return that cgroup."""
    cgroup = place.run(f"systemctl show --value --property=ControlGroup {UNIT}")
    main_pid = place.run(f"systemctl show --value --property=MainPID {UNIT}")
    leader = place.run(f"docker inspect --format '{{{{.State.Pid}}}}' {CONTAINER}")
    if main_pid != leader:
        raise DemoError(f"the unit's main process is {main_pid}, the container's first one is {leader}")
    if cgroup not in place.run(f"cat /proc/{leader}/cgroup"):
        raise DemoError(f"the container's first process is not in {cgroup}")
    return cgroup


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
