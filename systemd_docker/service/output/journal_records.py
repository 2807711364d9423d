"""Output to journald as records with the field names of Docker's journald driver, for queries by them.

One datagram of journald's native protocol per line; see systemd.journal-fields(7), and "Native Journal Protocol" on
systemd.io. It costs us ten times and journald twice the CPU of a stream, so it has to be asked for. As with Docker's
driver, a line longer than RECORD_BYTES becomes several records, tied together by CONTAINER_PARTIAL_*. What it has and
this has not: CONTAINER_LOG_EPOCH= and _ORDINAL=, because journald numbers records itself (__SEQNUM), and
SYSLOG_TIMESTAMP=, which is when the engine read the line, because the engine does not tell us. Beyond it: "<N>" at
the beginning of a line is its priority, as on a stream, and a last line without a newline is no part of a longer one.
"""

from __future__ import annotations

import os

from systemd_docker.service.output.state import NO_LINE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.service.output.state import LineState

RECORD_BYTES = 16 * 1024
"""Of a line in one record, as in Docker's driver; journald itself would take 48 KiB, LineMax= in journald.conf(5)."""


class RecordSink:
    """Where one stream goes, line by line. Does not own its descriptor."""

    is_behind = False

    def __init__(self, fd: int, fields: bytes, priority: int, state: LineState = NO_LINE) -> None:
        """fd: a connected datagram socket, non-blocking. fields: "KEY=value\\n" each, the same in every record."""
        self.fd = fd
        self._fields = fields
        self._priority = priority
        self._begun, self._parts, self._id, self._begun_priority = state

    @property
    def state(self) -> LineState:
        """The state that another sink continues from."""
        return self._begun, self._parts, self._id, self._begun_priority

    def write(self, buffers: list[memoryview]) -> int:
        """How many bytes are taken. Raises OSError: EAGAIN, none can be now."""
        data = b"".join(buffers)
        taken = 0
        try:
            while taken < len(data):
                taken = self._take(data, taken)
        except BlockingIOError:
            if not taken:
                raise
        return taken

    def flush(self) -> None:
        """Send what there is of a line: no more will come. Raises OSError: EAGAIN, not now."""
        if self._begun or self._parts:
            self._send(b"", is_last=True)

    def close(self) -> None:
        """No timer is set here."""

    def _take(self, data: bytes, begin: int) -> int:
        """Send one record or keep the beginning of one; where it ended in data."""
        newline = data.find(b"\n", begin)
        line_end = newline if newline >= 0 else len(data)
        record_end = begin + RECORD_BYTES - len(self._begun)
        if line_end > record_end:
            self._send(data[begin:record_end], is_last=False)
            return record_end
        if newline < 0:
            self._begun += data[begin:]
            return len(data)
        self._send(data[begin:newline], is_last=True)
        return newline + 1

    def _send(self, tail: bytes, *, is_last: bool) -> None:
        """Send one record. Nothing changes before it is out: after EAGAIN the caller sends the same tail again."""
        line = self._begun + tail
        priority, part_id = self._begun_priority, self._id
        if not self._parts:
            priority, line = _priority_of(line, self._priority)
            part_id = b"" if is_last else os.urandom(32).hex().encode()
        if is_last:
            line = line.removesuffix(b"\r")  # a terminal's; a stream to journald has it cut off as well
        partial = _partial(part_id, self._parts + 1, is_last=is_last) if part_id else b""
        os.writev(self.fd, [self._fields, partial, b"PRIORITY=%d\nMESSAGE=" % priority, line, b"\n"])
        self._begun, self._begun_priority = b"", priority
        self._parts, self._id = (0, b"") if is_last else (self._parts + 1, part_id)


def fields_of(container_id: str, name: str, image: str) -> bytes:
    """Return the fields of every record of a container, named as by Docker's journald driver."""
    fields = {
        "CONTAINER_ID": container_id[:12],
        "CONTAINER_ID_FULL": container_id,
        "CONTAINER_NAME": name,
        "CONTAINER_TAG": name,
        "SYSLOG_IDENTIFIER": name,
        "IMAGE_NAME": image,
    }
    return "".join(f"{key}={value}\n" for key, value in fields.items()).encode()


def _partial(part_id: bytes, ordinal: int, *, is_last: bool) -> bytes:
    fields = b"CONTAINER_PARTIAL_ID=%b\nCONTAINER_PARTIAL_ORDINAL=%d\n" % (part_id, ordinal)
    if is_last:
        return fields + b"CONTAINER_PARTIAL_LAST=true\n"
    return fields + b"CONTAINER_PARTIAL_LAST=false\nCONTAINER_PARTIAL_MESSAGE=true\n"


def _priority_of(line: bytes, default: int) -> tuple[int, bytes]:
    """ "<3>text" -> (3, "text"); sd-daemon(3)."""
    if line[:1] == b"<" and line[2:3] == b">" and line[1:2] in b"01234567":
        return line[1] - ord("0"), line[3:]
    return default, line
