"""The unit that this process belongs to, read once: from the environment, and from the process's cgroup.

No other module reads os.environ: a function that needs a variable is given the UnitContext.
"""

from __future__ import annotations

import os

from systemd_docker.errors import Error
from systemd_docker.frozen import frozen, replace
from systemd_docker.kernel import cgroup
from systemd_docker.sd import journal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_SOCKET = "/var/run/docker.sock"
"""Where the docker CLI looks without $DOCKER_HOST or a context."""

UNIT_SUFFIXES = (
    ".service",
    ".socket",
    ".device",
    ".mount",
    ".automount",
    ".swap",
    ".target",
    ".path",
    ".timer",
    ".slice",
    ".scope",
)
"""The types of units; systemd.unit(5)."""


@frozen
class UnitContext:
    """This process's unit, as the environment and /proc tell it.

    name:           "web.service"; "" for a process that systemd has not started as a service.
    cgroup:         the unit's own cgroup, without anything below it, in systemd's hierarchy, as this process sees it;
                    None for a process that is in no service.
    is_user:        whether the process is below a user's manager (`systemctl --user`).
    is_delegated:   whether systemd marked that cgroup as delegated.
    unified:        whether systemd's hierarchy is cgroup v2.
    is_v1_alone:    whether systemd keeps its units in cgroup v1 alone, not in the hybrid set-up's v2 tree as well.
    invocation_id:  32 hex digits, or "".
    notify_socket:  $NOTIFY_SOCKET, or "".
    watchdog_usec:  $WATCHDOG_USEC where it is for this process, else 0.
    directory:      the working directory, absolute.
    control_group:  ControlGroup= of systemd, where this process sees another path: with ProtectControlGroups=private.
                    Then the name is "" as well until service.hidden_unit has asked systemd.
    pid:            this process's.
    runtime_directory: where small things of this invocation may live: the unit's RuntimeDirectory= if it has one.
    """

    name: str
    cgroup: cgroup.Cgroup | None
    is_user: bool
    is_delegated: bool
    unified: bool
    is_v1_alone: bool
    invocation_id: str
    notify_socket: str
    watchdog_usec: int
    stdout_is_journal: bool
    stderr_is_journal: bool
    directory: str
    runtime_directory: str
    environ: Mapping[str, str]
    control_group: str = ""
    pid: int = 0

    @property
    def user(self) -> str:
        """The number of the user whose manager has the unit, "" for the system's manager."""
        return str(os.getuid()) if self.is_user else ""

    @property
    def is_hidden(self) -> bool:
        """Return whether only systemd can tell which unit this is: the process has a cgroup namespace of its own."""
        return self.cgroup is not None and not self.name

    @property
    def is_in_namespace(self) -> bool:
        """Return whether this process cannot reach cgroups outside of the unit, the engine's for one."""
        return bool(self.control_group)

    @property
    def engine_path(self) -> str:
        """The path of the unit's cgroup as the engine sees it, "" for none."""
        return self.control_group or (self.cgroup.path if self.cgroup else "")

    @property
    def can_sweep(self) -> bool:
        """Return whether this process can reach the unit's own cgroup, and not only the subgroup that it is in."""
        return self.cgroup is not None and not self.cgroup.path.endswith("/..")

    @property
    def engine_address(self) -> str:
        """$DOCKER_HOST as it is, or the default socket's: for a user's unit that of the user's own engine."""
        if named := self.environ.get("DOCKER_HOST"):
            return named
        runtime_directory = self.environ.get("XDG_RUNTIME_DIR") if self.is_user else ""
        own = f"{runtime_directory}/docker.sock"
        return f"unix://{own if runtime_directory and os.path.exists(own) else DEFAULT_SOCKET}"

    @property
    def docker_config_path(self) -> str:
        """The docker CLI's configuration file, which need not exist; "" for a user without a home directory.

        systemd sets HOME= and USER= for User=, but no HOME= where that user has none. Units of root have neither.
        """
        if directory := self.environ.get("DOCKER_CONFIG"):
            return f"{directory}/config.json"
        home = self.environ.get("HOME") or ("/root" if self.environ.get("USER", "root") == "root" else "")
        return f"{home}/.docker/config.json" if home else ""


def read_unit(environ: Mapping[str, str] | None = None, proc: str = "/proc") -> UnitContext:
    """Read the context of this process; environ is os.environ unless a test says otherwise."""
    if environ is None:
        environ = dict(os.environ)
    own, hierarchies = _read_cgroup(proc)
    name, path = service_of(own.path) if own else ("", "")
    service_cgroup = cgroup.Cgroup(own.mount, path) if own and name else None
    if own and not name and hierarchies.is_unified and environ.get("INVOCATION_ID"):
        service_cgroup = _hidden_cgroup(own)
    journal_stream = environ.get("JOURNAL_STREAM", "")
    is_user = own is not None and "/user@" in own.path
    return UnitContext(
        name=name,
        cgroup=service_cgroup,
        is_user=is_user,
        is_delegated=service_cgroup is not None and service_cgroup.is_delegated(),
        unified=hierarchies.is_unified,
        is_v1_alone=service_cgroup is not None and hierarchies.is_v1_alone(service_cgroup),
        invocation_id=environ.get("INVOCATION_ID", ""),
        notify_socket=environ.get("NOTIFY_SOCKET", ""),
        watchdog_usec=_watchdog_usec(environ),
        stdout_is_journal=journal.is_stream(1, journal_stream),
        stderr_is_journal=journal.is_stream(2, journal_stream),
        directory=_working_directory(),
        runtime_directory=_runtime_directory(environ, is_user=is_user),
        pid=os.getpid(),
        environ=environ,
    )


