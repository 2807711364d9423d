"""File descriptors that a frozen record owns, told apart from other numbers by their type."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class Fd(int):
    """A descriptor that belongs to the record it stands in: handed over when systemd-docker re-executes itself."""

    __slots__ = ()


NO_FD = Fd(-1)
"""Where there is no descriptor."""


def owned_fds(record: object) -> Iterator[Fd]:
    """Yield every descriptor in a frozen record and in the records inside it."""
    for name in getattr(type(record), "__match_args__", ()):
        value = getattr(record, name)
        if isinstance(value, Fd):
            if value != NO_FD:
                yield value
        else:
            yield from owned_fds(value)


def close_fd(fd: int) -> None:
    """Close fd unless it is NO_FD."""
    if fd != NO_FD:
        os.close(fd)
