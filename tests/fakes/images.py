"""The fake engine's images and registries: references, and what a pull answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

DENIED = (
    "pull access denied for {}, repository does not exist or may require 'docker login': "
    "denied: requested access to the resource is denied"
)


@dataclass(slots=True)
class Pull:
    """What `POST /images/create` answers for one reference.

    lines:    progress objects, one chunk each; an object with "error" ends the pull without an image.
    stall_at: that many lines are sent, the others once FakeEngine.go_on has made it None.
    """

    lines: tuple[Mapping[str, Any], ...] = ({"status": "Status: Downloaded newer image"},)
    stall_at: int | None = None


def normalized(reference: str) -> str:
    """ "docker.io/library/nginx" -> "nginx:latest"."""
    name = reference.removeprefix("docker.io/").removeprefix("library/")
    return name if ":" in name.rpartition("/")[2] or "@" in name else f"{name}:latest"


def pulled_reference(query: Mapping[str, str]) -> str:
    """What `POST /images/create` was asked for: fromImage and tag, which may be a digest, as one reference."""
    name, tag = query.get("fromImage", ""), query.get("tag", "")
    if not tag:
        return normalized(name)
    return normalized(f"{name}@{tag}" if tag.startswith("sha256:") else f"{name}:{tag}")
