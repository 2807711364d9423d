"""The variables that --env does not hand on: paths and promises of the host that a container cannot use."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

IMAGE, PROCESS, HOST_PATH, SOCKET, RESULT, OWN = (
    "the image has its own",
    "names this process, or its manager, by a number of the host's",
    "a path of the host's, or a file that the unit alone may read",
    "a socket or descriptor of this process, which the container does not have",
    "the result of another command of the unit",
    "systemd-docker's own",
)

HOST_ONLY: dict[str, str] = {
    "HOME": IMAGE,
    "PATH": IMAGE,
    "USER": IMAGE,
    "LOGNAME": IMAGE,
    "SHELL": IMAGE,
    "PWD": IMAGE,
    "MAINPID": PROCESS,
    "MAINPIDFDID": PROCESS,
    "MANAGERPID": PROCESS,
    "MANAGERPIDFDID": PROCESS,
    "SYSTEMD_EXEC_PID": PROCESS,
    "PIDFILE": HOST_PATH,
    "XDG_RUNTIME_DIR": HOST_PATH,
    "RUNTIME_DIRECTORY": HOST_PATH,
    "STATE_DIRECTORY": HOST_PATH,
    "CACHE_DIRECTORY": HOST_PATH,
    "LOGS_DIRECTORY": HOST_PATH,
    "CONFIGURATION_DIRECTORY": HOST_PATH,
    "CREDENTIALS_DIRECTORY": HOST_PATH,
    "MEMORY_PRESSURE_WATCH": HOST_PATH,
    "MEMORY_PRESSURE_WRITE": HOST_PATH,
    "NOTIFY_SOCKET": SOCKET,
    "JOURNAL_STREAM": SOCKET,
    "LISTEN_FDS": SOCKET,
    "LISTEN_FDNAMES": SOCKET,
    "LISTEN_PID": SOCKET,
    "LISTEN_PIDFDID": SOCKET,
    "FDSTORE": SOCKET,
    "DBUS_SESSION_BUS_ADDRESS": SOCKET,
    "WATCHDOG_PID": PROCESS,
    "WATCHDOG_USEC": SOCKET,
    "SERVICE_RESULT": RESULT,
    "EXIT_CODE": RESULT,
    "EXIT_STATUS": RESULT,
    "DOCKER_HOST": OWN,
    "DOCKER_API_VERSION": OWN,
    "DOCKER_CONFIG": OWN,
    "SYSTEMD_DOCKER_RESUME": OWN,
}
"""By variable: why it stays out; systemd.exec(5), "Environment Variables Set or Propagated by the Service Manager".
INVOCATION_ID= is handed on: the payload can put it into its own log."""

PREFIXES = ("LISTEN_", "WATCHDOG_", "MEMORY_PRESSURE_")
"""The beginnings of names that later versions of systemd may add to the table."""


def handed_on(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return "NAME=value" for each variable that --env gives to the container, in the order of environ."""
    return tuple(
        f"{name}={value}"
        for name, value in environ.items()
        if name not in HOST_ONLY and not name.startswith(PREFIXES)
    )
