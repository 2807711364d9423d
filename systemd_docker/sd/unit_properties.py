"""A unit's properties as systemd reports them: one query, one record. On the bus, or through systemctl without one.

systemctl is the way on hosts without a bus daemon, and for a user's manager without a user bus: it may use systemd's
private socket, which is for no other program.
"""

from __future__ import annotations

import errno

from systemd_docker.frozen import frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from systemd_docker.sd import bus, systemctl

    Value = str | int | bool
    Wait = Callable[[int, int, float], None]
    """wait(fd, events, deadline): return when fd is ready, raise TimeoutError at the deadline (monotonic)."""

ANSWER_TIMEOUT_SEC = 20
"""systemd answers in a millisecond, but not while it reloads: seconds, on a host with thousands of units."""

SELF = "self"
"""Instead of a name: the unit of the process that asks. systemd has an object of that name, systemctl has not."""

DEAD_STATES = ("inactive", "failed")
"""ActiveState= of a unit of which no process is left."""

INFINITY_USEC = 2**64 - 1

_TIMESPAN_USEC = {
    "us": 1,
    "ms": 1000,
    "s": 1_000_000,
    "min": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 604_800_000_000,
    "month": 2_629_800_000_000,
    "y": 31_557_600_000_000,
}


@frozen
class UnitProperties:
    """A unit as systemd has it; systemd.service(5), systemd.kill(5), systemd.exec(5), org.freedesktop.systemd1(5).

    A property that systemd did not report has systemd's own default here, or the most cautious value.

    timeout_stop_usec: TimeoutStopSec=, INFINITY_USEC for "infinity".
    control_group:     the unit's cgroup from the root of the hierarchy; "" for a unit that has none.
    restarts:          how often Restart= has started the unit again.
    main_pid, control_pid: 0 for none.
    invocation_id:     of the unit's last start, 32 hex digits; "" for a unit that was never started.
    exec_start_count:  how many ExecStart= commands the unit has.
    name:              the unit's own where it was asked for by an alias.
    active_state:      "active", "activating", "inactive", ...; "" where systemd did not report it.
    """

    type: str = ""
    notify_access: str = ""
    kill_mode: str = ""
    kill_signal: int = 15
    timeout_stop_usec: int = 90_000_000
    is_delegated: bool = False
    is_transient: bool = False
    control_group: str = ""
    restarts: int = 0
    main_pid: int = 0
    control_pid: int = 0
    invocation_id: str = ""
    active_state: str = ""
    final_kill_signal: int = 9
    sends_sigkill: bool = True
    standard_input: str = "null"
    syslog_identifier: str = ""
    syslog_facility: int = 3
    syslog_level: int = 6
    syslog_level_prefix: bool = True
    remains_after_exit: bool = False
    exec_start_count: int = 1
    name: str = ""
    delegate_subgroup: str = ""

    @property
    def is_live(self) -> bool:
        """Return whether the unit may need its container; a unit that systemd did not report on may."""
        return self.active_state not in DEAD_STATES


@frozen
class Property:
    """One row of PROPERTIES.

    field:     of UnitProperties.
    name:      systemd's.
    type:      as D-Bus writes it; of an array only the number of elements is read.
    interface: "Service" or "Unit".
    """

    field: str
    name: str
    type: str
    interface: str = "Service"


PROPERTIES = (
    Property("type", "Type", "s"),
    Property("notify_access", "NotifyAccess", "s"),
    Property("kill_mode", "KillMode", "s"),
    Property("kill_signal", "KillSignal", "i"),
    Property("timeout_stop_usec", "TimeoutStopUSec", "t"),
    Property("is_delegated", "Delegate", "b"),
    Property("is_transient", "Transient", "b", "Unit"),
    Property("control_group", "ControlGroup", "s"),
    Property("restarts", "NRestarts", "u"),
    Property("main_pid", "MainPID", "u"),
    Property("control_pid", "ControlPID", "u"),
    Property("invocation_id", "InvocationID", "ay", "Unit"),
    Property("active_state", "ActiveState", "s", "Unit"),
    Property("final_kill_signal", "FinalKillSignal", "i"),
    Property("sends_sigkill", "SendSIGKILL", "b"),
    Property("standard_input", "StandardInput", "s"),
    Property("syslog_identifier", "SyslogIdentifier", "s"),
    Property("syslog_facility", "SyslogFacility", "i"),
    Property("syslog_level", "SyslogLevel", "i"),
    Property("syslog_level_prefix", "SyslogLevelPrefix", "b"),
    Property("remains_after_exit", "RemainAfterExit", "b"),
    Property("exec_start_count", "ExecStart", "a(sasbttttuii)"),
    Property("name", "Id", "s", "Unit"),
    Property("delegate_subgroup", "DelegateSubgroup", "s"),
)
"""The properties that a query asks for, and the fields for the answers; org.freedesktop.systemd1(5)."""


