"""THE tables of deliberate differences from the docker CLI, with command lines that show them.

DIFFERENCES: from every docker CLI; the manual's list has the same rows. KEPT: from the newest one, where an older one
serves better. Everything else that differs is a mistake.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """One habit of systemd-docker that differs from docker's.

    line:     a case, see sandbox.py, that shows it.
    docker:   whether the docker CLI accepts the line; None where that takes a network to find out.
    ours:     whether systemd-docker does.
    why:      as the manual says it.
    plain:    also when asked for plain docker's request (--plain-request).
    api:      the version of the engine's API at which it shows.
    """

    line: str
    docker: bool | None
    ours: bool
    why: str
    plain: bool = False
    api: str = "1.50"


DIFFERENCES = (
    Difference(
        "-name web busybox", docker=False, ours=True, plain=True,
        why="one dash is enough for a long flag that docker refuses: unit files of the Go systemd-docker have -rm",
    ),
    Difference(
        "--disable-content-trust=false busybox", docker=None, ours=False, plain=True,
        why="refused, because systemd-docker verifies no signatures",
    ),
    Difference(
        "DOCKER_CONTENT_TRUST=1 busybox", docker=None, ours=False, plain=True,
        why="refused, because systemd-docker verifies no signatures",
    ),
    Difference(
        "--restart=always busybox", docker=True, ours=False,
        why="refused, use Restart= in the unit: two managers would restart the same container",
    ),
    Difference(
        "--rm busybox", docker=True, ours=True,
        why="systemd-docker removes the container, not the engine, because it reads the exit status first",
    ),
    Difference(
        "--detach busybox", docker=True, ours=True,
        why="no effect: the container is attached to all the same",
    ),
    Difference(
        "--interactive busybox", docker=True, ours=False,
        why="refused unless standard input is connected",
    ),
    Difference(
        "--mount type=volume,src=data,dst=/data,volume-subpath=a busybox", docker=True, ours=False, api="1.41",
        why="refused with an engine that would silently mount the whole volume",
    ),
    Difference(
        "--network name=a,gw-priority=1 busybox", docker=True, ours=False, api="1.41",
        why="refused with an engine that would silently ignore the priority",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Kept:
    """Lines that are answered as docker CLI 28.2 answered them, and not as 29.7 does.

    apis: versions of the engine's API at which that shows.
    """

    why: str
    lines: tuple[str, ...]
    apis: tuple[str, ...] = ("1.41", "1.45", "1.50")


KEPT: tuple[Kept, ...] = (
    Kept(
        "the engine's own socket is mounted, which need not be /var/run/docker.sock",
        (
            "DOCKER_CONFIG=proxies --use-api-socket app",
            "--use-api-socket --mount type=bind,source=/a,target=/b x",
            "DOCKER_CONFIG=credentials --use-api-socket x",
            "DOCKER_CONFIG=credentials --use-api-socket -e DOCKER_CONFIG=/y x",
            "DOCKER_CONFIG=credentials --use-api-socket -e DOCKER_CONFIGS=/y x",
            "DOCKER_CONFIG=credentials --use-api-socket --env-file docker-config.env x",
            "DOCKER_CONFIG=no-credentials --use-api-socket x",
            "--use-api-socket x",
            "--use-api-socket -e DOCKER_CONFIG=/x x",
        ),
    ),
    Kept(
        "an engine before API 1.44 would silently leave the setting out: 29.7 was not made for it",
        (
            "--network a --network-alias b --network-alias c --ip 1.2.3.4 --ip6 ::1 --mac-address 92:d0:c6:0a:29:33 --link d --link e:f --link-local-ip 169.254.1.1 x",  # noqa: E501
            "--network a --mac-address 92:d0:c6:0a:29:33 --network b x",
            "--network name=a,mac-address=92:d0:c6:0a:29:33 --network name=b,mac-address=92:d0:c6:0a:29:34 x",
            "--network bridge --link a:b --mac-address 92:d0:c6:0a:29:33 x",
            "--network name=foo,alias=A,alias=b,ip=1.2.3.4,ip6=::1,mac-address=92:D0:c6:0a:29:33,link-local-ip=1.1.1.1,driver-opt=A=B,gw-priority=5 x",  # noqa: E501
            "--network name=foo,mac-address=92-D0-c6-0a-29-33 x",
            "--mac-address 92d0.c60a.2933.0000 x",
            "--mac-address 92d0.c60a.2933.0000.0001.0002.0003.0004.0005.0006 x",
            "--mac-address '92:d0:c6:0a:29:33\t' x",
            "--mac-address 92:d0:c6:0a:29:33 x",
            "--mac-address 92-D0-c6-0a-29-33 x",
            "--mac-address 92d0.c60a.2933 x",
            "--mac-address 00:00:5e:ef:10:00:00:00 x",
            "--mac-address ' 92:d0:c6:0a:29:33 ' x",
            "--mac-address 92:d0:c6:0a:29:33 --network host x",
            "--network name=host,mac-address=92:d0:c6:0a:29:33 x",
            "--mount type=bind,source=/a,target=/b,bind-recursive=readonly,bind-recursive=disabled,readonly,bind-propagation=rprivate x",  # noqa: E501
            "--mount type=bind,src=/a,target=/b,bind-recursive=readonly,ro,bind-propagation=rprivate x",
        ),
        apis=("1.41",),
    ),
    Kept(
        "an engine that still limits the kernel's memory gets the limit",
        ("--rm --kernel-memory 64m app", "--kernel-memory 1g --memory 1g x", "--kernel-memory 5m x"),
        apis=("1.41",),
    ),
    Kept(
        "a mount without a target is refused before anything is asked of the engine",
        ("--mount type=bind x", "--mount source=a x"),
    ),
    Kept("a link-local address that is none is not left out silently", ("--link-local-ip bogus x",)),
    Kept("keys to detach with mean nothing to a service, whatever they are", ("--detach-keys foo x",)),
    Kept("a feature of an operating system belongs to Windows", ("--platform 'linux(+foo)/amd64' x",)),
    Kept("a port has no sign", ("-p +80:80 x", "-p 80:+80 x")),
)