def _runtime_directory(environ: Mapping[str, str], *, is_user: bool) -> str:
    """Return the unit's RuntimeDirectory=, or what its manager has for it.

    A login shell of root's has $XDG_RUNTIME_DIR, too, and means the units of the system's manager.
    """
    own = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    users = environ.get("XDG_RUNTIME_DIR", "") if is_user or os.geteuid() else ""
    return own or users or "/run"


def without_notifications(unit: UnitContext) -> UnitContext:
    """The same unit for a process that sends systemd no notifications."""
    return replace(unit, notify_socket="", watchdog_usec=0)


def other_unit(caller: UnitContext, name: str, invocation_id: str) -> UnitContext:
    """A unit that the calling process does not belong to, of the same manager; for looking up its containers.

    invocation_id: of the unit's last start, "" where that is not known.
    """
    elsewhere = replace(
        caller, name=name, invocation_id=invocation_id, cgroup=None, control_group="", is_delegated=False
    )
    return without_notifications(elsewhere)


def revealed(unit: UnitContext, name: str, control_group: str, *, has_subgroup: bool) -> UnitContext:
    """A hidden unit, now that systemd has reported its name, its cgroup, and whether DelegateSubgroup= is set.

    systemd makes the namespace of the cgroup that it puts the process into, which may be that subgroup.
    """
    if unit.cgroup is None or not name.endswith(".service"):
        return replace(unit, cgroup=None)
    path = unit.cgroup.path if has_subgroup else "/"
    return replace(unit, name=name, cgroup=cgroup.Cgroup(unit.cgroup.mount, path), control_group=control_group)


def unit_name(text: str) -> str:
    """ "web" -> "web.service", as systemctl(1) completes it. A dot makes no suffix: "docker@redis-7.2"."""
    return text if text.endswith(UNIT_SUFFIXES) else f"{text}.service"


def engine_socket(unit: UnitContext) -> str:
    """The local engine's. Raises Error: $DOCKER_HOST names an engine that is not local."""
    scheme, _, path = unit.engine_address.partition("://")
    if scheme != "unix" or not path.startswith("/"):
        raise Error(
            f"the engine at '{unit.engine_address}' is not on this host, so its containers cannot be part of a unit",
            hint=f"Set DOCKER_HOST=unix://{DEFAULT_SOCKET}, or leave it unset.",
        )
    return path


def service_of(path: str) -> tuple[str, str]:
    """("web.service", "/system.slice/web.service") of the path of any cgroup in it; ("", "") where there is none.

    The last component that ends in .service counts: a user manager's services are below its own user@1000.service,
    and cgroups further down are the unit's own, DelegateSubgroup= for one. A scope further down is not: a terminal of
    a desktop session runs its shell in one, below user@1000.service.
    """
    components = path.split("/")
    for index in range(len(components) - 1, 0, -1):
        if components[index].endswith(".scope"):
            break
        if components[index].endswith(".service"):
            return unescape_component(components[index]), "/".join(components[: index + 1])
    return "", ""


def unescape_component(component: str) -> str:
    """A cgroup's name without the "_" that systemd puts before names the kernel might use itself."""
    return component.removeprefix("_")


def _read_cgroup(proc: str) -> tuple[cgroup.Cgroup | None, cgroup.Hierarchies]:
    """This process's cgroup in systemd's hierarchy, None where it has none; and the hierarchies that there are."""
    try:
        hierarchies = cgroup.read_hierarchies(proc)
    except (LookupError, OSError):
        # No cgroup filesystem is mounted, so no systemd has started this process.
        return None, cgroup.Hierarchies("", "")
    try:
        return hierarchies.of_service(cgroup.read_proc_cgroup("self", proc)), hierarchies
    except (LookupError, OSError):
        return None, hierarchies


def _hidden_cgroup(own: cgroup.Cgroup) -> cgroup.Cgroup | None:
    """The unit's cgroup in a cgroup namespace, where no name of a unit is to be seen; None for a shell in a slice.

    ProtectControlGroups=private, systemd.exec(5). A process at the root of its namespace is in a subgroup of the unit
    (DelegateSubgroup=), or was not moved into one yet: that changes before anything else depends on it.
    """
    if any(component.endswith(UNIT_SUFFIXES) for component in own.path.split("/")):
        return None
    return cgroup.Cgroup(own.mount, "/.." if own.path == "/" else "/")


def _watchdog_usec(environ: Mapping[str, str]) -> int:
    """See sd_watchdog_enabled(3): the variables may be another process's, inherited."""
    usec, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    return int(usec) if usec.isdecimal() and pid in ("", str(os.getpid())) else 0


def _working_directory() -> str:
    try:
        return os.getcwd()
    except OSError:
        # The directory that this process was started in is gone; systemd.exec(5) has "/" as the default.
        return "/"
