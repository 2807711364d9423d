"""The facts that the docker CLI takes from its own side: environment, files, configuration, terminal."""

from __future__ import annotations

from systemd_docker.frozen import frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from systemd_docker.jsonobj import JsonObject


@frozen
class Client:
    """The client's side of a docker-run command line.

    directory:      the current one, absolute; relative mount sources start there.
    read_file:      the content of a file named on the command line, raising OSError.
    config:         docker's config.json, {} if there is none.
    api:            the version of the Engine API that is spoken, e.g. (1, 50).
    socket_path:    where the engine listens, e.g. "/run/docker.sock".
    engine_os:      as the engine's /_ping reports it.
    terminal_size:  rows and columns where standard output is a terminal.
    stdin_usable:   standard input is more than /dev/null.
    stdin_terminal: it is a terminal.
    """

    environ: Mapping[str, str]
    directory: str
    read_file: Callable[[str], bytes]
    config: JsonObject
    api: tuple[int, int]
    socket_path: str
    engine_os: str = "linux"
    terminal_size: tuple[int, int] | None = None
    stdin_usable: bool = False
    stdin_terminal: bool = False
