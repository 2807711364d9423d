"""One row of the fault table, and what a test saw of it. faults.py has the rows.

The payload counts, one number a line, from 1 at each start: a lost line is a gap in the journal, a line that
is repeated is a number that comes twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_COUNT = "i=0; while true; do echo $((i=i+1)); sleep 0.05; done"
OBEYS = f"trap 'exit 0' TERM; {_COUNT}"
IGNORES = _COUNT
"""The kernel does not deliver SIGTERM to a PID 1 without a handler."""
RELOADS = f"trap 'exit 0' TERM; trap 'echo reload' HUP USR1; {_COUNT}"

KEPT = "--name web"


@dataclass(frozen=True, slots=True)
class Fault:
    """One row.

    what:      the fault, as the table names it.
    do:        shell, with $WRAPPER and $LEADER.
    state:     the unit's ActiveState=/Result= afterwards.
    container: "same", it still runs; "restarted", the same one with another first process; "new", another one runs;
               "stopped", it exists; "gone".
    service:   settings of the unit's [Service] section; unit: of its [Unit] section.
    through:   words in front of the program in ExecStart=.
    before:    shell, before the unit is started; after: at the end of the row, whether it held or not.
    reboot:    instead of do: "clean", or "reset", like the button of hardware.
    exits:     instead of do: the payload exits with these statuses, each in a unit of its own.
    is_logged: whether the payload's output is in the journal.
    live_restore: the engine's setting.
    says:      one line of systemd-docker at warning or above that must be in the journal.
    tolerates: such lines that may be there.
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
        """The text of a suite's column if the row holds: how many lines are lost and repeated."""
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
    """The result of a row on one suite."""

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
        """The text of the suite's column."""
        if self.holds:
            return self.fault.lines
        return f"NO: {shown(self.state)}, {self.container}, {self.lost}/{self.repeated}"


FOUND: list[Found] = []
"""The results of this run, for the table at its end."""


def row(fault: Fault) -> str:
    """Return the first columns of a row, without those of the suites."""
    return f"| {fault.what} | {shown(fault.state)} | {fault.container} |"


def shown(state: str) -> str:
    """Return a state as the table prints it: an active unit has no result yet."""
    return state.removesuffix("/success") if state.startswith("active") else state