class PropertiesQuery:
    """A query that systemd works on. Owns a connection or a child process until answer() or close()."""

    def __init__(self, unit: str, environ: Mapping[str, str], *, is_user: bool = False) -> None:
        """unit: a name, or SELF. is_user: ask the manager of the user that environ is of, not the system's.

        Raises OSError: there is neither a bus nor systemctl.
        """
        self._unit, self._environ, self._is_user = unit, environ, is_user
        self._bus: bus.Query | None = None
        self._systemctl: systemctl.Query | None = None
        try:
            self._bus = self._ask_bus()
        except OSError:
            if unit == SELF:
                raise
            self._systemctl = self._ask_systemctl()

    def answer(self, wait: Wait, deadline: float) -> UnitProperties:
        """The record. To be called once.

        Raises OSError, which names systemd, the bus or systemctl: ETIMEDOUT, no answer by the deadline (monotonic),
        because systemd does not answer while it reloads. What wait raises besides TimeoutError passes through.
        """
        try:
            return self._answer(wait, deadline)
        except TimeoutError:
            reason = "no answer in time, it may be reloading its units"
            raise TimeoutError(errno.ETIMEDOUT, reason, "systemd") from None

    def _answer(self, wait: Wait, deadline: float) -> UnitProperties:
        if self._bus is not None:
            try:
                return make_record(self._bus.answer(wait, deadline))
            except TimeoutError:
                raise
            except OSError:
                if self._unit == SELF:
                    raise
                # A bus without systemd, or one that was restarted.
                self._systemctl = self._ask_systemctl()
        assert self._systemctl is not None
        return make_record(parse_shown(self._systemctl.answer(wait, deadline)))

    def close(self) -> None:
        """Give up what was asked. May be called twice, and after answer()."""
        for query in (self._bus, self._systemctl):
            if query is not None:
                query.close()

    def _ask_bus(self) -> bus.Query:
        from systemd_docker.sd import bus  # ctypes: 1 MB that a running service need not have.

        address = self._environ.get("DBUS_SYSTEM_BUS_ADDRESS") or bus.SYSTEM_ADDRESS
        if self._is_user:
            default = bus.user_address(self._environ.get("XDG_RUNTIME_DIR") or "/nonexistent")
            address = self._environ.get("DBUS_SESSION_BUS_ADDRESS") or default
        return bus.Query(address, self._unit, [(row.interface, row.name, row.type) for row in PROPERTIES])

    def _ask_systemctl(self) -> systemctl.Query:
        from systemd_docker.sd import systemctl  # Few hosts need it.

        names = [row.name for row in PROPERTIES]
        return systemctl.Query(self._unit, names, self._environ, is_user=self._is_user)


def make_record(values: Mapping[str, Value]) -> UnitProperties:
    """values: by systemd's names; one that is missing has the record's default."""
    fields: dict[str, Any] = {row.field: values[row.name] for row in PROPERTIES if row.name in values}
    return UnitProperties(**fields)


def parse_shown(shown: Mapping[str, Sequence[str]]) -> dict[str, Value]:
    """The values in the text of `systemctl show`. shown: {"ExecStart": [first, second], ...}."""
    values: dict[str, Value] = {}
    for row in PROPERTIES:
        texts = shown.get(row.name, [])
        if texts and row.type.startswith("a("):
            values[row.name] = len([text for text in texts if text])
        elif texts and (value := _parse(row.type, texts[-1])) is not None:
            values[row.name] = value
    return values


def parse_timespan_usec(text: str) -> int:
    """ "1min 30s" -> 90000000, "infinity" -> INFINITY_USEC; as `systemctl show` prints them, systemd.time(7).

    Any other text is infinity: nothing may be cut short by a misunderstanding.
    """
    total_usec = 0
    for word in text.split():
        digits = word.rstrip("abcdefghijklmnopqrstuvwxyz")
        unit = word[len(digits) :]
        if not digits.isdecimal() or unit not in _TIMESPAN_USEC:
            return INFINITY_USEC
        total_usec += int(digits) * _TIMESPAN_USEC[unit]
    return total_usec if text.strip() else INFINITY_USEC


def _parse(type_: str, text: str) -> Value | None:
    """None for "[not set]" and its like where there ought to be a number."""
    if type_ in ("s", "ay"):
        return text
    if type_ == "b":
        return text == "yes"
    if type_ == "t":
        return parse_timespan_usec(text)
    return int(text) if text.removeprefix("-").isdecimal() else None
