"""The mounts that a create request asks for, as far as adoption depends on them. Pure."""

from __future__ import annotations

import posixpath

from systemd_docker.frozen import frozen
from systemd_docker.kernel import mountinfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from systemd_docker.jsonobj import JsonObject, JsonValue

BIND, VOLUME, CONTAINER = "bind", "volume", "container"

READ_ONLY_RECURSIVE_API = (1, 44)
"""The first API version in which a read-only bind is read-only with all mounts below it, unless it says otherwise.
For an older client the engine makes only the bind itself read-only; volumes it makes so for every client."""


@frozen
class Mount:
    """One mount of a create request.

    kind:      BIND; VOLUME; CONTAINER, for all mounts of another container (--volumes-from).
    source:    the path, the volume's name ("" for an anonymous one), or the container's name.
    target:    where it is in the container, "" for CONTAINER.
    is_exact:  whether "read-only" is to mean that mount alone, not the mounts below it: they stay as they are, or do
               not come along.
    is_forced: whether the engine is to refuse the container where it cannot make all of it read-only.
    driver, options: the volume's, where the request names any.
    """

    kind: str
    source: str
    target: str = ""
    is_writable: bool = True
    is_exact: bool = False
    is_forced: bool = False
    driver: str = ""
    options: tuple[tuple[str, str], ...] = ()


@frozen
class ReadOnlySource:
    """The mounts that a read-only mount shows to the container, looked up on this host.

    name:    as the command line has it.
    paths:   where it is, symbolic links resolved; the mounts below these paths come along.
    unknown: why this cannot be told, "" where it can.
    """

    name: str
    paths: tuple[str, ...] = ()
    unknown: str = ""


def mounts_of(body: JsonObject) -> tuple[Mount, ...]:
    """Return the mounts that body, a create request, asks for."""
    host_config = _object(body.get("HostConfig"))
    driver = str(host_config.get("VolumeDriver") or "")
    found = [_bind(str(spec), driver) for spec in _list(host_config.get("Binds"))]
    found += [_mount(_object(spec)) for spec in _list(host_config.get("Mounts"))]
    for spec in _list(host_config.get("VolumesFrom")):
        name, _, mode = str(spec).partition(":")
        found.append(Mount(CONTAINER, name, is_writable="ro" not in mode.split(",")))
    return tuple(mount for mount in found if mount.kind in (BIND, VOLUME, CONTAINER))


def read_only_mounts(body: JsonObject, api: tuple[int, int]) -> tuple[Mount, ...]:
    """Return the mounts that an engine makes read-only with all mounts below them, if it knows that its runtime can.

    --volumes-from is always among them: the other container may have read-only mounts.
    """
    exact_kinds = (BIND,) if api < READ_ONLY_RECURSIVE_API else ()
    return tuple(
        mount
        for mount in mounts_of(body)
        if mount.kind == CONTAINER
        or not (mount.is_writable or mount.is_exact or (mount.kind in exact_kinds and not mount.is_forced))
    )


def writable_below(mountinfo_text: str, path: str) -> tuple[str, ...]:
    """Return the mount points below path that are not read-only themselves, sorted.

    Of a mount whose file system alone is read-only a remount on the host would be seen in the container.
    """
    below = path.rstrip("/") + "/"
    return tuple(
        sorted(
            {
                mount.mount_point
                for mount in mountinfo.parse(mountinfo_text)
                if mount.mount_point.startswith(below) and mount.mount_point != path and "ro" not in mount.options
            }
        )
    )


def what_stays_writable(sources: tuple[ReadOnlySource, ...], mountinfo_text: str) -> str:
    """Return what could be written to if only the tops of the read-only mounts were read-only; "" for nothing.

    mountinfo_text: of the host, "" where it cannot be read.
    """
    for source in sources:
        if source.unknown:
            return source.unknown
        if not mountinfo_text:
            return f"the mounts below the read-only '{source.name}' cannot be read"
        found = [point for path in source.paths for point in writable_below(mountinfo_text, path)]
        if found:
            others = f" and {len(found) - 1} more" if len(found) > 1 else ""
            return f"'{found[0]}'{others} would stay writable below the read-only '{source.name}'"
    return ""


def writable_cgroup_tree(body: JsonObject, mountinfo_text: str) -> str:
    """Return the source of a writable bind mount of the host's cgroup tree, "" where there is none."""
    trees = [
        mount.mount_point for mount in mountinfo.parse(mountinfo_text) if mount.filesystem in ("cgroup", "cgroup2")
    ]
    for mount in mounts_of(body):
        source = posixpath.normpath(mount.source)
        if mount.kind == BIND and mount.is_writable and any(_is_at_or_below(source, tree) for tree in trees):
            return mount.source
    return ""


def keeps_namespaces_apart(mountinfo_text: str) -> bool:
    """Return whether the kernel lets no process leave the cgroups of its cgroup namespace, whatever it can write to.

    cgroup-v2.rst, "Mounting": nsdelegate. systemd mounts cgroup v2 with it; v1 knows no such thing.
    """
    return any(
        mount.filesystem == "cgroup2" and "nsdelegate" in mount.super_options
        for mount in mountinfo.parse(mountinfo_text)
    )


def _is_at_or_below(path: str, top: str) -> bool:
    return path == top or path.startswith(f"{top.rstrip('/')}/")


def _bind(spec: str, driver: str) -> Mount:
    """Read one of HostConfig.Binds: SOURCE:TARGET[:MODE,…]."""
    source, _, rest = spec.partition(":")
    target, _, mode = rest.partition(":")
    is_writable = "ro" not in mode.split(",")
    if source.startswith("/"):
        return Mount(BIND, source, target, is_writable=is_writable)
    return Mount(VOLUME, source, target, is_writable=is_writable, driver=driver)


def _mount(spec: Mapping[str, JsonValue]) -> Mount:
    """Read one of HostConfig.Mounts."""
    bind, volume = _object(spec.get("BindOptions")), _object(spec.get("VolumeOptions"))
    driver = _object(volume.get("DriverConfig"))
    return Mount(
        str(spec.get("Type") or ""),
        str(spec.get("Source") or ""),
        str(spec.get("Target") or ""),
        is_writable=not spec.get("ReadOnly"),
        is_exact=bool(bind.get("NonRecursive") or bind.get("ReadOnlyNonRecursive")),
        is_forced=bool(bind.get("ReadOnlyForceRecursive")),
        driver=str(driver.get("Name") or ""),
        options=tuple((name, str(value)) for name, value in _object(driver.get("Options")).items()),
    )


def _object(value: JsonValue | None) -> Mapping[str, JsonValue]:
    return value if isinstance(value, dict) else {}


def _list(value: JsonValue | None) -> Iterator[JsonValue]:
    yield from value if isinstance(value, list) else ()
