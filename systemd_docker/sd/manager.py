"""What the service manager knows of a unit, asked at the socket that it has for root, or for its own user.

It is the one that systemctl(1) uses, and speaks D-Bus without a bus between: there is no name to ask for, and nobody
to say hello to. Each property is a Get() of its own, and all of them go in one write(2) together with the
authentication: properties that nobody asks for are no work for anybody. That is 0.4 ms of CPU; `systemctl show` took
7, most of it for its start, and a start waited 10 for it. Where this socket is not for us, see systemctl.

D-Bus Specification, "Message Protocol" and "Authentication Protocol"; org.freedesktop.systemd1(5).
"""

from __future__ import annotations

import os
import select
import struct
import time

from systemd_docker.frozen import frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Mapping

    Value = str | int
else:
    import _socket as socket

MAX_ANSWER_BYTES = 1024 * 1024
"""Signals come as well, to everybody who is connected; what is asked for is 1 KiB."""

_METHOD_CALL, _METHOD_RETURN, _ERROR = 1, 2, 3

_PATH, _INTERFACE, _MEMBER, _REPLY_SERIAL, _SIGNATURE = 1, 2, 3, 5, 8

_HEADER = "BBBBIII"
"""Endianness, type, flags, version; bytes of the body, serial, bytes of the fields."""

_HEADER_BYTES = struct.calcsize(f"={_HEADER}")

_NUMBERS = {"y": "B", "b": "I", "i": "i", "u": "I", "x": "q", "t": "Q"}
"""D-Bus's types as struct has them; each is aligned to its own size."""


class NotUnderstoodError(ConnectionError):
    """What answers there is not what we know."""


class Question:
    """Gets, on their way. Owns the connection until answer() or close()."""

    def __init__(self, path: str, unit: str, properties: Mapping[str, str]) -> None:
        """properties: by name, with "Service" or "Unit": the interface that has it.

        Raises OSError: ENOENT, ECONNREFUSED, no manager is there; EACCES, it is not for us; EAGAIN, it is busy.
        """
        self._names = dict(enumerate(properties, 1))
        request = [b"\0AUTH EXTERNAL ", str(os.geteuid()).encode().hex().encode(), b"\r\nBEGIN\r\n"]
        request += [get(number, unit, properties[name], name) for number, name in self._names.items()]
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            self._socket.connect(path)
            message = b"".join(request)
            if self._socket.send(message) != len(message):
                raise NotUnderstoodError("the service manager does not take a question as a whole")
        except OSError:
            self._socket.close()
            raise

    def answer(self, deadline: float) -> dict[str, str]:
        """{"KillMode": "mixed", ...}: what the manager knows of what it was asked for, as `systemctl show` prints it.

        Raises TimeoutError at the deadline (monotonic); OSError: the manager did not understand us, or we it.
        """
        received = bytearray()
        known: dict[int, str] = {}
        poll = select.poll()
        poll.register(self._socket.fileno(), select.POLLIN)
        try:
            while len(known) < len(self._names):
                left_sec = deadline - time.monotonic()
                if left_sec <= 0 or not poll.poll(left_sec * 1000):
                    raise TimeoutError("the service manager does not answer")
                piece = self._socket.recv(16 * 1024)
                received += piece
                if not piece or len(received) > MAX_ANSWER_BYTES:
                    raise NotUnderstoodError("the service manager has not answered all that it was asked")
                known = dict(replies(bytes(received)))
        finally:
            self.close()
        return {self._names[number]: text for number, text in known.items() if number in self._names and text}

    def close(self) -> None:
        self._socket.close()


def get(serial: int, unit: str, interface: str, name: str) -> bytes:
    """The call org.freedesktop.DBus.Properties.Get() for one property of a unit."""
    fields = bytearray()
    for code, signature, value in (
        (_PATH, "o", f"/org/freedesktop/systemd1/unit/{escape_label(unit)}"),
        (_INTERFACE, "s", "org.freedesktop.DBus.Properties"),
        (_MEMBER, "s", "Get"),
        (_SIGNATURE, "g", "ss"),
    ):
        _align(fields, 8)
        fields += bytes((code, 1)) + signature.encode() + b"\0"
        fields += bytes((len(value),)) + value.encode() + b"\0" if signature == "g" else _string(fields, value)
    body = bytearray()
    for text in (f"org.freedesktop.systemd1.{interface}", name):
        body += _string(body, text)
    header = struct.pack(f"<{_HEADER}", ord("l"), _METHOD_CALL, 0, 1, len(body), serial, len(fields))
    return bytes(_align(bytearray(header) + fields, 8) + body)


