"""A fake message bus with systemd on it: D-Bus over a real AF_UNIX socket, as far as sd/bus.py speaks it.

    with FakeBus(tmp_path / "bus", {"KillMode": ("s", "mixed")}) as bus:
        ...                                       # the code under test, with bus.address
        assert bus.asked == [("web.service", "KillMode")]

D-Bus Specification, "Message Protocol", "Authentication Protocol".
"""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
PATH, INTERFACE, MEMBER, ERROR_NAME, REPLY_SERIAL, DESTINATION, SENDER, SIGNATURE = range(1, 9)

SYSTEMD = ":1.0"
ALIGNMENT = {"y": 1, "g": 1, "b": 4, "i": 4, "u": 4, "s": 4, "o": 4, "a": 4, "t": 8}


class FakeBus:
    """properties: (type, value) by name, for every unit; others are an error. asked: (unit, property), in order.

    holds:        authenticate, and answer nothing else.
    has_systemd:  whether anything answers to org.freedesktop.systemd1.
    hangs_up:     close the connection when the first property is asked for.
    """

    def __init__(
        self,
        path: Path,
        properties: Mapping[str, tuple[str, Any]] | None = None,
        *,
        holds: bool = False,
        has_systemd: bool = True,
        hangs_up: bool = False,
    ) -> None:
        self.address = f"unix:path={path}"
        self.properties = dict(properties or {})
        self.holds, self.has_systemd, self.hangs_up = holds, has_systemd, hangs_up
        self.asked: list[tuple[str, str]] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> FakeBus:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(ConnectionError, BrokenPipeError):
                self._speak(connection)

    def _speak(self, connection: socket.socket) -> None:
        data = authenticate(connection)
        while True:
            while message := first_message(data):
                fields, body, size = message
                data = data[size:]
                if fields[MEMBER] == "Hello":
                    send(connection, RETURN, fields, "s", ":1.7")
                    connection.sendall(signal())
                elif self.hangs_up:
                    return
                elif not self.holds:
                    self._answer(connection, fields, body)
            if not (piece := connection.recv(65536)):
                return
            data += piece

    def _answer(self, connection: socket.socket, fields: Mapping[int, Any], body: bytes) -> None:
        _interface, name = strings(body)
        unit = re.sub(r"_([0-9a-f]{2})", lambda match: chr(int(match[1], 16)), fields[PATH].rpartition("/")[2])
        if not self.has_systemd:
            send(connection, ERROR, fields, "s", "The name is not activatable", name="a.ServiceUnknown")
            return
        self.asked.append((unit, name))
        if name not in self.properties:
            send(connection, ERROR, fields, "s", "No such property", name="a.UnknownProperty")
            return
        type_, value = self.properties[name]
        send(connection, RETURN, fields, "v", (type_, value))


def authenticate(connection: socket.socket) -> bytes:
    """Let the client in; what it sent after BEGIN."""
    data = b""
    while b"BEGIN\r\n" not in data:
        if not (piece := connection.recv(4096)):
            raise ConnectionError
        data += piece
        while b"\r\n" in data and not data.startswith(b"BEGIN"):
            line, _, data = data.partition(b"\r\n")
            words = line.removeprefix(b"\0").split()
            if words == [b"AUTH", b"EXTERNAL"]:
                connection.sendall(b"DATA\r\n")
            elif words[0] in (b"AUTH", b"DATA"):
                connection.sendall(b"OK 093d5127cabb4fd2a7963e451086b26c\r\n")
            elif words[0] == b"NEGOTIATE_UNIX_FD":
                connection.sendall(b"AGREE_UNIX_FD\r\n")
    return data.partition(b"BEGIN\r\n")[2]


