"""Typed reads from parsed JSON: the engine's answers are untyped until they pass through here.

The module json is imported when it is first needed: with re and enum it takes as long as half of our own rooms, which
is time that the engine works on its first answer, and memory that a resting service can do without.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeVar

    JsonValue = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]
    JsonObject = Mapping[str, JsonValue]
    T = TypeVar("T", bool, int, str, dict[str, JsonValue], list[JsonValue])


class JsonError(ValueError):
    """Text is not JSON, or a field is missing or has another type than its consumer needs."""


def parse_object(text: bytes | str) -> dict[str, JsonValue]:
    """One JSON object, or JsonError."""
    value = _parse(text)
    if not isinstance(value, dict):
        raise JsonError(f"expected an object, got {type(value).__name__}")
    return value


def parse_objects(text: bytes | str) -> list[JsonObject]:
    """An array of objects, or JsonError."""
    value = _parse(text)
    if not isinstance(value, list):
        raise JsonError(f"expected an array, got {type(value).__name__}")
    return [item for item in value if isinstance(item, dict)]


def dump(value: JsonValue) -> str:
    """Compact JSON text; surrogates of undecodable argv bytes become the replacement character, as in Go."""
    import json

    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _parse(text: bytes | str) -> JsonValue:
    import json

    try:
        value: JsonValue = json.loads(text)
    except ValueError as error:
        raise JsonError(f"not JSON: {error}") from None
    return value


def get(obj: JsonObject, key: str, kind: type[T]) -> T:
    """obj[key], proven to be a kind; "a.b" reads b of the object a."""
    value: JsonValue = dict(obj)
    for step in key.split("."):
        if not isinstance(value, dict) or step not in value:
            raise JsonError(f"{key}: missing")
        value = value[step]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise JsonError(f"{key}: expected {kind.__name__}, got {type(value).__name__}")
    return value


def get_or(obj: JsonObject, key: str, default: T) -> T:
    """obj[key], or default where it is missing, null or of another type; the kind is the default's."""
    try:
        return get(obj, key, type(default))
    except JsonError:
        return default
