"""docker-run's command line: flags, then an image, then a command that passes unread."""

from __future__ import annotations

from systemd_docker.errors import UsageError
from systemd_docker.frozen import frozen
from systemd_docker.options.flags import FLAGS
from systemd_docker.options.pflag import Spellings, parse_flags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from systemd_docker.options.pflag import Use

_RUN = Spellings(FLAGS)


@frozen
class RunOptions:
    """A docker-run command line, read but not yet interpreted.

    image:  "" only when --help was asked for.
    values: per flag in order of use, e.g. ((Flag "memory", 536870912), (Flag "env", "A=b"), ...); another spelling,
            --net, counts as the flag it stands for.
    """

    image: str
    command: tuple[str, ...]
    values: tuple[Use, ...] = ()

    def given(self, long: str) -> bool:
        return any(flag.long == long for flag, _ in self.values)

    def all(self, long: str) -> tuple[object, ...]:
        """Return every value of a flag, in order of use."""
        return tuple(value for flag, value in self.values if flag.long == long)

    def texts(self, long: str) -> tuple[str, ...]:
        """all(), for a flag whose values are text."""
        return tuple(value for value in self.all(long) if isinstance(value, str))

    def text(self, long: str) -> str:
        """Return the last value, or the flag's default."""
        values = self.all(long)
        return str(values[-1]) if values else _RUN.by_long[long].default

    def number(self, long: str) -> int:
        """Return the last value of a flag with numbers, or 0."""
        values = self.all(long)
        return values[-1] if values and isinstance(values[-1], int) else 0

    def switch(self, long: str) -> bool:
        """Return whether a switch is on; its default where it was not used."""
        values = self.all(long)
        return bool(values[-1]) if values else _RUN.by_long[long].default == "true"


def parse_run(argv: Sequence[str]) -> RunOptions:
    """Read the words after "run". Raises UsageError."""
    values, rest = parse_flags(argv, _RUN)
    options = RunOptions("", (), values)
    if rest:
        return RunOptions(rest[0], rest[1:], values)
    if not options.switch("help"):
        raise UsageError(
            "'systemd-docker run' needs an image",
            hint="Usage: systemd-docker run [OPTIONS] IMAGE [COMMAND] [ARG...]",
        )
    return options
