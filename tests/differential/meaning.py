"""What a create request means to the engine, and what a refusal says: the forms in which two clients are compared.

The engine decodes the request into Go structures, so null, "", 0, false, [] and {} are all the same as absent, but
for the few fields where it asks whether there was a value.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from systemd_docker.jsonobj import JsonValue

NAMES_ARE_THE_USERS = frozenset({
    "ExposedPorts", "Volumes", "Labels", "PortBindings", "Sysctls", "StorageOpt", "Config", "Tmpfs", "Annotations",
    "EndpointsConfig", "DriverOpts", "Options",
})  # fmt: skip
"""Mappings whose keys come from the command line: there an empty value is one."""

EMPTY_MATTERS = frozenset({"MaskedPaths", "ReadonlyPaths", "Init", "StopTimeout"})

SAME_AS_ABSENT: dict[str, JsonValue] = {
    "MemorySwappiness": -1,
    "ConsoleSize": [0, 0],
    "NetworkMode": "default",
    "RestartPolicy": {"Name": "no"},
}

UNORDERED = frozenset({"Binds"})
"""Lists that docker sends in another order each time."""

MOUNT_OPTIONS = ("BindOptions", "VolumeOptions", "TmpfsOptions", "ImageOptions")


def meaning(body: JsonValue) -> dict[str, JsonValue]:
    """The body of a create request without what makes no difference."""
    result = _meaning(body, "")
    assert isinstance(result, dict)
    networking = result.get("NetworkingConfig")
    endpoints = networking.get("EndpointsConfig") if isinstance(networking, dict) else None
    # A lone endpoint without settings is what the engine makes by itself.
    if isinstance(endpoints, dict) and len(endpoints) == 1 and not any(endpoints.values()):
        del result["NetworkingConfig"]
    variables = result.get("Env")
    if isinstance(variables, list):
        # The order of the names is docker's hash table's; of one name only the order of its values counts.
        result["Env"] = sorted(variables, key=lambda variable: str(variable).partition("=")[0])
    return result


def _meaning(value: JsonValue, name: str) -> JsonValue:
    if isinstance(value, list):
        items = [_meaning(item, "") for item in value]
        return sorted(items, key=json.dumps) if name in UNORDERED else items
    if not isinstance(value, dict):
        return value
    if name in NAMES_ARE_THE_USERS:
        return {key: _meaning(item, "") for key, item in value.items()}
    parts = {key: _meaning(item, key) for key, item in value.items()}
    return {key: item for key, item in parts.items() if _counts(key, item)}


def _counts(name: str, value: JsonValue) -> bool:
    if value is None or value == SAME_AS_ABSENT.get(name, ...):
        return False
    return name in EMPTY_MATTERS or value not in ("", 0, False, [], {})


def complaint(text: str) -> str:
    """The core of a refusal: without warnings, the program's name, the usage and the hint at the help; lower case."""
    text = "\n".join(line for line in text.split("\n") if not line.startswith(("time=", "WARNING: ", "DEPRECATED: ")))
    text = text.partition("\n\nUsage:")[0].partition("\n\nRun '")[0].partition("\nSee '")[0].strip()
    for prefix in ("docker: ", "systemd-docker: ", "Error: "):
        text = text.removeprefix(prefix)
    return text.replace("'systemd-docker run'", "'docker run'").removesuffix(".").strip().lower()
