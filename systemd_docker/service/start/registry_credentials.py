"""--use-api-socket: registry credentials that have to be in the container before it starts."""

from __future__ import annotations

from systemd_docker import jsonobj

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.engine.client import Engine
    from systemd_docker.jsonobj import JsonObject

PATH = "run/secrets/docker/config.json"
"""Where $DOCKER_CONFIG points to in such a container, as the docker CLI has it."""


def put_docker_config(engine: Engine, container_id: str, config: JsonObject) -> None:
    """Write config into the container, root's, 0600. Raises EngineError."""
    import io
    import tarfile

    text = jsonobj.dump(config)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo(PATH)
        entry.size, entry.mode = len(text), 0o600
        tar.addfile(entry, io.BytesIO(text))
    engine.put_archive(container_id, "/", archive.getvalue())
