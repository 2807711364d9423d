"""docker-run's grammar: flags, then an image, then a command that is never looked at.

The rules are those of pflag, the library docker uses, with SetInterspersed(false): "--long value", "--long=value",
"-s value", "-svalue", "-s=value", switches in clusters ("-dit"); a switch takes a value only behind "="; "--" ends
the flags, and so does the first word that is none.

The old systemd-docker let unit files say "-rm" and "-name x". Such a word is read as "--rm" where docker would stop
at a letter that is no flag; a cluster that docker accepts keeps docker's meaning.
"""

from __future__ import annotations

from systemd_docker.errors import UsageError
from systemd_docker.options.flags import FLAGS, Flag
from systemd_docker.options.quoting import quoted
from systemd_docker.record import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Use = tuple[Flag, object]


class Spellings:
    """A table of flags, by what is typed: `spellings["--env"]`, `spellings["-e"]`."""

    def __init__(self, flags: Iterable[Flag]) -> None:
        flags = tuple(flags)
        self.by_long: Mapping[str, Flag] = {flag.long: flag for flag in flags}
        self.by_short: Mapping[str, Flag] = {flag.short: flag for flag in flags if flag.short}


_RUN = Spellings(FLAGS)


@dataclass(frozen=True, slots=True)
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
        """Every value of a flag, in order of use."""
        return tuple(value for flag, value in self.values if flag.long == long)

    def texts(self, long: str) -> tuple[str, ...]:
        """all(), for a flag whose values are text."""
        return tuple(value for value in self.all(long) if isinstance(value, str))

    def text(self, long: str) -> str:
        """The last value, or the flag's default."""
        values = self.all(long)
        return str(values[-1]) if values else _RUN.by_long[long].default

    def number(self, long: str) -> int:
        """The last value of a flag whose values are numbers, or 0."""
        values = self.all(long)
        return values[-1] if values and isinstance(values[-1], int) else 0

    def switch(self, long: str) -> bool:
        """Whether a switch is on; its default where it was not used."""
        values = self.all(long)
        return bool(values[-1]) if values else _RUN.by_long[long].default == "true"


def parse_run(argv: Sequence[str]) -> RunOptions:
    """Read what follows the word "run"; UsageError has the docker CLI's message."""
    values, rest = parse_flags(argv, _RUN)
    options = RunOptions("", (), values)
    if rest:
        return RunOptions(rest[0], rest[1:], values)
    if not options.switch("help"):
        raise UsageError(
            "'systemd-docker run' requires at least 1 argument",
            hint="Name an image: systemd-docker run [OPTIONS] IMAGE [COMMAND] [ARG...]",
        )
    return options


def parse_flags(argv: Sequence[str], spellings: Spellings) -> tuple[tuple[Use, ...], tuple[str, ...]]:
    """The flags at the beginning of argv, and the words behind them."""
    words = list(reversed(argv))
    uses: list[Use] = []
    while words and words[-1].startswith("-") and words[-1] != "-":
        word = words.pop()
        if word == "--":
            break
        uses += _long(word, words, spellings) if word.startswith("--") else _cluster(word, words, spellings)
    return tuple(uses), tuple(reversed(words))


def _long(word: str, words: list[str], spellings: Spellings) -> list[Use]:
    name, equals, value = word[2:].partition("=")
    if not name or name.startswith("-"):
        raise UsageError(f"bad flag syntax: {word}")
    flag = spellings.by_long.get(name)
    if flag is None:
        raise UsageError(f"unknown flag: --{name}")
    if not equals:
        value = _next(flag, words, f"--{name}")
    return [_use(flag, value, spellings)]


def _cluster(word: str, words: list[str], spellings: Spellings) -> list[Use]:
    uses: list[Use] = []
    letters = word[1:]
    while letters:
        flag = spellings.by_short.get(letters[0])
        if flag is None:
            if word[1:].partition("=")[0] in spellings.by_long and len(word) > 2:
                return _long(f"-{word}", words, spellings)
            raise UsageError(f"unknown shorthand flag: {_letter(letters)} in -{letters}")
        if letters[1:2] == "=" and len(letters) > 2:
            value, letters = letters[2:], ""
        elif not flag.kind:
            value, letters = "true", letters[1:]
        elif len(letters) > 1:
            value, letters = letters[1:], ""
        else:
            value, letters = _next(flag, words, f"'{letters}' in -{letters}"), ""
        uses.append(_use(flag, value, spellings))
    return uses


def _letter(letters: str) -> str:
    # pflag looks at bytes: of a letter that is not ASCII it names the first byte, read as Latin-1.
    first = letters[0].encode("utf-8", "surrogateescape")[:1].decode("latin-1")
    return f"'{quoted(first)[1:-1]}'" if first != "'" else r"'\''"


def _next(flag: Flag, words: list[str], name: str) -> str:
    """The argument of a flag that came without one."""
    if not flag.kind:
        return "true"
    if not words:
        raise UsageError(f"flag needs an argument: {name}")
    return words.pop()


def _use(flag: Flag, text: str, spellings: Spellings) -> Use:
    meant = spellings.by_long[flag.same_as] if flag.same_as else flag
    try:
        return meant, meant.read(text)
    except UsageError as error:
        name = f"-{flag.short}, --{flag.long}" if flag.short else f"--{flag.long}"
        raise UsageError(f"invalid argument {quoted(text)} for {quoted(name)} flag: {error}") from None
