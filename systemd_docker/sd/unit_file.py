"""Unit-file syntax: files into assignments, values into words, command lines and booleans. Mechanism only.

Other modules know what sections and keys mean. The rules are those of systemd.syntax(7) and of "Command lines" in
systemd.service(5). No file is refused: what systemd ignores with a warning (a line without "=", an assignment before
the first section) is kept, and is no assignment.

Text is text with surrogate escapes: `data.decode(errors="surrogateescape")`.
"""

from __future__ import annotations

import io

from systemd_docker.frozen import frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

WHITESPACE = " \t\n\r"

UNQUOTED_SPECIAL = f"{WHITESPACE}\\'\""

COMMAND_PREFIXES = "-@:+!|"
"""May stand before the program of a command line in any order; see the table in systemd.service(5), "ExecStart="."""

TRUE = frozenset({"1", "yes", "y", "true", "t", "on"})
FALSE = frozenset({"0", "no", "n", "false", "f", "off"})

ESCAPES = {
    "a": 0x07, "b": 0x08, "f": 0x0C, "n": 0x0A, "r": 0x0D, "t": 0x09, "v": 0x0B,
    "\\": 0x5C, '"': 0x22, "'": 0x27, "s": 0x20,
}  # fmt: skip

NUMERIC_ESCAPES = {"x": (1, 2, 16), "u": (1, 4, 16), "U": (1, 8, 16)} | dict.fromkeys("01234567", (0, 3, 8))
"""First character behind the backslash -> (digits start here, how many, base)."""


class UnitSyntaxError(ValueError):
    """A value systemd would ignore because it cannot be split."""


@frozen
class Entry:
    """An assignment with its continuation lines, a section header, or the comments and blank lines between those.

    text:    verbatim, line ends included.
    section: the one it stands in, or opens; "" before the first.
    key:     "" unless it is an assignment.
    value:   continuation lines joined with a space, without whitespace around it.
    """

    text: str
    section: str = ""
    key: str = ""
    value: str = ""


@frozen
class UnitFile:
    """A unit file, or several, one read after the other."""

    entries: tuple[Entry, ...]

    @property
    def text(self) -> str:
        """The text that was parsed, to the byte."""
        return "".join(entry.text for entry in self.entries)

    def values(self, section: str, key: str) -> tuple[str, ...]:
        """Everything assigned, in order, resetting empty assignments included."""
        return tuple(entry.value for entry in self.entries if (entry.section, entry.key) == (section, key))

    def last(self, section: str, key: str) -> str | None:
        """The value in force of a key that takes one."""
        values = self.values(section, key)
        return values[-1] if values else None

    def listed(self, section: str, key: str) -> tuple[str, ...]:
        """The values in force of a key that takes many: those behind the last empty assignment."""
        values = self.values(section, key)
        last_reset = max((number for number, value in enumerate(values, 1) if not value), default=0)
        return values[last_reset:]


@frozen
class Command:
    """One command of an Exec…= setting.

    prefixes:  as written, e.g. "-@".
    program:   as written: a path, or a name that systemd searches for; specifiers not replaced.
    arguments: without argv[0], which follows the program only where "@" says so.
    """

    prefixes: str
    program: str
    arguments: tuple[str, ...]


def parse(text: str) -> UnitFile:
    """Parse any text; `parse(text).text == text`."""
    entries = []
    section = ""
    for verbatim, logical in _logical_lines(text):
        if logical.startswith("["):
            # systemd refuses a file with a broken header. Here, the lines below it belong to no section.
            section = logical[1:-1] if logical.endswith("]") else ""
            entries.append(Entry(verbatim, section))
        elif section and "=" in logical:
            key, _, value = logical.partition("=")
            entries.append(Entry(verbatim, section, key.rstrip(WHITESPACE), value.lstrip(WHITESPACE)))
        else:
            entries.append(Entry(verbatim, section))
    return UnitFile(tuple(entries))


def merge(files: Iterable[UnitFile]) -> UnitFile:
    """A unit file and its drop-ins, in the order in which they are read."""
    return UnitFile(tuple(entry for file in files for entry in file.entries))


def _logical_lines(text: str) -> Iterator[tuple[str, str]]:
    """Yield (verbatim lines, the logical line that they make, stripped); that is "" for comments and blank lines."""
    verbatim, logical, continued = "", "", False
    # str.splitlines() would also split at form feeds and at Unicode's line separators; systemd splits at \n and \r.
    for line in io.StringIO(text, newline=""):
        bare = line.rstrip("\r\n")
        start = bare.lstrip(WHITESPACE)
        if start.startswith(("#", ";")) or not (start or continued):
            verbatim += line
            continue
        if verbatim and not continued:
            yield verbatim, ""
            verbatim = ""
        verbatim += line
        if continued := (len(bare) - len(bare.rstrip("\\"))) % 2 == 1:
            logical += bare[:-1] + " "
            continue
        yield verbatim, (logical + bare).removeprefix("\ufeff").strip(WHITESPACE)
        verbatim, logical = "", ""
    if verbatim:
        yield verbatim, logical.removeprefix("\ufeff").strip(WHITESPACE)


