"""The mounts of a mount namespace, from /proc/PID/mountinfo; proc_pid_mountinfo(5)."""

from __future__ import annotations

from systemd_docker.frozen import frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


@frozen
class Mount:
    """One line.

    root:          the directory of the file system that is mounted.
    options:       the mount's own: ("rw", "relatime").
    super_options: the file system's, the same for all of its mounts.
    """

    root: str
    mount_point: str
    options: tuple[str, ...]
    filesystem: str
    super_options: tuple[str, ...]


def parse(text: str) -> Iterator[Mount]:
    for line in text.splitlines():
        fields, _, behind = line.partition(" - ")
        _id, _parent, _device, root, mount_point, options, *_ = fields.split(" ")
        filesystem, _source, super_options = behind.split(" ", 2)
        yield Mount(
            _unescape(root),
            _unescape(mount_point),
            tuple(options.split(",")),
            filesystem,
            tuple(super_options.split(",")),
        )


def read(pid: int | str = "self", proc: str = "/proc") -> str:
    """Return the text for parse(). Raises OSError: EACCES, the process is another user's."""
    with open(f"{proc}/{pid}/mountinfo", errors="surrogateescape") as attribute:
        return attribute.read()


def read_host(proc: str = "/proc") -> str:
    """Return the text for PID 1's mount namespace, else for this process's; "" where neither is readable.

    The engine makes mounts from the host's, and a unit may have a mount namespace of its own (ProtectHome=).
    """
    for pid in ("1", "self"):
        try:
            return read(pid, proc)
        except OSError:
            # EACCES: a unit with User= may not look at PID 1. ENOENT: there is no /proc.
            continue
    return ""


def _unescape(text: str) -> str:
    r"""Undo how mountinfo writes blanks, tabs, newlines and backslashes: in octal, "\040"."""
    for octal in ("\\040", "\\011", "\\012", "\\134"):
        text = text.replace(octal, chr(int(octal[1:], 8)))
    return text
