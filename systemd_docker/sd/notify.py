"""The sd_notify protocol, both ends: messages to systemd, and messages of the payload.

See sd_notify(3). The wire format is stable: https://systemd.io/PORTABILITY_AND_STABILITY/

Which package sends what. systemd-python's systemd.daemon sends what carries file descriptors (BARRIER=1, FDSTORE=1),
which sdnotify cannot, and text (STATUS=), which sdnotify encodes as Latin-1: one typographer's dash in a status would
lose the whole message. So every unit has it in memory when it starts and when it ends, and it sends the other
messages of a start and of a rest: READY=1, MAINPID=, WATCHDOG=1. Of it only its C part is imported, which takes 1 ms
of CPU, and 2 ms and 1 MB less than the module around it; sdnotify, because it imports socket, took 6 ms more of every
start and as much again of the end of a service that has rested, and 1.4 MB. sdnotify sends what is fixed and plain
ASCII and may cost that: EXTEND_TIMEOUT_USEC= during a pull. It is constructed with debug=True, or it would swallow
every error.
Receiving is a recvmsg(2) here: neither has it.
"""

from __future__ import annotations

import errno
import os
import struct

from systemd_docker.frozen import frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping, Sequence

    import sdnotify

    Assignments = Mapping[str, str]
else:
    # What has the calls and constants; the module around it, with enum and what that needs, takes 1.4 MB at rest.
    import _socket as socket

MAX_DATAGRAM_BYTES = 4096
"""The service manager ignores longer ones (NOTIFY_BUFFER_MAX), so a longer one need not be understood here."""

MAX_FDS = 253
"""SCM_MAX_FD: what the kernel lets one message carry; see unix(7)."""

BARRIER_TIMEOUT_SEC = 5
"""What sd_notify_barrier(3) suggests; a service manager that is this late is being reloaded or is gone."""

_INT_BYTES = struct.calcsize("i")

_CREDENTIALS = "iII"  # struct ucred: pid, uid, gid; unix(7)


def encode(assignments: Assignments) -> str:
    """{"READY": "1", "STATUS": "up"} -> "READY=1\\nSTATUS=up"; a newline inside a value would start an assignment."""
    return "\n".join(f"{key}={' '.join(value.splitlines())}" for key, value in assignments.items())


def decode(datagram: bytes) -> dict[str, str]:
    """Reverse encode(); a line without "=" is dropped, as the service manager drops it."""
    lines = datagram.decode(errors="replace").split("\n")
    return dict(line.split("=", 1) for line in lines if "=" in line)


def load() -> None:
    """Import what sends, so that the first message does not wait for it."""
    from systemd import _daemon  # noqa: F401


class Notifier:
    """The sender of messages to systemd; without $NOTIFY_SOCKET every message is dropped."""

    def __init__(self, socket_path: str) -> None:
        """socket_path: $NOTIFY_SOCKET, which both packages read from the environment themselves; "" for none."""
        self.enabled = bool(socket_path)
        self._path = socket_path
        self._plain: sdnotify.SystemdNotifier | None = None

    def notify(self, **assignments: str | int) -> None:
        """Assignments in one datagram: notify(MAINPID=41, READY=1). Raises OSError."""
        self.notify_text({key: str(value) for key, value in assignments.items()})

    def notify_plain(self, **assignments: int) -> None:
        """The same by sdnotify, which takes more time and memory: notify_plain(EXTEND_TIMEOUT_USEC=1)."""
        if self.enabled:
            import sdnotify

            try:
                # Its constructor connects already.
                self._plain = self._plain or sdnotify.SystemdNotifier(debug=True)
                self._plain.notify(encode({key: str(value) for key, value in assignments.items()}))
            except OSError as error:
                raise _named(error, self._path) from None

    def notify_text(self, assignments: Assignments, fds: Sequence[int] = ()) -> None:
        """Assignments with any text, and with fds, which stay the caller's. Raises OSError."""
        if self.enabled:
            from systemd import _daemon

            # Its argument may not be None, and an empty list is sent as ancillary data without anything in it.
            try:
                _daemon.notify(encode(assignments), **({"fds": list(fds)} if fds else {}))
            except OSError as error:
                raise _named(error, self._path) from None

    def start_barrier(self) -> int:
        """An fd, the caller's, that hangs up (POLLHUP) when the manager has acted on everything sent so far.

        BARRIER=1 hands over one end of a pipe, which the manager closes when its turn comes; systemd 246. Without a
        manager it has hung up already. Wait no longer than BARRIER_TIMEOUT_SEC.
        """
        reader, writer = os.pipe2(os.O_CLOEXEC)
        try:
            self.notify_text({"BARRIER": "1"}, [writer])
        except OSError:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        return reader


def _named(error: OSError, path: str) -> OSError:
    """Return error with path, and with an errno: the socket module has none for a path over 107 bytes; unix(7)."""
    code = error.errno or errno.ENAMETOOLONG
    return OSError(code, os.strerror(code), path)


@frozen
class Message:
    """The message of one payload process.

    fds: the caller's, to close.
    pid: the sender's, in this process's PID namespace; 0 for a process outside of it.
    """

    lines: tuple[bytes, ...]
    fds: tuple[int, ...]
    pid: int


class Listener:
    """The receiving end of a notification socket, which any process that reaches its path may use."""

    def __init__(self, path: str) -> None:
        """Bind path with mode 0666: the directory around it decides which users reach it. Raises OSError."""
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            self.socket.bind(path)
            os.chmod(path, 0o666)
        except OSError as error:
            self.socket.close()
            raise _named(error, path) from None

    @classmethod
    def resumed(cls, fd: int) -> Listener:
        """A listener on a socket that was bound before; takes ownership of fd."""
        listener = cls.__new__(cls)
        listener.socket = socket.socket(fileno=fd)
        return listener

    def fileno(self) -> int:
        return self.socket.fileno()

    def receive(self) -> Message | None:
        """The next message, or None where there is none now.

        One that was too long, or has a NUL inside, comes without lines: the service manager ignores it whole.
        """
        ancillary_bytes = socket.CMSG_SPACE(struct.calcsize(_CREDENTIALS)) + socket.CMSG_SPACE(_INT_BYTES * MAX_FDS)
        try:
            data, ancillary, flags, _ = self.socket.recvmsg(
                MAX_DATAGRAM_BYTES, ancillary_bytes, socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return None
        fds: tuple[int, ...] = ()
        pid = 0
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                # Not the array module, which imports collections: 0.4 MB at rest.
                fds += struct.unpack_from(f"{len(payload) // _INT_BYTES}i", payload)
            elif level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
                pid = struct.unpack(_CREDENTIALS, payload)[0]
        whole = not flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC) and b"\0" not in data[:-1]
        lines = tuple(line for line in data.rstrip(b"\0").split(b"\n") if line) if whole else ()
        return Message(lines, fds, pid)

    def close(self) -> None:
        self.socket.close()
