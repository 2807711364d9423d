"""The engine's events of one container: JSON lines to Events. No I/O.

`GET /events` sends one object per event and a newline after it, for as long as the connection stands. The engine
keeps its last 256 events: a client that subscribes again with the time of the last one that it saw misses none, and
sees that one twice.
"""

from __future__ import annotations

from systemd_docker import jsonobj
from systemd_docker.frozen import frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from systemd_docker.jsonobj import JsonObject, JsonValue

MAX_LINE_BYTES = 4 * 1024 * 1024
"""Of one event, which carries all labels of its container: only a broken peer reaches it."""


class EventError(ValueError):
    """The bytes are no events: nothing that follows can be read either."""


@frozen
class Event:
    """One thing that happened to a container.

    action:     "start", "die", "oom", "rename", "health_status", "exec_die", …
    detail:     the text after an action's colon: "healthy", an exec's command line; else "".
    time_nsec:  since the epoch, by the engine's clock; the next subscription's since_nsec.
    attributes: e.g. {"name": "web", "exitCode": "0", "execID": "…"}, and the container's labels.
    """

    action: str
    detail: str
    container_id: str
    time_nsec: int
    attributes: Mapping[str, JsonValue]


class EventReader:
    """Bytes in pieces of any size to Events; keeps at most one unfinished line."""

    def __init__(self) -> None:
        self._line = bytearray()

    def feed(self, data: bytes) -> Iterator[Event]:
        """Raises EventError."""
        for piece in data.splitlines(keepends=True):
            self._line += piece
            if len(self._line) > MAX_LINE_BYTES:
                raise EventError(f"an event is longer than {MAX_LINE_BYTES // 1024**2} MiB")
            if piece.endswith(b"\n"):
                line = bytes(self._line)
                self._line.clear()
                if line.strip():
                    yield _event(line)


def _event(line: bytes) -> Event:
    try:
        obj: JsonObject = jsonobj.parse_object(line)
        action, _, detail = jsonobj.get(obj, "Action", str).partition(": ")
        return Event(
            action,
            detail,
            jsonobj.get(obj, "Actor.ID", str),
            jsonobj.get(obj, "timeNano", int),
            jsonobj.get_or(obj, "Actor.Attributes", {}),
        )
    except jsonobj.JsonError as error:
        raise EventError(f"not an event: {error}") from None
