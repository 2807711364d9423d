"""The fake engine's containers: what a test scripts, and what has become of it. No threads, no HTTP."""

from __future__ import annotations

import copy
import signal
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

STDOUT, STDERR = 1, 2

NO_SUCH_PID = 2**22 + 1
"""The leader of a container unless its script names another: above the kernel's pid_max, so it never exists."""

DEADLY = frozenset({"HUP", "INT", "QUIT", "ABRT", "KILL", "SEGV", "USR1", "USR2", "ALRM", "TERM"})
"""Signals that end a payload which does not handle them, as far as tests send them."""

NOT_CONFIG = ("HostConfig", "NetworkingConfig", "MacAddress")
"""Of a create request: no part of the container's Config. Since API 1.52 there is no container-wide MAC address."""


@dataclass(frozen=True, slots=True)
class Script:
    """What a container does from each start on.

    output:      written at once after the start: ((STDOUT, b"hello\\n"), ...).
    exit_code:   ends it right after its output, before the start is answered; None: runs until something ends it.
    pid:         the leader's, as inspect shows it while the container runs.
    ignores:     signals that do not end it, e.g. {"TERM"}; KILL always does.
    start_error: the start fails with this message, and with the status that dockerd gives such messages.
    greeting:    every attach brings these bytes in the same segment as its headers.
    """

    output: tuple[tuple[int, bytes], ...] = ((STDOUT, b"hello\n"),)
    exit_code: int | None = 0
    pid: int = NO_SUCH_PID
    ignores: frozenset[str] = frozenset()
    start_error: str = ""
    greeting: bytes = b""


RUNS = Script(output=(), exit_code=None)
"""Runs silently until it is ended."""


@dataclass(slots=True)
class Run:
    """One start of a container: what it wrote, and the exit code that ended it."""

    output: list[tuple[int, bytes]] = field(default_factory=list)
    exit_code: int | None = None


@dataclass(slots=True, eq=False)
class Container:
    """One container.

    request: the create request's body.
    stdin:   what attached clients sent; stdin_closed once one of them has shut down its side.
    signals: names without SIG of all that were sent through the engine, in order.
    health:  "" (no healthcheck), starting, healthy or unhealthy.
    """

    id: str
    name: str
    request: dict[str, Any]
    script: Script
    image: Mapping[str, Any]
    status: str = "created"
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    health: str = ""
    removed: bool = False
    restart_count: int = 0
    size: tuple[int, int] = (0, 0)
    runs: list[Run] = field(default_factory=list)
    stdin: bytearray = field(default_factory=bytearray)
    stdin_closed: bool = False
    signals: list[str] = field(default_factory=list)

    @property
    def is_running(self) -> bool:
        return self.status in ("running", "paused")

    @property
    def has_tty(self) -> bool:
        return bool(self.request.get("Tty"))

    @property
    def is_auto_removed(self) -> bool:
        return bool((self.request.get("HostConfig") or {}).get("AutoRemove"))

    @property
    def stop_signal(self) -> str:
        return signal_name(self.request.get("StopSignal") or "TERM")

    @property
    def labels(self) -> dict[str, str]:
        """The image's, with those of the create request laid over them, as dockerd merges them."""
        return {**(self.image["Config"].get("Labels") or {}), **(self.request.get("Labels") or {})}

    def output_of(self, number: int) -> list[tuple[int, bytes]]:
        """What the run of that number, from 0, has written; nothing if it has not begun."""
        return self.runs[number].output if number < len(self.runs) else []

    def has_ended(self, number: int) -> bool:
        return self.removed or (number < len(self.runs) and self.runs[number].exit_code is not None)

    def exit_code_of(self, number: int) -> int:
        code = self.runs[number].exit_code if number < len(self.runs) else None
        return self.exit_code if code is None else code

    def dies_of(self, name: str) -> bool:
        return name == "KILL" or (name in DEADLY and name not in self.script.ignores)

    def encoded(self, stream: int, data: bytes) -> bytes:
        """As attach sends it: framed, or as it is from a TTY."""
        return data if self.has_tty else encode_frame(stream, data)

    def inspect(self, template: Mapping[str, Any]) -> dict[str, Any]:
        """`GET /containers/ID/json`: template with what is known of this container laid over it."""
        answer = copy.deepcopy(dict(template))
        given = {key: value for key, value in self.request.items() if key not in NOT_CONFIG}
        answer["Config"] |= {
            **self.image["Config"],
            **{key: value for key, value in given.items() if value is not None},
            "Labels": self.labels,
        }
        answer["HostConfig"] |= self.request.get("HostConfig") or {}
        return answer | {
            "Id": self.id,
            "Name": f"/{self.name}",
            "Image": self.image["Id"],
            "Mounts": [bind_mount(spec) for spec in answer["HostConfig"].get("Binds") or ()],
            "RestartCount": self.restart_count,
            "State": answer["State"] | self._state(),
        }

    def summary(self) -> dict[str, Any]:
        """`GET /containers/json`: one element."""
        return {
            "Id": self.id,
            "Names": [f"/{self.name}"],
            "Image": self.request["Image"],
            "ImageID": self.image["Id"],
            "Labels": self.labels,
            "State": self.status,
            "Status": "Up 1 second" if self.is_running else f"Exited ({self.exit_code}) 1 second ago",
        }

    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = {
            "Status": self.status,
            "Running": self.is_running,
            "Paused": self.status == "paused",
            "OOMKilled": self.oom_killed,
            "Pid": self.script.pid if self.is_running else 0,
            "ExitCode": self.exit_code,
            "Error": self.error,
        }
        if self.runs:
            state["StartedAt"] = f"2026-01-01T00:00:{len(self.runs):02}.000000000Z"
        if self.health:
            state["Health"] = {"Status": self.health, "FailingStreak": 0, "Log": []}
        return state


def bind_mount(spec: str) -> dict[str, Any]:
    """As an inspected container shows one of HostConfig.Binds."""
    source, target, mode = [*spec.split(":"), ""][:3]
    is_bind = source.startswith("/")
    return {
        "Type": "bind" if is_bind else "volume",
        **({} if is_bind else {"Name": source, "Driver": "local"}),
        "Source": source if is_bind else f"/var/lib/docker/volumes/{source}/_data",
        "Destination": target,
        "Mode": mode,
        "RW": "ro" not in mode.split(","),
        "Propagation": "rprivate" if is_bind else "",
    }


def encode_frame(stream: int, data: bytes) -> bytes:
    """One frame of the multiplexed stream, see `POST /containers/ID/attach`."""
    return struct.pack(">BxxxL", stream, len(data)) + data


def signal_name(text: str) -> str:
    """ "SIGTERM", "term" and "15" -> "TERM"; ValueError for what is no signal."""
    if text.isdigit():
        return signal.Signals(int(text)).name.removeprefix("SIG")
    name = text.upper().removeprefix("SIG")
    if not hasattr(signal, f"SIG{name}") and not name.startswith("RTM"):
        raise ValueError(text)
    return name


def signal_number(name: str) -> int:
    """ "TERM" -> 15, "RTMIN+3" -> 37."""
    base, plus, offset = name.partition("+")
    return int(getattr(signal, f"SIG{base}")) + (int(offset) if plus else 0)
