"""JSON, and typed reads from it: the engine's answers are untyped until they pass through here.

The text is read by the scanner that the module json itself uses, CPython's in C. What json lays around it imports re
and enum: 5 ms of every start, and 1 MB of every service that watches a container's health.
"""

from __future__ import annotations

from _json import encode_basestring, make_scanner

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
    return _encode(value).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _encode(value: JsonValue) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            return encode_basestring(value)
        case dict():
            return "{" + ",".join(f"{encode_basestring(key)}:{_encode(item)}" for key, item in value.items()) + "}"
        case _:
            return "[" + ",".join(map(_encode, value)) + "]"


class _Context:
    """What the scanner asks its caller; as json.JSONDecoder has it by default."""

    strict = True
    object_hook = object_pairs_hook = array_hook = None
    parse_float, parse_int, parse_constant = float, int, float


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
