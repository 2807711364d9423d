"""Everything the service manager told us, read once: our environment, our cgroup, our unit's properties.

The only room that reads os.environ; who needs a variable gets it from the UnitContext.
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


@frozen
class UnitContext:
    """This invocation, as the environment and /proc tell it.

    name:           "web.service"; "" when no service manager started us as a service.
    cgroup:         the unit's own cgroup, without anything below it, in systemd's hierarchy; None with name "".
    is_user:        whether the manager is a user's (`systemctl --user`).
    is_delegated:   whether systemd marked that cgroup as delegated.
    unified:        whether systemd's hierarchy is cgroup v2.
    is_v1_alone:    whether systemd keeps its units in cgroup v1 alone, not in the hybrid set-up's v2 tree as well.
    invocation_id:  32 hex digits, or "".
    notify_socket:  $NOTIFY_SOCKET, or "".
    watchdog_usec:  $WATCHDOG_USEC where it is meant for us, else 0.
    directory:      the working directory, absolute.
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

    @property
    def user(self) -> str:
        """Whose manager started us: the user's number, "" for the system's."""
        return str(os.getuid()) if self.is_user else ""

    @property
    def is_plain(self) -> bool:
        """Whether the create request is to be docker's and nothing else; for comparing the two."""
        return self.environ.get("SYSTEMD_DOCKER_PLAIN") == "1"

    @property
    def engine_address(self) -> str:
        """$DOCKER_HOST as it is, or the default socket's: for a user's unit that of the user's own engine."""
        own = f"{self.environ.get('XDG_RUNTIME_DIR')}/docker.sock"
        default = own if self.is_user and os.path.exists(own) else DEFAULT_SOCKET
        return self.environ.get("DOCKER_HOST") or f"unix://{default}"

    @property
    def docker_config_path(self) -> str:
        """The docker CLI's configuration file, which need not exist."""
        directory = self.environ.get("DOCKER_CONFIG") or f"{self.environ.get('HOME', '/root')}/.docker"
        return f"{directory}/config.json"


def read_unit(environ: Mapping[str, str] | None = None, proc: str = "/proc") -> UnitContext:
    """Read the context of this process; environ is os.environ unless a test says otherwise."""
    if environ is None:
        environ = dict(os.environ)
    name, service_cgroup, hierarchies = _read_service(proc)
    journal_stream = environ.get("JOURNAL_STREAM", "")
    return UnitContext(
        name=name,
        cgroup=service_cgroup,
        is_user=service_cgroup is not None and "/user@" in service_cgroup.path,
        is_delegated=service_cgroup is not None and service_cgroup.is_delegated(),
        unified=hierarchies.is_unified,
        is_v1_alone=service_cgroup is not None and hierarchies.is_v1_alone(service_cgroup),
        invocation_id=environ.get("INVOCATION_ID", ""),
        notify_socket=environ.get("NOTIFY_SOCKET", ""),
        watchdog_usec=_watchdog_usec(environ),
        stdout_is_journal=journal.is_stream(1, journal_stream),
        stderr_is_journal=journal.is_stream(2, journal_stream),
        directory=_working_directory(),
        runtime_directory=environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
        or environ.get("XDG_RUNTIME_DIR")
        or "/run",
        environ=environ,
    )


def without_notifications(unit: UnitContext) -> UnitContext:
    """The context of somebody whom the service manager does not listen to."""
    return replace(unit, notify_socket="", watchdog_usec=0)


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
    and what follows is the unit's own affair, DelegateSubgroup= for one.
    """
    components = path.split("/")
    for index in range(len(components) - 1, 0, -1):
        if components[index].endswith(".service"):
            return unescape_component(components[index]), "/".join(components[: index + 1])
    return "", ""


def unescape_component(component: str) -> str:
    """A cgroup's name without the "_" that systemd puts before names the kernel might use itself."""
    return component.removeprefix("_")


def _read_service(proc: str) -> tuple[str, cgroup.Cgroup | None, cgroup.Hierarchies]:
    """The unit's name and cgroup, as UnitContext has them, and the hierarchies that there are."""
    try:
        hierarchies = cgroup.read_hierarchies(proc)
    except (LookupError, OSError):
        # No cgroup filesystem in sight: whoever started us, no service manager did.
        return "", None, cgroup.Hierarchies("", "")
    try:
        own = hierarchies.of_service(cgroup.read_proc_cgroup("self", proc))
    except (LookupError, OSError):
        return "", None, hierarchies
    name, path = service_of(own.path)
    return name, cgroup.Cgroup(own.mount, path) if name else None, hierarchies


def _watchdog_usec(environ: Mapping[str, str]) -> int:
    """See sd_watchdog_enabled(3): the variables may be another process's, inherited."""
    usec, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    return int(usec) if usec.isdecimal() and pid in ("", str(os.getpid())) else 0


def _working_directory() -> str:
    try:
        return os.getcwd()
    except OSError:
        # The directory we were started in is gone; systemd.exec(5) has "/" as the default.
        return "/"
