"""The notification socket of a container that speaks sd_notify(3): where it is on the host, and in the container."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.jsonobj import JsonObject, JsonValue
    from systemd_docker.unit import UnitContext

MOUNT = "/run/host/sd-notify"
"""The directory in the container; below /run/host/ as the Container Interface has it."""

PARENT = "systemd-docker"
"""Below the runtime directory: one directory for each running container that has a socket."""

SHARED, SOCKET = "n", "notify"
"""What is mounted is a directory: a socket file that is made again stays reachable in it."""


def directory_of(unit: UnitContext) -> str:
    """Return this process's directory, which does not exist yet: "/run/systemd-docker/0123…def-41".

    Short, whatever the unit's name: a socket's path has 107 bytes, see unix(7). The PID tells apart several commands
    of one start of the unit.
    """
    return f"{parent_of(unit)}/{unit.invocation_id or 'run'}-{unit.pid}"


def parent_of(unit: UnitContext) -> str:
    return f"{unit.runtime_directory}/{PARENT}"


def with_socket(body: JsonObject, directory: str, watchdog_usec: int) -> JsonObject:
    """Return body for a container with the socket in directory.

    watchdog_usec: WatchdogSec= where the container keeps the watchdog alive, else 0. WATCHDOG_PID= stays out: it
    would be a PID of the host's, and sd_watchdog_enabled(3) compares it with the payload's own.
    """
    environment: list[JsonValue] = [f"NOTIFY_SOCKET={MOUNT}/{SOCKET}"]
    if watchdog_usec:
        environment.append(f"WATCHDOG_USEC={watchdog_usec}")
    host_config = body.get("HostConfig")
    host_config = host_config if isinstance(host_config, dict) else {}
    mount: dict[str, JsonValue] = {
        "Type": "bind",
        "Source": f"{directory}/{SHARED}",
        "Target": MOUNT,
        "ReadOnly": True,
    }
    mounts = [*_list(host_config, "Mounts"), mount]
    return {**body, "Env": _list(body, "Env") + environment, "HostConfig": {**host_config, "Mounts": mounts}}


def _list(body: JsonObject, key: str) -> list[JsonValue]:
    value = body.get(key)
    return value if isinstance(value, list) else []
