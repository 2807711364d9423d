"""Frozen records as JSON and back, for the state that systemd-docker hands over when it re-executes itself.

JSON, because another version of Python may read it. A record's fields are numbers, strings, bytes, descriptors,
tuples of these, and further records; every field has a default, which is also the type that load() demands and what a
field gets that an older version did not hand over. Fields that this version does not know are left out.
"""

from __future__ import annotations

from systemd_docker.jsonobj import JsonError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    from systemd_docker.jsonobj import JsonObject, JsonValue

    R = TypeVar("R")

_BYTES = "bytes"


def dump(record: object) -> dict[str, JsonValue]:
    """Return {"field": value, ...}; bytes become {"bytes": Latin-1 text}."""
    return {name: _dumped(getattr(record, name)) for name in _fields(record)}


def load(blank: R, obj: JsonObject) -> R:
    """Return a record like blank, an instance that has only defaults, with the values of dump().

    Raises JsonError: a value has another type than blank's.
    """
    return type(blank)(**{name: _loaded(name, getattr(blank, name), obj) for name in _fields(blank)})


def _fields(record: object) -> tuple[str, ...]:
    return getattr(type(record), "__match_args__", ())


def _dumped(value: Any) -> JsonValue:
    if _fields(value):
        return dump(value)
    if isinstance(value, bytes):
        return {_BYTES: value.decode("latin-1")}
    if isinstance(value, tuple):
        return [_dumped(item) for item in value]
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _loaded(name: str, default: Any, obj: JsonObject) -> Any:
    if name not in obj:
        return default
    value = obj[name]
    if _fields(default):
        if not isinstance(value, dict):
            raise JsonError(f"{name}: expected an object, got {type(value).__name__}")
        return load(default, value)
    plain = _plain(value)
    kind = type(default)
    if isinstance(plain, int) and not isinstance(plain, bool) and issubclass(kind, int) and kind is not bool:
        return kind(plain)
    if type(plain) is not kind:
        raise JsonError(f"{name}: expected {kind.__name__}, got {type(plain).__name__}")
    return plain


def _plain(value: JsonValue) -> Any:
    if isinstance(value, list):
        return tuple(map(_plain, value))
    if isinstance(value, dict):
        return str(value[_BYTES]).encode("latin-1")
    return value
