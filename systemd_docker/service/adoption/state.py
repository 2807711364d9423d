"""How a running container is part of its unit: the part of the service's state that adoption needs again.

Plain values only, so that it goes through execve(2) with the rest of the service's state.
"""

from __future__ import annotations

from systemd_docker.frozen import frozen


@frozen
class AdoptionState:
    """The adoption of one running container.

    strategy: as in AdoptionPlan: "parent", "move", "none".
    sweeps:   whether the unit's own cgroup holds no process, so that limits can be written below it.
    cgroups:  the v1 hierarchies, besides systemd's, that "move" moves the processes in.
    read_only: paths below which there must be no writable mount when the container starts, see AdoptionPlan; () where
              the engine knows the container's runtime.
    moved:    (mount, from, to): the engine's cgroup for the container and the cgroup that its processes were moved
              to, where processes that appear later have to follow; () where nothing has to.
    """

    strategy: str
    sweeps: bool = False
    cgroups: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    read_only: tuple[str, ...] = ()

    @property
    def is_in_unit(self) -> bool:
        return self.strategy != "none"
