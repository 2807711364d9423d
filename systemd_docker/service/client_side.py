"""The docker CLI's own side of a command line: its environment, its configuration, files that options name."""

from __future__ import annotations

import os

from systemd_docker import jsonobj, log
from systemd_docker.errors import UsageError
from systemd_docker.options.client import Client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.engine.client import Engine
    from systemd_docker.jsonobj import JsonObject
    from systemd_docker.unit import UnitContext

MAX_CLIENT_FILE_BYTES = 16 * 1024 * 1024
"""Of an --env-file, a seccomp profile, docker's config.json: more is a mistake, and would stay in memory."""


def read_client(unit: UnitContext, engine: Engine) -> Client:
    """Return everything that the docker CLI would consult besides its command line."""
    return Client(
        environ=unit.environ,
        directory=unit.directory,
        read_file=read_file,
        config=read_config(unit.docker_config_path),
        api=engine.api,
        socket_path=engine.socket_path,
        terminal_size=_terminal_size(),
        stdin_usable=_is_stdin_usable(),
        stdin_terminal=os.isatty(0),
    )


def read_file(path: str) -> bytes:
    """Raises OSError; UsageError past MAX_CLIENT_FILE_BYTES."""
    with open(path, "rb") as file:
        data = file.read(MAX_CLIENT_FILE_BYTES + 1)
    if len(data) > MAX_CLIENT_FILE_BYTES:
        raise UsageError(f"'{path}' is larger than {MAX_CLIENT_FILE_BYTES >> 20} MiB")
    return data


def read_config(path: str) -> JsonObject:
    """Return docker's config.json, empty where there is none. path: "" for none.

    One that cannot be read does not keep a container from starting, nor does it with the docker CLI.
    """
    try:
        return jsonobj.parse_object(read_file(path)) if path else {}
    except FileNotFoundError:
        return {}
    except (OSError, jsonobj.JsonError, UsageError) as error:
        reason = getattr(error, "strerror", None) or error
        log.warning(f"cannot read '{path}', continuing without its credentials and proxies: {reason}")
        log.info("Correct the file, or name another directory with Environment=DOCKER_CONFIG=.")
        return {}


def _terminal_size() -> tuple[int, int] | None:
    """(rows, columns); None where standard output is no terminal."""
    try:
        columns, rows = os.get_terminal_size(1)
    except OSError:
        # ENOTTY, EBADF.
        return None
    return rows, columns


def _is_stdin_usable() -> bool:
    """Return whether standard input can be read: systemd gives a unit /dev/null unless StandardInput= names
    another."""
    try:
        status = os.fstat(0)
    except OSError:
        return False
    return status.st_rdev != os.makedev(1, 3)
