"""The adoption matrix: what holds of an adopted container, by engine and cgroup hierarchy.

tests/adoption has a test per cell: in test_adoption.py, and in test_limits.py and test_legacy.py on machines with a
kernel of their own. The manual prints the same table; own_tests/test_tables.py compares them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from integration.harness.machine import Spec
from integration.harness.root import SUITES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Holds:
    """What holds of a container.

    way:      which way of adoption was taken; "refused": the start fails, and nothing was created.
    leader, children, execs, health: where they are: "unit", or "engine" for the engine's cgroup.
    top, stats, pause, update: what docker's command does: "works"; "fails"; "nothing", although it reports success;
              UNMEASURED on a machine whose engine can do neither for any container.
    journal:  "unit" if _SYSTEMD_UNIT= of a line that the payload sends to journald's socket is the unit.
    status:   of the unit after `docker stop` of a payload that ends with 7.
    left:     what remains of the container and its cgroups: "nothing".
    """

    way: str
    leader: str = "unit"
    children: str = "unit"
    execs: str = "unit"
    health: str = "unit"
    top: str = "works"
    stats: str = "works"
    pause: str = "works"
    update: str = "works"
    journal: str = "unit"
    status: str = "7"
    left: str = "nothing"


UNMEASURED = "unmeasured"
"""Of docker stats and docker update where cgroup v2 has no controllers: nothing is counted there, nothing limited."""

PARENT = Holds("parent")
PARENT_BARE = replace(PARENT, stats=UNMEASURED, update=UNMEASURED)
"""BARE: on a machine whose cgroup v2 has no controllers."""
MOVED_FROM_SCOPE = Holds("move", top="fails", stats="nothing", pause="fails", update="fails")
"""systemd has collected the scope that the engine asks for."""
MOVED_FROM_SCOPE_BARE = replace(MOVED_FROM_SCOPE, stats=UNMEASURED)
MOVED = Holds("move", top="nothing", stats="nothing", update="nothing")
"""The engine's cgroup is still there, and empty."""
MOVED_BARE = replace(MOVED, stats=UNMEASURED, update=UNMEASURED)
MOVED_V1 = Holds("move", execs="engine", health="engine")
"""Only systemd's hierarchy has changed."""
REFUSED = Holds("refused", *[""] * 11)

