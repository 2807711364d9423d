"""--use-api-socket: the engine's own socket in the container, and the client's registry credentials with it.

The credentials are a config.json in a directory that $DOCKER_CONFIG names. The engine does not know them: the start
puts the file into the container, `PUT /containers/ID/archive`. Only credentials that docker's own config.json holds
are included, not those that a credential helper keeps.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from systemd_docker.jsonobj import JsonObject, JsonValue

TARGET = "/var/run/docker.sock"
CONFIG_DIRECTORY = "/run/secrets/docker"
_VARIABLE = "DOCKER_CONFIG="


def mount(socket_path: str) -> dict[str, JsonValue]:
    return {"Type": "bind", "Source": socket_path, "Target": TARGET}


def credentials_or_none(config: JsonObject, variables: Sequence[str]) -> JsonObject | None:
    """Return the container's config.json; None if it needs none, or has a $DOCKER_CONFIG of its own.

    config:    the client's config.json.
    variables: the container's environment, "NAME=value" each.
    """
    auths = config.get("auths")
    if not auths or any(variable.startswith(_VARIABLE) for variable in variables):
        return None
    return {"auths": auths}


def variable() -> str:
    return f"{_VARIABLE}{CONFIG_DIRECTORY}"
