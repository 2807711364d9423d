"""The clients that are compared: ways to run one container as a unit, each written as its users write it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from integration.harness import images

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from integration.harness.machine import Machine

SYSTEMD_DOCKER, DOCKER, PODMAN, DRIVER = (
    "systemd-docker run",
    "docker run",
    "podman run",
    "docker run, journald driver",
)

ENGINE = "the engine alone"
"""No client, but what each of them costs the engine."""

COLUMNS = (SYSTEMD_DOCKER, DOCKER, PODMAN, DRIVER, ENGINE)
"""Columns of the table and the plot."""

SLICE = "bench.slice"


@dataclass(frozen=True, slots=True)
class Client:
    """One way to run a container in a unit.

    program: what stands in front of docker-run's words.
    once:    the same for a container that is waited for, inside a service that continues.
    service: more lines of [Service].
    cgroup:  where below the unit's cgroup the client itself is while the container runs.
    tells:   whether the unit is active when the container runs, not already when the program is executed.
    """

    name: str
    program: str
    once: str
    service: tuple[str, ...]
    cgroup: str
    tells: bool

    def unit(self, command: str, *, options: str = "", service: Sequence[str] = ()) -> str:
        """Return a unit file that runs `sh -c command` in busybox:musl; options are docker-run's."""
        escaped = command.replace("%", "%%").replace("$", "$$").replace("\\", "\\\\").replace('"', '\\"')
        lines = [
            "[Unit]",
            "StartLimitIntervalSec=0",
            "[Service]",
            f"Slice={SLICE}",
            "LogRateLimitIntervalSec=0",
            "TimeoutStartSec=300",
        ]
        lines += [*self.service, *service]
        words = f"--rm --name %p-%i {options} {images.BUSYBOX}"
        return "\n".join([*lines, f'ExecStart={self.program} {words} sh -c "{escaped}"']) + "\n"

    def processes(self, machine: Machine, unit: str) -> list[str]:
        """Return the PIDs, inside, of the client's own processes."""
        directory = f"/sys/fs/cgroup/{SLICE}/{unit}.service/{self.cgroup}"
        return machine.run(f"cat {directory}/cgroup.procs").split()


_SYSTEMD_DOCKER = "/usr/local/bin/systemd-docker"
_NOTIFIES = ("Type=notify", "NotifyAccess=all", "Delegate=yes")

CLIENTS = (
    # `once`: in a service that continues, the main process must not change.
    Client(
        SYSTEMD_DOCKER,
        f"{_SYSTEMD_DOCKER} run",
        f"{_SYSTEMD_DOCKER} --log-level=warning --main-pid=wrapper run",
        _NOTIFIES,
        "supervisor",
        True,
    ),
    Client(DOCKER, "/usr/bin/docker run", "/usr/bin/docker run", ("Type=exec",), "", False),
    Client(
        PODMAN,
        "/usr/bin/podman run --sdnotify=conmon --cgroups=split --detach",  # the words of Quadlet
        "/usr/bin/podman run --sdnotify=ignore",
        (*_NOTIFIES, "KillMode=mixed"),
        "runtime",
        True,
    ),
)


def prepare(machine: Machine) -> Iterator[str]:
    """Lift the machine's own limits; yield a line per client that cannot be measured."""
    machine.run("mkdir -p /run/bench /etc/systemd/journald.conf.d /etc/systemd/system/docker.service.d")
    machine.write(
        "/etc/systemd/journald.conf.d/bench.conf",
        "[Journal]\nRateLimitIntervalSec=0\nSystemMaxUse=2G\nSystemMaxFileSize=1G\nSyncIntervalSec=1h\n",
    )
    machine.write("/etc/systemd/system/docker.service.d/bench.conf", "[Service]\nLogRateLimitIntervalSec=0\n")
    machine.run("systemctl daemon-reload; systemctl restart systemd-journald docker")
    if reason := _prepare_podman(machine):
        yield f"{PODMAN}: {reason}"


def _prepare_podman(machine: Machine) -> str:
    """Give Podman storage on a file system below which overlayfs works; return "", or why it cannot run here."""
    machine.write("/etc/containers/containers.conf", "[containers]\npids_limit=0\n")
    machine.run("mkdir -p /var/lib/containers; mount -t tmpfs containers /var/lib/containers")
    tried = machine.attempt(
        f"docker save {images.BUSYBOX} | podman load --quiet; podman run --rm {images.BUSYBOX} true"
    )
    return "" if tried.returncode == 0 else tried.stderr.strip().splitlines()[-1]
