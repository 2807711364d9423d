"""cgroupfs: the hierarchies, the cgroups of a process, the processes of a cgroup, and moving them. Mechanism only.

Every function takes the mount or /proc as a parameter's default, so that a test can bring its own tree.
"""

from __future__ import annotations

import os
import select
import time

from systemd_docker.frozen import frozen
from systemd_docker.kernel import mountinfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MOVE_PASSES = 200
"""How often move_processes() rereads; 71 were seen to outrun four chains of fork and exit without pause."""

SYSTEMD_HIERARCHY = "name=systemd"
"""The v1 hierarchy that systemd keeps its units in; cgroups(7), "named hierarchies"."""


def write_attribute(path: str, value: str) -> None:
    """Write one kernel attribute with exactly one write(2); an OSError names the attribute."""
    with open(path, "wb", buffering=0) as attribute:
        try:
            attribute.write(value.encode("ascii"))
        except OSError as error:
            raise OSError(error.errno, error.strerror, path) from None


@frozen
class Cgroup:
    """One cgroup of one hierarchy.

    mount: where the hierarchy is mounted, e.g. "/sys/fs/cgroup".
    path:  as printed by /proc/PID/cgroup: absolute, from the hierarchy's root, e.g. "/system.slice/web.service".
    """

    mount: str
    path: str

    @property
    def directory(self) -> str:
        return f"{self.mount}/{self.path.removeprefix('/')}"

    def child(self, name: str) -> Cgroup:
        return Cgroup(self.mount, f"{self.path.rstrip('/')}/{name}")

    def contains(self, path: str) -> bool:
        """Return whether path, from /proc/PID/cgroup, is this cgroup or one below it.

        Cgroups outside of a reader's cgroup namespace read as "/../docker.service"; cgroup_namespaces(7).
        """
        above = self.path.rstrip("/") + "/"
        return path == self.path or (path.startswith(above) and not path[len(above) :].startswith(".."))

    def pids(self) -> frozenset[int]:
        """PIDs directly in this cgroup, not in its children; 0 stands for a process of another PID namespace."""
        with open(f"{self.directory}/cgroup.procs") as attribute:
            return frozenset(map(int, attribute.read().split()))

    def make(self) -> None:
        """Make this cgroup unless it exists. Raises OSError: EACCES, EROFS."""
        if not os.path.isdir(self.directory):
            os.mkdir(self.directory, 0o755)

    def attach(self, pid: int) -> None:
        """Move one process, all of its threads with it, into this cgroup.

        Raises OSError: ESRCH, the process is gone; EBUSY, this cgroup hands controllers to children and so may
        hold no process itself; EACCES, the common ancestor is not writable. See cgroup-v2.rst in the
        kernel's Documentation/admin-guide/, "No Internal Process Constraint" and "Delegation Containment".
        """
        write_attribute(f"{self.directory}/cgroup.procs", str(pid))

    def subtree(self) -> tuple[Cgroup, ...]:
        """This cgroup and all below it, as they are now."""
        below = len(self.directory)
        return tuple(
            Cgroup(self.mount, self.path.rstrip("/") + directory[below:])
            for directory, _, _ in os.walk(self.directory)
        )

    def remove(self) -> None:
        """Remove this cgroup with those below it, if it exists. Raises OSError: EBUSY, a process is in there."""
        for cgroup in reversed(self.subtree()):
            os.rmdir(cgroup.directory)

    def read(self, attribute: str) -> str:
        """Return an attribute without its last newline. Raises OSError: ENOENT, its controller is not enabled."""
        with open(f"{self.directory}/{attribute}") as file:
            return file.read().rstrip("\n")

    def write(self, attribute: str, value: str) -> None:
        write_attribute(f"{self.directory}/{attribute}", value)

    def wait_for(self, event: str, deadline: float) -> bool:
        """Wait until cgroup.events has a line like "frozen 1"; return whether it came before deadline (monotonic).

        The kernel reports a change as POLLPRI on that file; cgroup-v2.rst, "Basic Operations", v2 only.
        """
        fd = os.open(f"{self.directory}/cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
        try:
            poll = select.poll()
            poll.register(fd, select.POLLPRI)
            while event not in os.pread(fd, 4096, 0).decode().splitlines():
                left_sec = deadline - time.monotonic()
                if left_sec <= 0 or not poll.poll(left_sec * 1000):
                    return False
        finally:
            os.close(fd)
        return True

    def is_delegated(self) -> bool:
        """Return whether systemd leaves the inside of this cgroup to the unit.

        systemd marks delegated cgroups with an extended attribute: trusted.delegate, which only root sees; since 252
        user.delegate as well. See Delegate= in systemd.resource-control(5) and xattr(7).
        """
        for name in ("user.delegate", "trusted.delegate"):
            try:
                if os.getxattr(self.directory, name) == b"1":
                    return True
            except OSError:
                # ENODATA: not marked; EPERM, ENOTSUP: not to be known by this name.
                continue
        return False


@frozen
class Hierarchies:
    """Where the cgroup hierarchies are mounted; CGROUP_DELEGATION.md, "Three different tree setups".

    unified: the mount of cgroup v2 that holds systemd's units, or "" in the hybrid and legacy set-ups.
    systemd: the mount of v1's name=systemd, or "" in the unified set-up.
    beside:  the mount of cgroup v2 in the hybrid set-up, systemd's units too, no controllers; or "".
    """

    unified: str
    systemd: str
    beside: str = ""

    @property
    def is_unified(self) -> bool:
        return bool(self.unified)

    def beside_of(self, unit_cgroup: Cgroup) -> Cgroup | None:
        """Return a unit's cgroup in the v2 tree of the hybrid set-up; None where there is none."""
        twin = Cgroup(self.beside, unit_cgroup.path)
        return twin if self.beside and os.path.isdir(twin.directory) else None

    def is_v1_alone(self, unit_cgroup: Cgroup) -> bool:
        return bool(self.systemd) and self.beside_of(unit_cgroup) is None

    def of_service(self, proc_cgroup: str) -> Cgroup:
        """Return the cgroup, in systemd's hierarchy, of a process whose /proc/PID/cgroup reads proc_cgroup.

        Raises LookupError where the text has no line for that hierarchy.
        """
        wanted = "" if self.unified else SYSTEMD_HIERARCHY
        for controllers, path in parse_proc_cgroup(proc_cgroup):
            if controllers == wanted:
                return Cgroup(self.unified or self.systemd, path)
        raise LookupError(f"no cgroup in the hierarchy '{wanted or 'unified'}'")


def parse_proc_cgroup(text: str) -> Iterator[tuple[str, str]]:
    """Yield (controllers, path) per line of /proc/PID/cgroup; controllers is "" for the v2 hierarchy.

    See cgroups(7), "/proc/pid/cgroup".
    """
    for line in text.splitlines():
        _hierarchy_id, controllers, path = line.split(":", 2)
        yield controllers, path


def find_hierarchies(mounts: str) -> Hierarchies:
    """Return the hierarchies in /proc/self/mountinfo's text.

    Only a mount whose root is "/" counts: systemd 254 and later bind single attributes (memory.pressure) into units'
    mount namespaces, and those lines are of type cgroup2 as well. A cgroup2 mount beside v1's name=systemd is the
    hybrid set-up, where systemd's own hierarchy is v1's.

    Raises LookupError where neither is mounted.
    """
    whole = [mount for mount in mountinfo.parse(mounts) if mount.root == "/"]
    cgroup2 = next((mount.mount_point for mount in whole if mount.filesystem == "cgroup2"), "")
    for mount in whole:
        if mount.filesystem == "cgroup" and SYSTEMD_HIERARCHY in mount.super_options:
            return Hierarchies("", mount.mount_point, cgroup2)
    if cgroup2:
        return Hierarchies(cgroup2, "")
    raise LookupError("systemd's cgroup hierarchy is not mounted")


def v1_cgroups(mounts: str, proc_cgroup: str) -> Mapping[str, Cgroup]:
    """Return where a process, whose /proc/PID/cgroup reads proc_cgroup, is in each v1 hierarchy with controllers.

    By controllers, as that text has them: {"cpu,cpuacct": Cgroup("/sys/fs/cgroup/cpuacct,cpu", "/a.service")}.
    """
    v1_mounts = [
        (set(mount.super_options), mount.mount_point)
        for mount in mountinfo.parse(mounts)
        if mount.root == "/" and mount.filesystem == "cgroup"
    ]
    found: dict[str, Cgroup] = {}
    for controllers, path in parse_proc_cgroup(proc_cgroup):
        wanted = set(controllers.split(","))
        mount_point = next((mount_point for options, mount_point in v1_mounts if wanted <= options), "")
        if mount_point and not controllers.startswith("name="):
            found[controllers] = Cgroup(mount_point, path)
    return found


def read_proc_cgroup(pid: int | str, proc: str = "/proc") -> str:
    """Return /proc/PID/cgroup. Raises OSError: ENOENT, ESRCH, the process is gone."""
    with open(f"{proc}/{pid}/cgroup") as attribute:
        return attribute.read()


def read_hierarchies(proc: str = "/proc") -> Hierarchies:
    """Raises LookupError, see find_hierarchies()."""
    return find_hierarchies(mountinfo.read(proc=proc))


def move_processes(source: Cgroup, target: Cgroup, *, passes: int = MOVE_PASSES) -> frozenset[int]:
    """Move every process of source into target; return the PIDs still left in source.

    The kernel moves one process per write(2), and any of them may fork between the read and the write, so one pass
    is never proof: reread until a pass finds no process. A process that exits meanwhile is as good as moved. One of
    another PID namespace stays: to write its 0 would move the caller.
    """
    for _ in range(passes):
        pids = source.pids()
        if not pids - {0}:
            break
        for pid in pids - {0}:
            try:
                target.attach(pid)
            except ProcessLookupError:
                continue
    return source.pids()
