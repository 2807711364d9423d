"""Frozen records: `@frozen` makes what the standard library's `@dataclass(frozen=True, slots=True)` makes, for less.

Every supervising process stays in memory for as long as its container runs, so each of its imports is paid for once
per unit. Measured with Debian 12's Python 3.11, `python3 -I -S`: socket, json, selectors and signal together 9.6 MB;
with dataclasses, which imports inspect, ast, dis and tokenize, 11.3 MB and 8 ms more. This module covers the subset
that the project uses: fields with plain immutable defaults.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dataclasses import replace
    from typing import Any, TypeVar, dataclass_transform

    T = TypeVar("T")

    @dataclass_transform(frozen_default=True)
    def frozen(cls: type[T]) -> type[T]:
        """Declare for type checkers that frozen() makes the methods of a frozen dataclass."""


__all__ = ["frozen", "replace"]

if not TYPE_CHECKING:

    class FrozenRecordError(AttributeError):
        """An assignment to a field of a record."""

    def frozen(cls: type) -> type:
        """Class decorator: positional and keyword construction, equality, hash, repr; no assignment afterwards.

        Raises ValueError for a default that could be changed: all records would share it.
        """
        return _build(cls)

    def replace(record: Any, /, **changes: Any) -> Any:
        """Return a copy of record with some fields changed."""
        fields = type(record).__match_args__
        return type(record)(**{name: getattr(record, name) for name in fields} | changes)

    def _build(cls: type) -> type:
        inherited = getattr(cls, "__match_args__", ())
        own = tuple(cls.__annotations__) if "__annotations__" in cls.__dict__ or hasattr(cls, "__annotate__") else ()
        fields = inherited + tuple(name for name in own if name not in inherited)
        defaults = dict(getattr(cls, "_record_defaults", ()))
        defaults |= {name: cls.__dict__[name] for name in own if name in cls.__dict__}
        if shared := [name for name, value in defaults.items() if type(value).__hash__ is None]:
            raise ValueError(f"{cls.__qualname__}: mutable default of {', '.join(shared)}")
        left_out = {*own, "__dict__", "__weakref__"}
        namespace = {name: value for name, value in cls.__dict__.items() if name not in left_out}
        namespace |= {
            "__slots__": tuple(name for name in own if name not in inherited),
            "__match_args__": fields,
            "__init__": _initializer(cls.__qualname__, fields, defaults),
            "__setattr__": _refuse,
            "__delattr__": _refuse,
            "__eq__": _equal,
            "__hash__": _hash,
            "_record_defaults": defaults,
        }
        namespace.setdefault("__repr__", _represent)
        return type(cls)(cls.__name__, cls.__bases__, namespace)

    def _initializer(name: str, fields: tuple[str, ...], defaults: dict[str, Any]) -> Any:
        known = frozenset(fields)

        set_field = object.__setattr__

        def arrange(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
            if len(args) > len(fields):
                raise TypeError(f"{name} takes {len(fields)} fields, got {len(args)}")
            values = dict(zip(fields, args, strict=False))
            if twice := values.keys() & kwargs.keys() or kwargs.keys() - known:
                raise TypeError(f"{name}: unexpected or repeated fields: {', '.join(sorted(twice))}")
            values = {**defaults, **values, **kwargs}
            if missing := known - values.keys():
                raise TypeError(f"{name}: missing fields: {', '.join(sorted(missing))}")
            return tuple(values[field] for field in fields)

        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
            values = args if len(args) == len(fields) and not kwargs else arrange(args, kwargs)
            for field, value in zip(fields, values, strict=True):
                set_field(self, field, value)

        return __init__

    def _refuse(self: Any, field: str, *value: Any) -> None:
        raise FrozenRecordError(f"cannot change field '{field}' of {type(self).__qualname__}")

    def _values(record: Any) -> tuple[Any, ...]:
        return tuple(getattr(record, field) for field in type(record).__match_args__)

    def _equal(self: Any, other: object) -> bool:
        return _values(self) == _values(other) if type(other) is type(self) else NotImplemented

    def _hash(self: Any) -> int:
        return hash(_values(self))

    def _represent(self: Any) -> str:
        fields = ", ".join(f"{field}={getattr(self, field)!r}" for field in type(self).__match_args__)
        return f"{type(self).__qualname__}({fields})"