MOVE = "--adopt=move"
UNDELEGATED = "Delegate=no"
CELLS: Mapping[tuple[Spec, str], Holds] = {
    (Spec("bookworm", "systemd"), ""): MOVED_FROM_SCOPE_BARE,
    (Spec("bookworm", "systemd"), MOVE): MOVED_FROM_SCOPE_BARE,
    (Spec("bookworm"), ""): PARENT_BARE,
    (Spec("bookworm"), MOVE): MOVED_BARE,
    (Spec("bookworm", "systemd", "hybrid"), ""): REFUSED,
    (Spec("bookworm", "systemd", "hybrid"), MOVE): REFUSED,
    (Spec("bookworm", "cgroupfs", "hybrid"), ""): PARENT,
    (Spec("bookworm", "cgroupfs", "hybrid"), MOVE): MOVED_V1,
    (Spec("bookworm", "cgroupfs", "legacy"), ""): PARENT,
    (Spec("bookworm", "cgroupfs", "legacy"), MOVE): MOVED_V1,
    (Spec("trixie"), ""): PARENT_BARE,
    (Spec("trixie"), MOVE): MOVED_FROM_SCOPE_BARE,
    (Spec("trixie", "cgroupfs"), ""): PARENT_BARE,
    (Spec("trixie", "cgroupfs"), MOVE): MOVED_BARE,
    (Spec("trixie", "systemd", "hybrid"), ""): PARENT,
    (Spec("trixie", "systemd", "hybrid"), MOVE): REFUSED,
    (Spec("trixie", "cgroupfs", "hybrid"), ""): PARENT,
    (Spec("trixie", "cgroupfs", "hybrid"), MOVE): MOVED_V1,
    (Spec("trixie-vm"), ""): PARENT,
    (Spec("trixie-vm"), MOVE): MOVED_FROM_SCOPE,
    (Spec("trixie-vm"), UNDELEGATED): MOVED_FROM_SCOPE,
    (Spec("trixie-vm", "cgroupfs"), ""): PARENT,
    (Spec("trixie-vm", "cgroupfs"), MOVE): MOVED,
    (Spec("trixie-vm", "cgroupfs"), UNDELEGATED): MOVED,
    (Spec("trixie-vm", "systemd", "hybrid"), ""): PARENT,
    (Spec("trixie-vm", "systemd", "hybrid"), MOVE): REFUSED,
    (Spec("trixie-vm", "cgroupfs", "hybrid"), ""): PARENT,
    (Spec("trixie-vm", "cgroupfs", "hybrid"), MOVE): MOVED_V1,
    (Spec("trixie-vm", "systemd", "legacy"), ""): PARENT,
    (Spec("trixie-vm", "systemd", "legacy"), MOVE): REFUSED,
    (Spec("trixie-vm", "cgroupfs", "legacy"), ""): PARENT,
    (Spec("trixie-vm", "cgroupfs", "legacy"), MOVE): MOVED_V1,
    (Spec("forky"), ""): PARENT_BARE,
    (Spec("forky"), MOVE): MOVED_FROM_SCOPE_BARE,
    (Spec("forky", "cgroupfs"), ""): PARENT_BARE,
    (Spec("forky", "cgroupfs"), MOVE): MOVED_BARE,
    (Spec("trixie", images="containerd"), ""): PARENT_BARE,
    (Spec("trixie", images="containerd"), MOVE): MOVED_FROM_SCOPE_BARE,
    (Spec("forky", images="containerd"), ""): PARENT_BARE,
    (Spec("forky", images="containerd"), MOVE): MOVED_FROM_SCOPE_BARE,
}
"""By machine, and by --adopt= if that is not auto, or the unit's Delegate=."""

ENGINES = {"bookworm": "20.10", "trixie": "26.1", "trixie-vm": "26.1", "forky": "28.5"}
KNOW_V1 = ("bookworm", "trixie")
"""systemd 258 has no support for cgroup v1."""
TREES = {"unified": "v2", "hybrid": "v1 hybrid", "legacy": "v1"}

FOUND: dict[tuple[Spec, str], Holds] = {}
"""What the tests of this run measured."""

COMMANDS = ("top", "stats", "pause", "update")
HEAD = "| engine | adopted | outside | fails | does nothing | not measured |"


def table(cells: Mapping[tuple[Spec, str], Holds]) -> Iterator[str]:
    """Yield the lines of markdown, for the terminal and the manual.

    status, journal and left have no column: the manual says that they hold in each row.
    """
    yield HEAD
    yield "|---" * (HEAD.count("|") - 1) + "|"
    for (spec, own), holds in cells.items():
        full = "full " if SUITES[spec.suite].has_kernel else ""
        delegation = ", not delegated" if own == UNDELEGATED else ""
        images = f", {spec.images}'s images" if spec.images else ""
        where = f"{ENGINES[spec.suite]} {spec.cgroup_driver}, {full}{TREES[spec.hierarchy]}{delegation}{images}"
        adopted = f"{'move' if own == MOVE else 'auto'}: {holds.way}"
        yield f"| {' | '.join((where, adopted, *_columns(holds)))} |"


def _columns(holds: Holds) -> Sequence[str]:
    places = {"leader": holds.leader, "children": holds.children, "exec": holds.execs, "health": holds.health}
    outside = ", ".join(process for process, place in places.items() if place == "engine")
    results = ("fails", "nothing", UNMEASURED)
    return outside, *(", ".join(name for name in COMMANDS if getattr(holds, name) == result) for result in results)
