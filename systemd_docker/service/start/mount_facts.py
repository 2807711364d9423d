"""Look up the read-only mounts of a planned container on this host, before the plan is made.

Since version 25 the engine makes a read-only mount read-only with all mounts below it, but only where it knows that
the runtime can. plan.adoption needs to know whether there are any such mounts.
"""

from __future__ import annotations

import os

from systemd_docker.errors import EngineError
from systemd_docker.plan import mounts
from systemd_docker.plan.mounts import BIND, CONTAINER, VOLUME, Mount, ReadOnlySource

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from systemd_docker.engine.client import Engine
    from systemd_docker.engine.models import EngineInfo, VolumeFacts
    from systemd_docker.jsonobj import JsonObject

KERNEL = (5, 12)
"""The first kernel with mount_setattr(2), by which a runtime makes all of a mount tree read-only at once."""

ENGINE_MAJOR = 25
"""The first engine that makes read-only mounts recursively read-only."""

LOCAL = "local"
"""The engine's built-in volume driver."""


def look_up(body: JsonObject, engine: Engine, info: EngineInfo) -> tuple[ReadOnlySource, ...]:
    """Look up the read-only mounts of body, a create request; () where the engine makes none of them recursively so.

    Raises Error: the engine could not be asked for a volume or a container.
    """
    if info.cgroup_driver != "systemd" or 0 < info.major < ENGINE_MAJOR or not _has_mount_setattr(os.uname().release):
        return ()
    return tuple(
        source for mount in mounts.read_only_mounts(body, engine.api) for source in _sources_of(mount, engine)
    )


def _has_mount_setattr(release: str) -> bool:
    """release: as of uname(2), "6.12.48+deb13-amd64"; one that is not understood has everything."""
    major, minor, *_ = [*release.split("."), "", ""]
    return not (major.isdecimal() and minor.isdecimal()) or (int(major), int(minor)) >= KERNEL


def _sources_of(mount: Mount, engine: Engine) -> Iterator[ReadOnlySource]:
    if mount.is_forced:
        yield ReadOnlySource(mount.source, unknown=f"bind-recursive=readonly is asked for '{mount.source}'")
    elif mount.kind == BIND:
        yield ReadOnlySource(mount.source, (os.path.realpath(mount.source),))
    elif mount.kind == CONTAINER:
        yield from _of_container(mount, engine)
    else:
        yield _of_volume(mount, engine)


def _of_container(mount: Mount, engine: Engine) -> Iterator[ReadOnlySource]:
    try:
        found = engine.mounts(mount.source)
    except EngineError as error:
        if error.http_status != 404:
            raise
        # The engine is going to refuse the container.
        return
    for point in found:
        if mount.is_writable and point.is_writable:
            continue
        if point.name:
            yield _of_volume(Mount(VOLUME, point.name), engine)
        else:
            yield ReadOnlySource(point.source, (os.path.realpath(point.source),))


def _of_volume(mount: Mount, engine: Engine) -> ReadOnlySource:
    """Of a volume that does not exist yet, the request says what it is going to be."""
    name = mount.source or mount.target
    volume = _volume(mount.source, engine)
    driver = volume.driver if volume else mount.driver or LOCAL
    options = dict(volume.options if volume else mount.options)
    if driver != LOCAL:
        return ReadOnlySource(
            name, unknown=f"only its driver '{driver}' knows the mounts below the read-only '{name}'"
        )
    paths = (os.path.realpath(volume.mountpoint),) if volume else ()
    if "rbind" in options.get("o", "").split(","):
        # The engine mounts it when the container starts, with all mounts below the device.
        paths = (*paths, os.path.realpath(options.get("device", "/")))
    return ReadOnlySource(name, paths)


def _volume(name: str, engine: Engine) -> VolumeFacts | None:
    if not name:
        return None
    try:
        return engine.volume(name)
    except EngineError as error:
        if error.http_status != 404:
            raise
        return None
