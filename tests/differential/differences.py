"""THE table of what we do otherwise than the docker CLI, on purpose, with one command line for each.

Everything else that differs is a mistake. The manual's list of differences has the same rows.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """One habit of ours.

    line:     a case, see sandbox.py, that shows it.
    docker:   whether the docker CLI accepts the line; None where that takes a network to find out.
    ours:     whether we do.
    why:      as the manual says it.
    plain:    also when asked for plain docker's request (SYSTEMD_DOCKER_PLAIN=1).
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
        why="one dash is enough for a long flag where docker would stop: units of the old systemd-docker say -rm",
    ),
    Difference(
        "--disable-content-trust=false busybox", docker=None, ours=False, plain=True,
        why="signatures are not verified, so asking for it is refused",
    ),
    Difference(
        "DOCKER_CONTENT_TRUST=1 busybox", docker=None, ours=False, plain=True,
        why="signatures are not verified, so asking for it is refused",
    ),
    Difference(
        "--restart=always busybox", docker=True, ours=False,
        why="the service manager is what restarts a service: two managers restarting one container fight",
    ),
    Difference(
        "--rm busybox", docker=True, ours=True,
        why="we remove the container ourselves, once its ending has been read",
    ),
    Difference(
        "--detach busybox", docker=True, ours=True,
        why="means nothing: the container is attached to all the same",
    ),
    Difference(
        "--interactive busybox", docker=True, ours=False,
        why="refused unless there is a standard input to connect",
    ),
    Difference(
        "--mount type=volume,src=data,dst=/data,volume-subpath=a busybox", docker=True, ours=False, api="1.41",
        why="an engine that would silently mount all of the volume is too old",
    ),
    Difference(
        "--network name=a,gw-priority=1 busybox", docker=True, ours=False, api="1.41",
        why="an engine that would silently ignore the priority is too old",
    ),
)  # fmt: skip
