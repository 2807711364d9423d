"""Properties of a unit, read over D-Bus with sd-bus, the client in libsystemd; sd-bus(3).

libsystemd is here anyway: systemd-python is made of it. ctypes costs 2 ms and 1 MB, so only a start imports this
module. Every property is a Get() of its own, and all of them travel together: systemd computes nothing that is not
asked for. A whole start took 1.6 ms of CPU more than on systemd's private socket, and 5.2 ms more with `systemctl
show` (medians of 20, interleaved, systemd 257).
"""

from __future__ import annotations

import ctypes
import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Value = str | int | bool
    Wait = Callable[[int, int, float], None]

SYSTEM_ADDRESS = "unix:path=/run/dbus/system_bus_socket"

_SYSTEMD = b"org.freedesktop.systemd1"
_UNITS = b"/org/freedesktop/systemd1/unit"
_PROPERTIES = b"org.freedesktop.DBus.Properties"

_ADDRESS_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_/.\\*")
"""Characters that stand for themselves in an address; D-Bus Specification, "Server Addresses"."""

_NUMBERS = {"b": ctypes.c_int, "i": ctypes.c_int32, "u": ctypes.c_uint32, "t": ctypes.c_uint64}

_pointer, _text, _type = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char

_PROTOTYPES = {
    "sd_bus_new": (_pointer,),
    "sd_bus_set_address": (_pointer, _text),
    "sd_bus_set_bus_client": (_pointer, ctypes.c_int),
    "sd_bus_start": (_pointer,),
    "sd_bus_get_fd": (_pointer,),
    "sd_bus_get_events": (_pointer,),
    "sd_bus_process": (_pointer, _pointer),
    "sd_bus_send": (_pointer, _pointer, _pointer),
    "sd_bus_path_encode": (_text, _text, _pointer),
    "sd_bus_message_new_method_call": (_pointer, _pointer, _text, _text, _text, _text),
    "sd_bus_message_append_basic": (_pointer, _type, _text),
    "sd_bus_message_get_reply_cookie": (_pointer, _pointer),
    "sd_bus_message_is_method_error": (_pointer, _text),
    "sd_bus_message_enter_container": (_pointer, _type, _text),
    "sd_bus_message_read_basic": (_pointer, _type, _pointer),
    "sd_bus_message_read_array": (_pointer, _type, _pointer, _pointer),
    "sd_bus_message_skip": (_pointer, _text),
    "sd_bus_message_at_end": (_pointer, ctypes.c_int),
}
"""Functions that return a negative errno where they fail."""


class Query:
    """Get() calls on one connection. Owns the connection until answer() or close()."""

    def __init__(self, address: str, unit: str, properties: Sequence[tuple[str, str, str]]) -> None:
        """properties: (interface, name, type): ("Service", "KillMode", "s").

        Raises OSError: ENOENT, ECONNREFUSED, there is no bus; EACCES, the bus is not for this user.
        """
        self._bus = _pointer()
        self._asked: dict[int, tuple[str, str]] = {}
        self._address = address
        try:
            self._do("sd_bus_new", ctypes.byref(self._bus))
            self._do("sd_bus_set_address", self._bus, address.encode())
            self._do("sd_bus_set_bus_client", self._bus, 1)
            self._do("sd_bus_start", self._bus)
            path = _text()
            self._do("sd_bus_path_encode", _UNITS, unit.encode(), ctypes.byref(path))
            try:
                for interface, name, type_ in properties:
                    self._asked[self._get(path, interface, name)] = (name, type_)
            finally:
                _libc.free(path)
        except BaseException:
            self.close()
            raise

    def answer(self, wait: Wait, deadline: float) -> dict[str, Value]:
        """{"KillMode": "mixed", ...}: the properties that systemd knows; of an array, how many elements it has.

        Raises OSError: the bus went away, or systemd did not answer on it. What wait raises passes through.
        """
        known: dict[str, Value] = {}
        try:
            while self._asked:
                message = _pointer()
                progress = self._do("sd_bus_process", self._bus, ctypes.byref(message))
                if message.value:
                    try:
                        self._take(message, known)
                    finally:
                        _lib.sd_bus_message_unref(message)
                elif not progress:
                    wait(self._do("sd_bus_get_fd", self._bus), self._do("sd_bus_get_events", self._bus), deadline)
        finally:
            self.close()
        if not known:
            raise OSError(errno.ENODATA, "systemd is not on the bus, or does not answer this user", self._address)
        return known

    def close(self) -> None:
        if self._bus.value:
            _lib.sd_bus_close(self._bus)
            _lib.sd_bus_unref(self._bus)
            self._bus = _pointer()

    def _get(self, path: ctypes.c_char_p, interface: str, name: str) -> int:
        """Queue one call; its cookie, which the reply names."""
        call = _pointer()
        new = ctypes.byref(call)
        self._do("sd_bus_message_new_method_call", self._bus, new, _SYSTEMD, path, _PROPERTIES, b"Get")
        try:
            for argument in (f"org.freedesktop.systemd1.{interface}", name):
                self._do("sd_bus_message_append_basic", call, b"s", argument.encode())
            cookie = ctypes.c_uint64()
            self._do("sd_bus_send", self._bus, call, ctypes.byref(cookie))
            return cookie.value
        finally:
            _lib.sd_bus_message_unref(call)

    def _take(self, message: ctypes.c_void_p, known: dict[str, Value]) -> None:
        cookie = ctypes.c_uint64()
        if _lib.sd_bus_message_get_reply_cookie(message, ctypes.byref(cookie)) < 0:
            # A signal; every client gets NameAcquired.
            return
        name, type_ = self._asked.pop(cookie.value, ("", ""))
        if name and not _lib.sd_bus_message_is_method_error(message, None):
            value = _read(message, type_)
            if value is not None:
                known[name] = value

    def _do(self, function: str, *arguments: object) -> int:
        result: int = getattr(_lib, function)(*arguments)
        if result < 0:
            raise OSError(-result, os.strerror(-result), self._address)
        return result