def first_message(data: bytes) -> tuple[dict[int, Any], bytes, int] | None:
    """(header fields and 0: the serial, body, bytes), None where not all of it has come."""
    if len(data) < 16:
        return None
    _, _, _, _, body_bytes, serial, fields_bytes = struct.unpack_from("<BBBBIII", data)
    begin = 16 + fields_bytes + -fields_bytes % 8
    if len(data) < begin + body_bytes:
        return None
    return (
        {0: serial, **dict(header_fields(data, 16 + fields_bytes))},
        data[begin : begin + body_bytes],
        (begin + body_bytes),
    )


def header_fields(data: bytes, end: int) -> Iterator[tuple[int, Any]]:
    position = 16
    while position < end:
        position += -position % 8
        code, type_ = data[position], chr(data[position + 2])
        position += 4
        if type_ == "g":
            length, position = data[position], position + 1
        elif type_ == "u":
            yield code, struct.unpack_from("<I", data, position)[0]
            position += 4
            continue
        else:
            length, position = struct.unpack_from("<I", data, position)[0], position + 4
        yield code, data[position : position + length].decode()
        position += length + 1


def strings(body: bytes) -> list[str]:
    found, position = [], 0
    while position < len(body):
        position += -position % 4
        length = struct.unpack_from("<I", body, position)[0]
        found.append(body[position + 4 : position + 4 + length].decode())
        position += 4 + length + 1
    return found


def send(
    connection: socket.socket, kind: int, call: Mapping[int, Any], type_: str, value: Any, name: str = ""
) -> None:
    """A reply to a call, from systemd."""
    fields: list[tuple[int, str, Any]] = [(REPLY_SERIAL, "u", call[0]), (SENDER, "s", SYSTEMD)]
    fields += [(ERROR_NAME, "s", name)] if name else []
    connection.sendall(message(kind, fields, type_, value))


def signal() -> bytes:
    fields = [(PATH, "o", "/"), (INTERFACE, "s", "a.b"), (MEMBER, "s", "NameAcquired"), (SENDER, "s", SYSTEMD)]
    return message(SIGNAL, fields, "s", ":1.7")


def message(kind: int, fields: list[tuple[int, str, Any]], type_: str, value: Any) -> bytes:
    body = bytearray()
    put(body, type_, value)
    header = bytearray(16)
    for code, field_type, field in [*fields, (SIGNATURE, "g", type_)]:
        header += bytes(-len(header) % 8) + bytes((code,))
        put(header, "v", (field_type, field))
    struct.pack_into("<BBBBIII", header, 0, ord("l"), kind, 1, 1, len(body), 9, len(header) - 16)
    return bytes(header + bytes(-len(header) % 8) + body)


def put(data: bytearray, type_: str, value: Any) -> None:
    """Append one value: a basic one, a variant as (type, value), an array of basic ones, a structure as a tuple."""
    if type_ == "v":
        put(data, "g", value[0])
        put(data, *value)
    elif type_.startswith("("):
        data += bytes(-len(data) % 8)
        position = 1
        for one in value:
            element = element_type(type_, position)
            put(data, element, one)
            position += len(element)
    elif type_.startswith("a"):
        element = type_[1:]
        items = bytearray(data + bytes(-len(data) % 4 + 4))
        items += bytes(-len(items) % (8 if element.startswith("(") else ALIGNMENT[element[0]]))
        begin = len(items)
        for one in value:
            put(items, element, one)
        length_at = len(data) + -len(data) % 4
        struct.pack_into("<I", items, length_at, len(items) - begin)
        data += items[len(data) :]
    elif type_ in "gso":
        encoded = value.encode()
        data += bytes(-len(data) % ALIGNMENT[type_])
        data += (bytes((len(encoded),)) if type_ == "g" else struct.pack("<I", len(encoded))) + encoded + b"\0"
    else:
        data += bytes(-len(data) % ALIGNMENT[type_])
        data += struct.pack({"y": "<B", "b": "<I", "i": "<i", "u": "<I", "t": "<Q"}[type_], value)


def element_type(type_: str, position: int) -> str:
    return "as" if type_[position] == "a" else type_[position]