def escape_label(text: str) -> str:
    """ "web@1.service" -> "web_401_2eservice", as an object path has it; see sd_bus_path_encode(3)."""
    return "".join(
        char if char.isascii() and (char.isalpha() or (char.isdecimal() and index)) else f"_{ord(char):02x}"
        for index, char in enumerate(text)
    )


def replies(data: bytes) -> Iterator[tuple[int, str]]:
    """(the call's serial, the value) per answer in what has come so far; "" for what the manager does not know.

    Raises NotUnderstoodError.
    """
    status, newline, _ = data.partition(b"\r\n")
    if not newline:
        return
    if not status.startswith(b"OK "):
        raise NotUnderstoodError("the service manager does not let us ask")
    rest = data[len(status) + len(newline) :]
    try:
        while message := _first_message(rest):
            rest = rest[message.size_bytes :]
            if message.type == _METHOD_RETURN:
                yield message.reply_serial, _shown(*_Reader(message.body, message.order).variant())
            elif message.type == _ERROR:
                yield message.reply_serial, ""
    except (struct.error, IndexError, KeyError, ValueError) as error:
        raise NotUnderstoodError(f"the service manager's answer is not understood: {error!r}") from None


@frozen
class _Message:
    """One message; size_bytes: of all that belongs to it; order: struct's sign for its endianness."""

    type: int
    reply_serial: int
    order: str
    body: bytes
    size_bytes: int


def _first_message(data: bytes) -> _Message | None:
    """None where not all of it has come."""
    if len(data) < _HEADER_BYTES:
        return None
    order = {ord("l"): "<", ord("B"): ">"}[data[0]]
    _, type_, _, _, body_bytes, _, fields_bytes = struct.unpack_from(f"{order}{_HEADER}", data)
    fields_end = _HEADER_BYTES + fields_bytes
    body = fields_end + -fields_end % 8
    size_bytes = body + body_bytes
    if len(data) < size_bytes:
        return None
    reader = _Reader(data, order, _HEADER_BYTES)
    fields: dict[int, Value] = {}
    while reader.position < fields_end:
        reader.align(8)
        code = reader.number("y")
        fields[code] = reader.variant()[1]
    return _Message(type_, int(fields.get(_REPLY_SERIAL, 0)), order, data[body:size_bytes], size_bytes)


def _shown(type_: str, value: Value) -> str:
    """In systemctl's words; a number of 64 bits is a time span."""
    if type_ == "b":
        return "yes" if value else "no"
    return f"{value}us" if type_ == "t" else str(value)


class _Reader:
    """Values, one after the other."""

    def __init__(self, data: bytes, order: str, position: int = 0) -> None:
        self._data = data
        self._order = order
        self.position = position

    def align(self, size: int) -> None:
        self.position += -self.position % size

    def number(self, type_: str) -> int:
        layout = self._order + _NUMBERS[type_]
        size = struct.calcsize(layout)
        self.align(size)
        number: int = struct.unpack_from(layout, self._data, self.position)[0]
        self.position += size
        return number

    def signature(self) -> str:
        return self._text(self.number("y"))

    def variant(self) -> tuple[str, Value]:
        """(type, value). Raises KeyError: another type than the basic ones."""
        type_ = self.signature()
        if type_ in ("s", "o"):
            return type_, self._text(self.number("u"))
        return type_, self.signature() if type_ == "g" else self.number(type_)

    def _text(self, length: int) -> str:
        """What ends with a NUL that is not counted."""
        begin, self.position = self.position, self.position + length + 1
        return self._data[begin : begin + length].decode()


def _align(data: bytearray, size: int) -> bytearray:
    data += bytes(-len(data) % size)
    return data


def _string(before: bytearray, text: str) -> bytes:
    """What a string adds to what is before it."""
    encoded = text.encode()
    return bytes(-len(before) % 4) + struct.pack("<I", len(encoded)) + encoded + b"\0"
