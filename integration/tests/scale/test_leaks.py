"""A unit that crashes and is restarted again and again: nothing accumulates, not in the engine nor in systemd."""

from __future__ import annotations

import contextlib
import time

import pytest

from integration.harness.machine import Machine, poll
from integration.words.units import unit

pytestmark = pytest.mark.integration

LONGEST_SEC = 900
"""For some hundreds of restarts; an idle machine does one per second."""

SETTLING_SEC = 15
"""For the engine and systemd to clean up after the last restart."""

SLACK = 12
"""Descriptors and processes vary by themselves: connections of the engine, pipes of its idle threads."""

COUNTS = {
    "descriptors of dockerd": "ls /proc/$(systemctl show -P MainPID docker)/fd | wc -l",
    "descriptors of containerd": "ls /proc/$(systemctl show -P MainPID containerd)/fd | wc -l",
    "descriptors of systemd": "ls /proc/1/fd | wc -l",
    "descriptors of journald": "ls /proc/$(systemctl show -P MainPID systemd-journald)/fd | wc -l",
    "MB of memory of systemd": "awk '/^RssAnon/ { print int($2 / 1024) }' /proc/1/status",
    "dying cgroups": "sed -n 's/^nr_dying_descendants //p' /sys/fs/cgroup/cgroup.stat",
    "processes": "ls -d /proc/[0-9]* | wc -l",
    "unix sockets": "wc -l </proc/net/unix",
    "mounts": "wc -l </proc/1/mountinfo",
    "cgroups": "find /sys/fs/cgroup -type d | wc -l",
    "containers": "docker ps --all --quiet | wc -l",
    "layers": "ls /var/lib/docker/overlay2 2>/dev/null | wc -l",
    "files in /run": "find /run -xdev -not -path '/run/docker/netns/*' | wc -l",
}
"""The engine removes files of network namespaces once a minute, so they do not count."""

CRASHES = "case $(($(date +%s) % 3)) in 0) exit 3;; 1) kill -SEGV $$;; *) echo last words; exit 0;; esac"


def counts(machine: Machine) -> dict[str, int]:
    lines = machine.run("; ".join(COUNTS.values())).split()
    return dict(zip(COUNTS, map(int, lines), strict=True))


@pytest.mark.parametrize(
    "restarts", [25, pytest.param(400, marks=[pytest.mark.long, pytest.mark.timeout(LONGEST_SEC + 200)])]
)
def test_a_crash_loop_leaves_nothing(machine: Machine, restarts: int, capsys: pytest.CaptureFixture[str]) -> None:
    service = ("Restart=always", "RestartSec=1ms", "SuccessExitStatus=3 SIGSEGV")
    options = "--rm --init --name web --volume /data --tmpfs /scratch --publish 8080:80"
    text = unit(CRASHES, options=options, service=service)
    machine.install_unit("web.service", f"[Unit]\nStartLimitIntervalSec=0\n{text}")
    # Some things that the engine makes with its first container remain.
    machine.run("systemctl start web; systemctl stop web")
    machine.attempt("systemctl reset-failed web")
    before = counts(machine)
    begin = time.monotonic()

    machine.run("systemctl start web")

    poll(
        lambda: int(machine.show("web", "NRestarts")) >= restarts,
        what=f"{restarts} restarts",
        timeout_sec=LONGEST_SEC,
    )
    done = int(machine.show("web", "NRestarts"))
    machine.run("systemctl stop web")
    machine.attempt("systemctl reset-failed web")
    with capsys.disabled():
        print(f"\n{done} restarts in {time.monotonic() - begin:.0f} s")
    with contextlib.suppress(TimeoutError):
        poll(lambda: not grown(before, counts(machine)), what="everything to settle", timeout_sec=SETTLING_SEC)
    assert not grown(before, counts(machine)), before


def grown(before: dict[str, int], now: dict[str, int]) -> dict[str, int]:
    exact = ("containers", "mounts", "cgroups", "layers")
    return {name: now[name] for name in COUNTS if now[name] > before[name] + (0 if name in exact else SLACK)}
