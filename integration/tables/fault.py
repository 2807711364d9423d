"""One row of the fault table, and what was seen of it: integration.tables.faults has the rows.

The payload counts, one number a line, from 1 at each start: a line that is lost is a gap in the journal, a line that
comes twice is a number that comes twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_COUNT = "i=0; while true; do echo $((i=i+1)); sleep 0.05; done"
OBEYS = f"trap 'exit 0' TERM; {_COUNT}"
IGNORES = _COUNT
"""PID 1 does not get a signal that it has no handler for."""
RELOADS = f"trap 'exit 0' TERM; trap 'echo reload' HUP USR1; {_COUNT}"

KEPT = "--name web"


@dataclass(frozen=True, slots=True)
class Fault:
    """One row.

    what:      as the table in the manual has it.
    do:        shell, with $WRAPPER and $LEADER.
    state:     the unit's ActiveState=/Result= afterwards.
    container: "same", it runs on; "restarted", the same one with another first process; "new", another one runs;
               "stopped", it is there; "gone".
    service:   settings of the unit's [Service] section; unit: of its [Unit] section.
    through:   words in front of ExecStart='s.
    before:    shell, before the unit is started; after: when the row is over, whatever has come of it.
    reboot:    what is done is that: "clean", or "reset", as with the button.
    exits:     what is done is that: the payload exits with these, each time in a unit of its own.
    is_logged: whether what the payload writes comes to the journal.
    live_restore: the engine's setting.
    says:      one line of ours at warning or above that is to be in the journal.
    tolerates: lines that may be there.
    """

    what: str
    do: str
    state: str
    container: str
    payload: str = OBEYS
    options: str = "--rm --name web"
    own: str = ""
    service: Sequence[str] = ()
    unit: Sequence[str] = ()
    through: str = ""
    before: str = ""
    after: str = ""
    reboot: str = ""
    exits: Sequence[int] = ()
    is_logged: bool = True
    stop_post: str = "ExecStopPost=-/usr/local/bin/systemd-docker rm"
    live_restore: bool = False
    says: str = ""
    tolerates: Sequence[str] = ()

    def __str__(self) -> str:
        return "".join(letter if letter.isalnum() else "-" for letter in self.what)

    @property
    def lines(self) -> str:
        """What a suite's column has where the row holds: how many lines are lost and repeated."""
        return "0/0" if self.is_logged and not self.exits else "-"

    def unit_file(self) -> str:
        words = self.payload.replace("%", "%%").replace("$", "$$").replace("\\", "\\\\").replace('"', '\\"')
        program = f"/usr/local/bin/systemd-docker {self.own} run {self.options}"
        return "\n".join(
            [
                "[Unit]",
                *self.unit,
                "[Service]",
                "Type=notify",
                "NotifyAccess=all",
                "TimeoutStartSec=60",
                *self.service,
                f'ExecStart={self.through} {program} busybox:musl sh -c "{words}"',
                self.stop_post,
                "[Install]",
                "WantedBy=multi-user.target",
                "",
            ]
        )


@dataclass(frozen=True, slots=True)
class Found:
    """What a test saw of a row."""

    suite: str
    fault: Fault
    state: str
    container: str
    lost: int
    repeated: int

    @property
    def holds(self) -> bool:
        wanted = (self.fault.state, self.fault.container, 0, 0)
        return (self.state, self.container, self.lost, self.repeated) == wanted

    @property
    def seen(self) -> str:
        """For the suite's column."""
        if self.holds:
            return self.fault.lines
        return f"NO: {shown(self.state)}, {self.container}, {self.lost}/{self.repeated}"


FOUND: list[Found] = []
"""For the table at the end of the run."""


def row(fault: Fault) -> str:
    """Without what was seen of it."""
    return f"| {fault.what} | {shown(fault.state)} | {fault.container} |"


def shown(state: str) -> str:
    """What is active has no result yet."""
    return state.removesuffix("/success") if state.startswith("active") else state
