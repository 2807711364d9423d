"""Flags as pflag reads them, the library that docker uses: the rows of a table, and the grammar.

The rules are those of SetInterspersed(false): "--long value", "--long=value", "-s value", "-svalue", "-s=value",
switches in clusters ("-dit"); a switch takes a value only after "="; "--" ends the flags, and so does the first
word that is none.

The old systemd-docker let unit files say "-rm" and "-name x". Such a word is read as "--rm" where docker would stop
at a letter that is no flag; a cluster that docker accepts keeps docker's meaning.
"""

from __future__ import annotations

from systemd_docker.errors import UsageError
from systemd_docker.frozen import frozen
from systemd_docker.options.values.go_numbers import boolean
from systemd_docker.options.values.go_quoting import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Use = tuple["Flag", object]


def last(values: Sequence[object]) -> object:
    return values[-1]


@frozen
class Flag:
    """One flag.

    long, short: as typed, without dashes.
    kind:        name of the argument in the help; "" for a switch, which takes a value only after "=".
    help:        its line there; "" hides the flag.
    field:       the field of the create request it fills or takes part in, e.g. "HostConfig.Memory"; "" if none.
    read:        turns the argument into a value, raising UsageError with a reason.
    combine:     turns all its values into the field's; None where other flags take part.
    repeats:     each use adds a value; otherwise the last one holds.
    default:     shown by the help, and given by RunOptions.text() where the flag is not used.
    api:         first version of the Engine API that knows it; an older engine gets a UsageError, not silence.
    system:      the only operating system whose engine knows it; "" for all.
    same_as:     the flag that this is another spelling of.
    """

    long: str
    kind: str
    help: str
    field: str = ""
    read: Callable[[str], object] = str
    combine: Callable[[Sequence[object]], object] | None = last
    short: str = ""
    repeats: bool = False
    default: str = ""
    api: tuple[int, int] = (0, 0)
    system: str = ""
    same_as: str = ""


def switch(
    long: str,
    help: str,  # noqa: A002  the column's name
    field: str = "",
    combine: Callable[[Sequence[object]], object] | None = last,
    *,
    short: str = "",
    default: str = "false",
) -> Flag:
    """Return a row without an argument."""
    return Flag(long, "", help, field, boolean, combine, short, default=default)


class Spellings:
    """A table of flags, by what is typed: `spellings["--env"]`, `spellings["-e"]`."""

    def __init__(self, flags: Iterable[Flag]) -> None:
        flags = tuple(flags)
        self.by_long: Mapping[str, Flag] = {flag.long: flag for flag in flags}
        self.by_short: Mapping[str, Flag] = {flag.short: flag for flag in flags if flag.short}


def parse_flags(argv: Sequence[str], spellings: Spellings) -> tuple[tuple[Use, ...], tuple[str, ...]]:
    """Return the flags at the beginning of argv, and the words after them."""
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
        raise UsageError(f"{word} is not a flag")
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
            raise UsageError(f"unknown flag: -{letters[0]} in {word}")
        if letters[1:2] == "=" and len(letters) > 2:
            value, letters = letters[2:], ""
        elif not flag.kind:
            value, letters = "true", letters[1:]
        elif len(letters) > 1:
            value, letters = letters[1:], ""
        else:
            value, letters = _next(flag, words, f"-{letters}"), ""
        uses.append(_use(flag, value, spellings))
    return uses


def _next(flag: Flag, words: list[str], name: str) -> str:
    """Return the next word as a flag's argument."""
    if not flag.kind:
        return "true"
    if not words:
        raise UsageError(f"flag {name} needs an argument")
    return words.pop()


def _use(flag: Flag, text: str, spellings: Spellings) -> Use:
    meant = spellings.by_long[flag.same_as] if flag.same_as else flag
    try:
        return meant, meant.read(text)
    except UsageError as error:
        raise UsageError(f"invalid argument {quoted(text)} for --{flag.long}: {error}", hint=error.hint) from None