def user_address(runtime_directory: str) -> str:
    """Where a user's bus is unless $DBUS_SESSION_BUS_ADDRESS names another; runtime_directory: $XDG_RUNTIME_DIR."""
    escaped = "".join(
        char if char in _ADDRESS_CHARACTERS else "".join(f"%{byte:02x}" for byte in os.fsencode(char))
        for char in f"{runtime_directory}/bus"
    )
    return f"unix:path={escaped}"


def _read(message: ctypes.c_void_p, type_: str) -> Value | None:
    """The variant in a reply; None where systemd has given the property another type."""
    if _lib.sd_bus_message_enter_container(message, b"v", type_.encode()) <= 0:
        return None
    if type_ == "s":
        text = _text()
        done = _lib.sd_bus_message_read_basic(message, b"s", ctypes.byref(text))
        return (text.value or b"").decode(errors="replace") if done > 0 else None
    if type_ == "ay":
        begin, size = _pointer(), ctypes.c_size_t()
        done = _lib.sd_bus_message_read_array(message, b"y", ctypes.byref(begin), ctypes.byref(size))
        return (
            (ctypes.string_at(begin, size.value).hex() if begin.value and size.value else "") if done >= 0 else None
        )
    if type_.startswith("a"):
        return _count(message, type_[1:].encode())
    number = _NUMBERS[type_]()
    if _lib.sd_bus_message_read_basic(message, type_.encode(), ctypes.byref(number)) <= 0:
        return None
    return bool(number.value) if type_ == "b" else int(number.value)


def _count(message: ctypes.c_void_p, element: bytes) -> int | None:
    count = 0
    if _lib.sd_bus_message_enter_container(message, b"a", element) <= 0:
        return 0
    while (at_end := _lib.sd_bus_message_at_end(message, 0)) == 0:
        if _lib.sd_bus_message_skip(message, element) < 0:
            return None
        count += 1
    return count if at_end > 0 else None


def _load() -> ctypes.CDLL:
    lib = ctypes.CDLL("libsystemd.so.0")
    for name, types in _PROTOTYPES.items():
        getattr(lib, name).argtypes = types
    for name in ("sd_bus_unref", "sd_bus_message_unref"):
        getattr(lib, name).argtypes = (_pointer,)
        getattr(lib, name).restype = _pointer
    lib.sd_bus_close.argtypes = (_pointer,)
    lib.sd_bus_close.restype = None
    return lib


_lib = _load()
_libc = ctypes.CDLL(None)
_libc.free.argtypes = (_pointer,)
_libc.free.restype = None
