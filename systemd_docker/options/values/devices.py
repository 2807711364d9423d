"""Devices and what limits them: --device, --device-cgroup-rule, --device-*-bps, --blkio-weight-device, --gpus."""

from __future__ import annotations

from systemd_docker.errors import UsageError
from systemd_docker.options.values import go_numbers, paths
from systemd_docker.options.values.csv import split_fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from systemd_docker.jsonobj import JsonValue


def device(spec: str) -> dict[str, JsonValue]:
    """ "/dev/sda:/dev/xvda:r" -> a DeviceMapping; two parts are a path in the container, or permissions."""
    host, *more = spec.split(":")
    if not host or len(more) > 2:
        raise UsageError(f"--device={spec} is not HOST[:CONTAINER[:PERMISSIONS]]")
    permissions = "rwm"
    if len(more) == 1 and _is_permissions(more[0]):
        permissions = more.pop()
    if len(more) == 2:
        permissions = more[1]
        if not _is_permissions(permissions):
            raise UsageError(f"the permissions in --device={spec} must be of r, w, m")
    inside = more[0] if more else host
    if not inside.startswith("/"):
        raise UsageError(f"'{inside}' in --device={spec} is not an absolute path")
    # Only the last path of the shorter forms is cleaned.
    cleaned = inside if len(more) == 2 else paths.clean(inside)
    return {
        "PathOnHost": host if more else cleaned,
        "PathInContainer": cleaned,
        "CgroupPermissions": permissions,
    }


def _is_permissions(text: str) -> bool:
    return bool(text) and len(set(text)) == len(text) and set(text) <= set("rwm")


def is_cdi_name(spec: str) -> bool:
    """Check for a Container Device Interface name, e.g. "nvidia.com/gpu=all", rather than a path."""
    if spec.startswith("/"):
        return False
    kind, _, name = spec.partition("=")
    vendor, _, class_ = kind.partition("/")
    return (
        _is_cdi_word(vendor, "_.-")
        and vendor[0].isalpha()
        and _is_cdi_word(class_, "_-")
        and class_[0].isalpha()
        and _is_cdi_word(name, "_-.:")
    )


def _is_cdi_word(text: str, punctuation: str) -> bool:
    if not text.isascii() or not text or not (text[0].isalnum() and text[-1].isalnum()):
        return False
    return all(char.isalnum() or char in punctuation for char in text)


def cdi_request(names: Sequence[str]) -> dict[str, JsonValue]:
    return {"Driver": "cdi", "DeviceIDs": list(names)}


def cgroup_rule(text: str) -> str:
    """ "c 1:3 rwm", see the kernel's Documentation/admin-guide/cgroup-v1/devices.rst."""
    words = text.split(" ")
    major_minor = words[1].split(":") if len(words) == 3 else []
    if (
        len(major_minor) != 2
        or words[0] not in ("a", "c", "b")
        or not all(part == "*" or (part.isascii() and part.isdigit()) for part in major_minor)
        or not 1 <= len(words[2]) <= 3
        or not set(words[2]) <= set("rwm")
    ):
        raise UsageError("must be like 'c 42:* rmw'")
    return text


def bytes_rate(text: str) -> dict[str, JsonValue]:
    """ "/dev/sda:1mb" -> a ThrottleDevice with bytes per second."""
    return _rate(text, go_numbers.size_bytes)


def io_rate(text: str) -> dict[str, JsonValue]:
    """ "/dev/sda:1000" -> a ThrottleDevice with operations per second."""
    return _rate(text, lambda rate: go_numbers.natural(rate, base=10))


def _rate(text: str, read: Callable[[str], int]) -> dict[str, JsonValue]:
    path, value = _device_and_value(text)
    return {"Path": path, "Rate": read(value)}


def weight(text: str) -> dict[str, JsonValue]:
    """ "/dev/sda:500" -> a WeightDevice; 10 to 1000, or 0 for the default."""
    path, value = _device_and_value(text)
    try:
        number = go_numbers.natural(value, base=10, bits=16)
    except UsageError:
        number = 1
    if number != 0 and not 10 <= number <= 1000:
        raise UsageError("the weight must be 0, or from 10 to 1000")
    return {"Path": path, "Weight": number}


def _device_and_value(text: str) -> tuple[str, str]:
    path, colon, value = text.partition(":")
    if not path or not colon:
        raise UsageError("must be like /dev/sda:500")
    if not path.startswith("/dev/"):
        raise UsageError("must begin with /dev/")
    return path, value


def gpus(text: str) -> dict[str, JsonValue]:
    """ "all", "2", '"device=0,1",capabilities=utility' -> a DeviceRequest; "gpu" is always among the capabilities."""
    request: dict[str, JsonValue] = {"Capabilities": [["gpu"]], "Options": {}}
    seen: set[str] = set()
    for field in split_fields(text):
        key, equals, value = field.partition("=")
        if key in seen:
            raise UsageError(f"key '{key}' is given twice")
        seen |= {key} if equals else {key, "count"}
        request |= _gpu_field(key, value) if equals else {"Count": _gpu_count(key)}
    return request if seen & {"count", "device"} else request | {"Count": 1}


def _gpu_field(key: str, value: str) -> dict[str, JsonValue]:
    match key:
        case "driver":
            return {"Driver": value}
        case "count":
            return {"Count": _gpu_count(value)}
        case "device":
            return {"DeviceIDs": [*value.split(",")]}
        case "capabilities":
            return {"Capabilities": [[*value.split(","), "gpu"]]}
        case "options":
            return {"Options": _gpu_options(value)}
    raise UsageError(f"unknown key '{key}'")


def _gpu_options(text: str) -> dict[str, JsonValue]:
    return {name: value for name, _, value in (option.partition("=") for option in split_fields(text))}


def _gpu_count(text: str) -> int:
    if text == "all":
        return -1
    try:
        return go_numbers.integer(text, base=10)
    except UsageError:
        raise UsageError('the count must be "all" or a number') from None
