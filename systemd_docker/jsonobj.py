"""JSON, and typed reads from it: the engine's answers are untyped until they pass through here.

Every service that watches a container's health decodes events. It uses the scanner in C that the standard library's
json is built on: json itself imports re and enum, 1.2 MB of private memory per service and 7 ms (Python 3.11). Only a
start encodes, and does so with json.
"""

from __future__ import annotations

from _json import make_scanner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TypeVar

    JsonValue = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]
    JsonObject = Mapping[str, JsonValue]
    T = TypeVar("T", bool, int, str, dict[str, JsonValue], list[JsonValue])


_SPACE = " \t\n\r"


class JsonError(ValueError):
    """Text is not JSON, or a field is missing or has another type than its consumer needs."""


def parse_object(text: bytes | str) -> dict[str, JsonValue]:
    """Parse one JSON object. Raises JsonError."""
    value = _parse(text)
    if not isinstance(value, dict):
        raise JsonError(f"expected an object, got {type(value).__name__}")
    return value


def parse_objects(text: bytes | str) -> list[JsonObject]:
    """Parse an array of objects; leaves out its other items. Raises JsonError."""
    value = _parse(text)
    if not isinstance(value, list):
        raise JsonError(f"expected an array, got {type(value).__name__}")
    return [item for item in value if isinstance(item, dict)]


def dump(value: JsonObject) -> bytes:
    """Return compact JSON; what is no text, as bytes of argv or escapes in a file, becomes U+FFFD, as in Go.

    Raises JsonError for what JSON has no words for: inf and nan.
    """
    # A supervising process never encodes, and does not pay for the import: see the module.
    import json

    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError as error:
        raise JsonError(f"not JSON: {error}") from None
    try:
        return text.encode()
    except UnicodeEncodeError:
        return "".join("\ufffd" if "\ud800" <= character <= "\udfff" else character for character in text).encode()


class _Context:
    """The attributes that the scanner reads from its caller, with the defaults of json.JSONDecoder."""

    strict = True
    object_hook = object_pairs_hook = array_hook = None
    parse_float, parse_int = float, int

    @staticmethod
    def parse_constant(name: str) -> float:
        """Refuse NaN and Infinity, which JavaScript knows and JSON does not."""
        raise ValueError(f"{name} is no value")


_scan: Any = make_scanner(_Context)  # type: ignore[arg-type]  # duck-typed, see json.scanner


def _parse(data: bytes | str) -> JsonValue:
    try:
        text = data if isinstance(data, str) else data.decode()
        begin = len(text) - len(text.lstrip(_SPACE))
        value: JsonValue
        value, end = _scan(text, begin)
        if text[end:].strip(_SPACE):
            raise JsonError(f"not JSON: something follows at character {end}")
    except StopIteration as error:
        raise JsonError(f"not JSON: a value is missing at character {error.value}") from None
    except (ValueError, RecursionError) as error:
        raise JsonError(f"not JSON: {error}") from None
    return value


def get(obj: JsonObject, key: str, kind: type[T]) -> T:
    """Return obj[key], proven to be a kind; "a.b" reads b of the object a. Raises JsonError."""
    value: JsonValue | JsonObject = obj
    for step in key.split("."):
        if not isinstance(value, dict) or step not in value:
            raise JsonError(f"no field {key}")
        value = value[step]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise JsonError(f"field {key}: expected {kind.__name__}, got {type(value).__name__}")
    return value


def get_or(obj: JsonObject, key: str, default: T) -> T:
    """Return obj[key], or default where it is missing, null or of another type; the kind is the default's."""
    try:
        return get(obj, key, type(default))
    except JsonError:
        return default
