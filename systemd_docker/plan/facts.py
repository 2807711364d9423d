"""The facts that a start is planned from: the unit, systemd's answer, the engine's, and the mounts of the host."""

from __future__ import annotations

from systemd_docker.frozen import frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.engine.models import EngineInfo
    from systemd_docker.plan.mounts import ReadOnlySource
    from systemd_docker.sd.unit_properties import UnitProperties
    from systemd_docker.unit import UnitContext


@frozen
class PlanFacts:
    """read_only: the read-only mounts that the engine may make so all the way down, () where it never does.
    mountinfo: the host's mounts, "" where they cannot be read or do not matter.
    """

    unit: UnitContext
    properties: UnitProperties
    info: EngineInfo
    read_only: tuple[ReadOnlySource, ...] = ()
    mountinfo: str = ""

    @property
    def read_only_paths(self) -> tuple[str, ...]:
        return tuple(path for source in self.read_only for path in source.paths)
