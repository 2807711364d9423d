"""Unit-file syntax, held against what systemd.syntax(7) and systemd.service(5) say."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from systemd_docker.sd import unit_file
from systemd_docker.sd.unit_file import Command, UnitSyntaxError

MANUAL = """\
[Section A]
KeyOne=value 1
KeyTwo=value 2

# a comment

[Section B]
Setting="something" "some thing" "…"
KeyTwo=value 2 \\
       value 2 continued

[Section C]
KeyThree=value 3\\
# this line is ignored
; this line is ignored too
       value 3 continued
"""
"""The example of systemd.syntax(7)."""

UNIT_LINES = st.lists(
    st.sampled_from(
        [
            "[Service]",
            "[Unit]",
            "ExecStart=a \\",
            "  b",
            "ExecStart=",
            "# no",
            " ; no",
            "Key = v",
            "\\",
            "\\\\",
            "[x",
            "",
        ]
    )
)
LINE_ENDS = st.sampled_from(["\n", "\r\n", "\r", "\n\n"])
UNITS = st.tuples(UNIT_LINES, LINE_ENDS).map(lambda drawn: drawn[1].join(drawn[0]))


def decode(data: bytes) -> str:
    return data.decode(errors="surrogateescape")


@given(UNITS | st.text() | st.binary().map(decode))
@example(MANUAL)
@example("[Service]\nExecStart=x \\")
def test_what_was_parsed_is_written_unchanged(text: str) -> None:
    assert unit_file.parse(text).text == text


@given(st.text() | st.binary().map(decode))
def test_no_value_makes_the_splitter_fail_otherwise_than_it_says(value: str) -> None:
    for split in (unit_file.split_words, unit_file.parse_commands):
        with contextlib.suppress(UnitSyntaxError):
            split(value)


@given(st.lists(st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]))))
def test_quoted_words_come_back(words: list[str]) -> None:
    quoted = " ".join('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in words)

    assert unit_file.split_words(quoted) == words


def test_the_example_of_the_manual() -> None:
    unit = unit_file.parse(MANUAL)

    assert [(entry.section, entry.key, entry.value) for entry in unit.entries if entry.key] == [
        ("Section A", "KeyOne", "value 1"),
        ("Section A", "KeyTwo", "value 2"),
        ("Section B", "Setting", '"something" "some thing" "…"'),
        ("Section B", "KeyTwo", "value 2         value 2 continued"),
        ("Section C", "KeyThree", "value 3        value 3 continued"),
    ]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("[S]\nK=a", ["a"]),
        ("[S]\n \t K \t = \t a b \t ", ["a b"]),
        ("[S]\nK=a=b", ["a=b"]),
        ("[S]\nK=\nK=a\nK=a", ["", "a", "a"]),
        ("[S]\n#K=a\n;K=b\n  # K=c", []),
        ("[S]\nk=a\nKK=b\nK a", []),
        ("K=before the first section", []),
        ("[T]\nK=a\n[S]\nK=b\n[T]\nK=c\n[S]\nK=d", ["b", "d"]),
        ("[S\nK=in a section without a name", []),
        ("\ufeff[S]\nK=behind a byte order mark", ["behind a byte order mark"]),
        ("[S]\r\nK=a\r\nK=b \\\r\nc\r\n", ["a", "b  c"]),
        ("[S]\nK=an even number \\\\\nK=b", ["an even number \\\\", "b"]),
        ("[S]\nK=a\\\n\nK=b", ["a", "b"]),
        ("[S]\nK=a\\\n#K=b\\\nc", ["a c"]),
        ("[S]\nK=a\\", ["a"]),
        ("[S]\n# a comment ends at its line \\\nK=a", ["a"]),
        ("[S]\nK=\x0c form feed\u2028separator", ["\x0c form feed\u2028separator"]),
    ],
)
def test_values(text: str, values: list[str]) -> None:
    assert list(unit_file.parse(text).values("S", "K")) == values


@pytest.mark.parametrize(
    ("assigned", "last", "listed"),
    [
        ([], None, []),
        (["a"], "a", ["a"]),
        (["a", "b"], "b", ["a", "b"]),
        (["a", "", "b", "c"], "c", ["b", "c"]),
        (["a", ""], "", []),
    ],
)
def test_an_empty_assignment_resets_a_list(assigned: list[str], last: str | None, listed: list[str]) -> None:
    unit = unit_file.parse("[S]\n" + "".join(f"K={value}\n" for value in assigned))

    assert unit.last("S", "K") == last
    assert list(unit.listed("S", "K")) == listed


def test_a_drop_in_is_read_behind_the_unit_and_begins_outside_of_sections() -> None:
    unit, drop_in = unit_file.parse("[S]\nK=a\n"), unit_file.parse("K=lost\n[S]\nK=\nK=b\n")

    merged = unit_file.merge([unit, drop_in])

    assert merged.listed("S", "K") == ("b",)
    assert merged.text == unit.text + drop_in.text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("   ", []),
        (" a  b\tc\n", ["a", "b", "c"]),
        ("'a b' \"c d\"", ["a b", "c d"]),
        ("--env=A='b c'd", ["--env=A=b cd"]),
        ("''", [""]),
        ("""'a"b' "c'd" """, ['a"b', "c'd"]),
        (r"a\sb \tc \\ \" \' \n", ["a b", "\tc", "\\", '"', "'", "\n"]),
        (r"'a\'b'", ["a'b"]),
        (r"\x41\102\u00e4\U0001F40B \xc3\xa4 \303\244", ["ABä🐋", "ä", "ä"]),
        (r"\x4 \xzz \u12 \q \9 \400 \x00 \ud800 \UFFFFFFFF", None),
        ("a\u00a0b\x0bc", ["a\u00a0b\x0bc"]),
        ("$A ${B} %i $$", ["$A", "${B}", "%i", "$$"]),
    ],
)
def test_words(text: str, words: list[str] | None) -> None:
    assert unit_file.split_words(text) == (text.split() if words is None else words)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a 'b", "unbalanced quoting in: a 'b"),
        ('"', "unbalanced"),
        ("a\\", "nothing behind the backslash"),
        ("'a\\", "nothing behind the backslash"),
    ],
)
def test_words_that_cannot_be_split(text: str, message: str) -> None:
    with pytest.raises(UnitSyntaxError, match=message):
        unit_file.split_words(text)


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("", []),
        ("/bin/a b 'c d'", [Command("", "/bin/a", ("b", "c d"))]),
        ("-/bin/a", [Command("-", "/bin/a", ())]),
        ("@/bin/a argv0 b", [Command("@", "/bin/a", ("b",))]),
        ("-@!!:a argv0", [Command("-@!!:", "a", ())]),
        ("'-/bin/a b' c", [Command("-", "/bin/a b", ("c",))]),
        ("a ; b ;", [Command("", "a", ()), Command("", "b", ())]),
        ("a \\; b", [Command("", "a", (";", "b"))]),
        ("a ';' \";\" ;b \\;c", [Command("", "a", (";", ";", ";b", "\\;c"))]),
    ],
)
def test_commands(text: str, commands: list[Command]) -> None:
    assert list(unit_file.parse_commands(text)) == commands


@pytest.mark.parametrize("text", ["-", "@ a", "a ; - b"])
def test_a_command_without_a_program(text: str) -> None:
    with pytest.raises(UnitSyntaxError, match="no program behind"):
        unit_file.parse_commands(text)


@pytest.mark.parametrize("word", ["1", "yes", "Y", "TRUE", "t", "on"])
def test_true(word: str) -> None:
    assert unit_file.parse_boolean(word) is True


@pytest.mark.parametrize("word", ["0", "no", "N", "FALSE", "f", "off"])
def test_false(word: str) -> None:
    assert unit_file.parse_boolean(word) is False


@pytest.mark.parametrize("word", ["", "2", "yess", " yes"])
def test_neither_true_nor_false(word: str) -> None:
    with pytest.raises(ValueError, match="is not a boolean"):
        unit_file.parse_boolean(word)