def parse_boolean(text: str) -> bool:
    """ "yes" -> True, "off" -> False, in any case; ValueError for everything else."""
    word = text.lower()
    if word not in TRUE | FALSE:
        raise ValueError(f"'{text}' is not a boolean")
    return word in TRUE


def split_words(text: str) -> list[str]:
    """Split at whitespace outside of quotes, remove quotes and replace escapes; an unknown escape stays as it is.

    Quotes may stand inside a word: systemd.syntax(7) says otherwise, but systemd reads --env=A='b c' as one word.
    Raises UnitSyntaxError for a quote that is not closed and for a backslash at the end.
    """
    words = []
    position = _skip_whitespace(text, 0)
    while position < len(text):
        word, position = _read_word(text, position)
        words.append(word)
    return words


def parse_commands(text: str) -> tuple[Command, ...]:
    """The command lines of one Exec…= assignment: several where a word of its own is a semicolon.

    Raises UnitSyntaxError like split_words, and where a program is missing.
    """
    commands: list[list[str]] = [[]]
    position = _skip_whitespace(text, 0)
    while position < len(text):
        if _is_word_at(text, position, ";"):  # but not ";" in quotes
            commands.append([])
            position = _skip_whitespace(text, position + 1)
        elif _is_word_at(text, position, "\\;"):
            commands[-1].append(";")
            position = _skip_whitespace(text, position + 2)
        else:
            word, position = _read_word(text, position)
            commands[-1].append(word)
    return tuple(_command(words) for words in commands if words)


def _command(words: list[str]) -> Command:
    program = words[0].lstrip(COMMAND_PREFIXES)
    prefixes = words[0].removesuffix(program)
    arguments = words[2:] if "@" in prefixes else words[1:]
    if not program:
        raise UnitSyntaxError(f"no program behind '{words[0]}'")
    return Command(prefixes, program, tuple(arguments))


def _is_word_at(text: str, position: int, word: str) -> bool:
    end = position + len(word)
    return text.startswith(word, position) and text[end : end + 1] in WHITESPACE  # "" at the end of text is, too


def _skip_whitespace(text: str, position: int) -> int:
    while position < len(text) and text[position] in WHITESPACE:
        position += 1
    return position


def _read_word(text: str, position: int) -> tuple[str, int]:
    """The word that begins at position, and where the next one begins."""
    word = bytearray()  # \x and octal escapes give bytes: several of them may make one character
    quote = ""
    while position < len(text):
        char = text[position]
        if char == "\\":
            value, position = _read_escape(text, position + 1)
            word += value
        elif char == quote:
            quote = ""
            position += 1
        elif not quote and char in "'\"":
            quote = char
            position += 1
        elif not quote and char in WHITESPACE:
            break
        else:
            plain = _plain(text, position, f"\\{quote}" if quote else UNQUOTED_SPECIAL)
            word += plain.encode(errors="surrogateescape")
            position += len(plain)
    if quote:
        raise UnitSyntaxError(f"unbalanced quoting in: {text}")
    return word.decode(errors="surrogateescape"), _skip_whitespace(text, position)


def _plain(text: str, position: int, special: str) -> str:
    """Characters from position up to the next special one."""
    end = position
    while end < len(text) and text[end] not in special:
        end += 1
    return text[position:end]


def _read_escape(text: str, position: int) -> tuple[bytes, int]:
    """Return the bytes that a backslash in front of position stands for, and the position behind the escape."""
    char = text[position : position + 1]
    if not char:
        raise UnitSyntaxError(f"nothing behind the backslash at the end of: {text}")
    if char in ESCAPES:
        return bytes([ESCAPES[char]]), position + 1
    if char in NUMERIC_ESCAPES:
        start, length, base = NUMERIC_ESCAPES[char]
        digits = text[position + start : position + start + length]
        if len(digits) == length and digits.isascii() and digits.isalnum():
            try:
                return _encode_number(int(digits, base), char), position + start + length
            except (ValueError, OverflowError):
                pass  # no digits of this base, or no such character: as unknown as any other escape
    return b"\\" + char.encode(errors="surrogateescape"), position + 1


def _encode_number(number: int, kind: str) -> bytes:
    if number == 0:
        raise ValueError("no argument of a program can hold a NUL")
    return chr(number).encode() if kind in "uU" else bytes([number])
