"""From a command line to a plan, with what the engine and the service manager have answered."""

from __future__ import annotations

import os

from systemd_docker import jsonobj, log
from systemd_docker import unit as unit_room
from systemd_docker.engine import client, http
from systemd_docker.errors import Error, UsageError
from systemd_docker.frozen import frozen, replace
from systemd_docker.options.create_request import Client, create_request
from systemd_docker.plan import launch_plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.engine.models import EngineInfo
    from systemd_docker.jsonobj import JsonObject
    from systemd_docker.options.own import OwnOptions
    from systemd_docker.options.run_options import RunOptions
    from systemd_docker.sd.unit_properties import UnitProperties
    from systemd_docker.service.start.early_queries import EarlyQueries
    from systemd_docker.unit import UnitContext

MAX_CLIENT_FILE_BYTES = 16 * 1024 * 1024
"""Of an --env-file, a seccomp profile, docker's config.json: more is a mistake, and would stay in memory."""


@frozen
class Prepared:
    """The plan, and what else is known by then."""

    engine: client.Engine
    plan: launch_plan.LaunchPlan
    properties: UnitProperties


def prepare(
    own: OwnOptions,
    options: RunOptions,
    unit: UnitContext,
    queries: EarlyQueries,
    wait: http.Wait = http.wait_ready,
) -> Prepared:
    """Raises Error where the command line, the unit or the engine leaves no plan.

    queries: closed here, because an answer is nothing that a running service needs.
    """
    try:
        engine, info = _meet(unit, queries, wait)
        request = create_request(options, client_side(unit, engine), plain=unit.is_plain)
        properties = queries.properties(wait)
    finally:
        queries.close()
    # What is compared with docker's request is compared anywhere, and not only in a unit.
    own = replace(own, adopt="none") if unit.is_plain else own
    made = launch_plan.make_plan(own, options, request, unit, properties, info, plain=unit.is_plain)
    return Prepared(engine, made, properties)


def _meet(unit: UnitContext, queries: EarlyQueries, wait: http.Wait) -> tuple[client.Engine, EngineInfo]:
    if isinstance(queries.engine, Error):
        raise queries.engine
    api = unit.environ.get("DOCKER_API_VERSION", "")
    return client.meet(queries.engine, unit_room.engine_socket(unit), api=api, wait=wait)


def client_side(unit: UnitContext, engine: client.Engine) -> Client:
    """What the docker CLI would consult on its own side."""
    return Client(
        environ=unit.environ,
        directory=unit.directory,
        read_file=read_file,
        config=_read_config(unit.docker_config_path),
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


def _read_config(path: str) -> JsonObject:
    try:
        return jsonobj.parse_object(read_file(path))
    except FileNotFoundError:
        return {}
    except (OSError, jsonobj.JsonError) as error:
        # The docker CLI goes on without it as well.
        log.warning(f"cannot read '{path}', ignoring: {error}")
        return {}


def _terminal_size() -> tuple[int, int] | None:
    """(rows, columns) where standard output is a terminal."""
    try:
        columns, rows = os.get_terminal_size(1)
    except OSError:
        # ENOTTY, EBADF: it is none.
        return None
    return rows, columns


def _is_stdin_usable() -> bool:
    """Whether standard input is there to be read: systemd gives a unit /dev/null unless StandardInput= says more."""
    try:
        status = os.fstat(0)
    except OSError:
        return False
    return status.st_rdev != os.makedev(1, 3)
