"""The engine's answers as records, and how they are read from its JSON. Every reader raises jsonobj.JsonError."""

from __future__ import annotations

from systemd_docker import jsonobj
from systemd_docker.frozen import frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from systemd_docker.jsonobj import JsonObject, JsonValue

DEFAULT_HEALTHCHECK_INTERVAL_NSEC = 30 * 10**9


@frozen
class EngineInfo:
    """The facts that decide how a container can be made part of a unit; `GET /info`.

    cgroup_driver: "systemd", "cgroupfs" or "none".
    version:       e.g. "20.10.24+dfsg1".
    has_limits:    whether it can limit memory or processes: a user's own engine may have no controllers.
    runtimes:      by the names that the engine's configuration lists, their programs, "" for the engine's choice.
    """

    version: str
    cgroup_driver: str
    default_runtime: str
    runtimes: Mapping[str, str]
    security_options: tuple[str, ...]
    has_limits: bool = True

    @property
    def major(self) -> int:
        """20 of "20.10.24+dfsg1"; 0 for a development build that has no number."""
        number = self.version.partition(".")[0]
        return int(number) if number.isdecimal() else 0

    @property
    def rootless(self) -> bool:
        return "name=rootless" in self.security_options


@frozen
class ContainerFacts:
    """A container as the engine has it now; `GET /containers/ID/json`.

    name:             without the slash in front.
    image_id:         "sha256:…", also where the image has lost its name.
    pid:              the leader's PID as the engine's host sees it; 0 when it does not run.
    stop_timeout_sec: None where the container has none of its own.
    health:           "starting", "healthy", "unhealthy"; "" for a container without a healthcheck, or not yet run.
    healthcheck:      the command, as an exec's event shows the end of it: "curl -f localhost"; "" for none.
    healthcheck_interval_nsec: 0 for the engine's own, DEFAULT_HEALTHCHECK_INTERVAL_NSEC.
    """

    id: str
    name: str
    status: str
    running: bool
    pid: int
    exit_code: int
    oom_killed: bool
    error: str
    labels: Mapping[str, JsonValue]
    cgroup_parent: str
    image_id: str
    runtime: str
    tty: bool
    stop_signal: str
    stop_timeout_sec: int | None
    health: str
    healthcheck: str
    healthcheck_interval_nsec: int


@frozen
class Listed:
    """A container in a list; `GET /containers/json`.

    name: without the slash in front. status, image_id: as in ContainerFacts.
    """

    id: str
    name: str
    status: str
    labels: Mapping[str, JsonValue]
    image_id: str


@frozen
class Created:
    """A container that was made; `POST /containers/create`."""

    id: str
    warnings: tuple[str, ...]


@frozen
class MountFacts:
    """A mount of a container; `GET /containers/ID/json`.

    name:   the volume's, "" for a bind mount.
    source: the path on the host; of a volume that is not in use it may be "".
    """

    name: str
    source: str
    is_writable: bool


@frozen
class VolumeFacts:
    """A volume; `GET /volumes/NAME`. options: the driver's, by name."""

    driver: str
    mountpoint: str
    options: tuple[tuple[str, str], ...]


def engine_info(text: bytes) -> EngineInfo:
    obj = jsonobj.parse_object(text)
    runtimes = jsonobj.get_or(obj, "Runtimes", {})
    return EngineInfo(
        version=jsonobj.get_or(obj, "ServerVersion", ""),
        cgroup_driver=jsonobj.get_or(obj, "CgroupDriver", ""),
        default_runtime=jsonobj.get_or(obj, "DefaultRuntime", ""),
        runtimes={name: str(one.get("path", "")) for name, one in runtimes.items() if isinstance(one, dict)},
        security_options=tuple(str(option) for option in jsonobj.get_or(obj, "SecurityOptions", [])),
        has_limits=jsonobj.get_or(obj, "MemoryLimit", True) or jsonobj.get_or(obj, "PidsLimit", True),
    )


