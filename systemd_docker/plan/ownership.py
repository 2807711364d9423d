"""Whose container: labels that systemd-docker gives to what it creates, and what they prove.

Pure: no function here asks the engine or systemd anything; service.ownership looks for the evidence.

A label is a hint and not a proof: the engine merges an image's labels into those of every container made of it, and
`docker commit` puts a container's labels into an image. So a label that the image has as well proves nothing. A label
that the image does not have was in the create request, and only systemd-docker writes it there.
"""

from __future__ import annotations

from systemd_docker.frozen import frozen
from systemd_docker.unit import service_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from systemd_docker.jsonobj import JsonObject, JsonValue
    from systemd_docker.unit import UnitContext

UNIT_LABEL = "systemd-docker.unit"
INVOCATION_LABEL = "systemd-docker.invocation"
USER_LABEL = "systemd-docker.user"
"""On every container that is created for a unit: the unit's name, the start of it, and the number of the user whose
manager has the unit, "" for the system's manager: several managers of a host may have units of the same name. None is
left out, or an image's would stand in its place."""


@frozen
class Evidence:
    """One container's origin, as far as the engine knows it.

    labels:        the container's, merged with its image's.
    image_labels:  the image's; None for an image that the engine does not have any more.
    cgroup_parent: HostConfig.CgroupParent, which no image can set; "" for none.
    """

    labels: Mapping[str, JsonValue]
    image_labels: Mapping[str, JsonValue] | None
    cgroup_parent: str = ""


@frozen
class Owner:
    """The unit that a container was created for. user: as USER_LABEL has it."""

    unit: str
    user: str = ""


def with_labels(body: JsonObject, unit: UnitContext) -> JsonObject:
    """body, a create request, for a container that names the unit it belongs to."""
    if not unit.name:
        return body
    labels = body.get("Labels")
    given = labels if isinstance(labels, dict) else {}
    return {
        **body,
        "Labels": {
            **given,
            UNIT_LABEL: unit.name,
            INVOCATION_LABEL: unit.invocation_id,
            USER_LABEL: unit.user,
        },
    }


def claimed_owner(labels: Mapping[str, JsonValue]) -> Owner | None:
    """The owner that a container's labels name, proven or not; None for no unit's."""
    unit = _label(labels, UNIT_LABEL)
    return Owner(unit, _label(labels, USER_LABEL)) if unit else None


def owner_of(evidence: Evidence) -> Owner | None:
    """The owner that is proven; None where nothing proves one.

    The invocation counts as well: an image that was committed from one of the unit's containers names the same unit,
    but an earlier start of it. The place in the cgroup tree proves a container whose image is gone.
    """
    claimed = claimed_owner(evidence.labels)
    if claimed is None:
        return None
    if evidence.image_labels is not None and _origin(evidence.labels) != _origin(evidence.image_labels):
        return claimed
    return claimed if service_of(evidence.cgroup_parent)[0] == claimed.unit else None


def is_owned(evidence: Evidence, unit: UnitContext) -> bool:
    """Return whether the container was created for this unit."""
    return owner_of(evidence) == Owner(unit.name, unit.user)


def is_of_invocation(labels: Mapping[str, JsonValue], unit: UnitContext) -> bool:
    """Return whether this start of the unit has created the container, which is known to be the unit's."""
    return bool(unit.invocation_id) and _label(labels, INVOCATION_LABEL) == unit.invocation_id


def _origin(labels: Mapping[str, JsonValue]) -> tuple[JsonValue, JsonValue]:
    """A label that is missing differs from one that is empty."""
    return labels.get(UNIT_LABEL), labels.get(INVOCATION_LABEL)


def _label(labels: Mapping[str, JsonValue], name: str) -> str:
    return str(labels.get(name) or "")
