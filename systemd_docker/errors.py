"""Every failure that is explained to an administrator, and its exit status.

The statuses are docker-run(1)'s, because unit files already test for them with RestartPreventExitStatus= and
SuccessExitStatus=: 125 the engine or systemd-docker failed, 126 the command cannot be invoked, 127 it cannot be
found.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar, Self

EX_SOFTWARE = 70
"""A bug in systemd-docker, see sysexits.h; no unit file mistakes it for a container's status."""


class Error(Exception):
    """A failure with a one-line explanation; anything else that reaches cli.main is a bug."""

    exit_status: ClassVar[int] = 125

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def while_doing(self, what: str) -> Self:
        """Return the same error with the failed step in front: "cannot start container 'web': …"."""
        self.args = (f"{what}: {self}",)
        return self


class UsageError(Error):
    """The command line, or a unit file, asks for something impossible."""


class EngineError(Error):
    """The engine answered a request with an error; the message is the engine's own."""

    def __init__(self, message: str, *, http_status: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.http_status = http_status


class EngineUnreachableError(Error):
    """No engine answers at its socket, or it went away in the middle of an answer."""


class AdoptionError(Error):
    """The container cannot be made part of the unit."""


class NoContainerError(Error):
    """The unit that was named has no container."""

    exit_status = 1


class CommandNotExecutableError(Error):
    """The image holds the command but the kernel refuses to execute it."""

    exit_status = 126


class CommandNotFoundError(Error):
    """The image does not hold the command."""

    exit_status = 127