def container_facts(text: bytes) -> ContainerFacts:
    obj = jsonobj.parse_object(text)
    stop_timeout = jsonobj.get_or(obj, "Config.StopTimeout", -1)
    health = jsonobj.get_or(obj, "State.Health.Status", "")
    return ContainerFacts(
        id=jsonobj.get(obj, "Id", str),
        name=jsonobj.get_or(obj, "Name", "").removeprefix("/"),
        status=jsonobj.get_or(obj, "State.Status", ""),
        running=jsonobj.get_or(obj, "State.Running", False),
        pid=jsonobj.get_or(obj, "State.Pid", 0),
        exit_code=jsonobj.get_or(obj, "State.ExitCode", 0),
        oom_killed=jsonobj.get_or(obj, "State.OOMKilled", False),
        error=jsonobj.get_or(obj, "State.Error", ""),
        labels=jsonobj.get_or(obj, "Config.Labels", {}),
        cgroup_parent=jsonobj.get_or(obj, "HostConfig.CgroupParent", ""),
        image_id=jsonobj.get_or(obj, "Image", ""),
        runtime=jsonobj.get_or(obj, "HostConfig.Runtime", ""),
        tty=jsonobj.get_or(obj, "Config.Tty", False),
        stop_signal=jsonobj.get_or(obj, "Config.StopSignal", ""),
        stop_timeout_sec=None if stop_timeout < 0 else stop_timeout,
        health=health if health != "none" else "",
        healthcheck=_healthcheck(obj),
        healthcheck_interval_nsec=jsonobj.get_or(obj, "Config.Healthcheck.Interval", 0),
    )


def mount_facts(text: bytes) -> tuple[MountFacts, ...]:
    return tuple(
        MountFacts(
            name=jsonobj.get_or(mount, "Name", ""),
            source=jsonobj.get_or(mount, "Source", ""),
            is_writable=jsonobj.get_or(mount, "RW", True),
        )
        for mount in jsonobj.get_or(jsonobj.parse_object(text), "Mounts", [])
        if isinstance(mount, dict)
    )


def volume_facts(text: bytes) -> VolumeFacts:
    obj = jsonobj.parse_object(text)
    options = jsonobj.get_or(obj, "Options", {})
    return VolumeFacts(
        driver=jsonobj.get_or(obj, "Driver", ""),
        mountpoint=jsonobj.get_or(obj, "Mountpoint", ""),
        options=tuple((name, str(value)) for name, value in options.items()),
    )


def _healthcheck(obj: JsonObject) -> str:
    """Config.Healthcheck.Test is ["NONE"], ["CMD", word…] or ["CMD-SHELL", line]; the image's if it has none."""
    kind, *words = [str(word) for word in jsonobj.get_or(obj, "Config.Healthcheck.Test", [])] or [""]
    return " ".join(words) if kind in ("CMD", "CMD-SHELL") else ""


def image_labels(text: bytes) -> Mapping[str, JsonValue]:
    """Return an image's labels; `GET /images/ID/json`."""
    return jsonobj.get_or(jsonobj.parse_object(text), "Config.Labels", {})


def created(text: bytes) -> Created:
    obj = jsonobj.parse_object(text)
    warnings = tuple(str(warning) for warning in jsonobj.get_or(obj, "Warnings", []))
    return Created(jsonobj.get(obj, "Id", str), warnings)


def listed(text: bytes) -> tuple[Listed, ...]:
    return tuple(
        Listed(
            id=jsonobj.get(obj, "Id", str),
            name=_first_name(obj),
            status=jsonobj.get_or(obj, "State", ""),
            labels=jsonobj.get_or(obj, "Labels", {}),
            image_id=jsonobj.get_or(obj, "ImageID", ""),
        )
        for obj in jsonobj.parse_objects(text)
    )


def exec_id(text: bytes) -> str:
    """Return the id of a command that is to run in a container; `POST /containers/ID/exec`."""
    return jsonobj.get(jsonobj.parse_object(text), "Id", str)


def exec_exit_code(text: bytes) -> int:
    """Return the exit code of such a command, -1 while it runs; `GET /exec/ID/json`."""
    obj = jsonobj.parse_object(text)
    return -1 if jsonobj.get_or(obj, "Running", False) else jsonobj.get_or(obj, "ExitCode", 0)


def exit_code(text: bytes) -> tuple[int, str]:
    """Return a container's exit code, or (0, why the engine could not wait for it); `POST /containers/ID/wait`."""
    obj = jsonobj.parse_object(text)
    if message := jsonobj.get_or(obj, "Error.Message", ""):
        return 0, message
    return jsonobj.get(obj, "StatusCode", int), ""


def _first_name(obj: JsonObject) -> str:
    """A container has more than one where others are linked to it: "/web/db" is web's name for it, "/db" its own."""
    names = [str(name) for name in jsonobj.get_or(obj, "Names", [])]
    return next((name[1:] for name in names if name.count("/") == 1), "")
