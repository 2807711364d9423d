"""Manual pages: the markdown of resources/man/ into man(7), when install-system installs them.

Why not pandoc or go-md2man: pages are converted where they are installed, and neither is there. Our pages use little
of markdown, and the rest of it is refused, so that no page goes wrong unseen:

    # name(section)                       the title
    ## SECTION, ### Subsection
    paragraphs
    - items, 1. items                     continued by lines that are indented
    term, and below it ":   text"         continued by lines that are indented by four
    ``` fences                            kept as they are
    | tables |                            with a line of dashes below their head
    `literal` **bold** *replaceable* [text](address)
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TITLE = re.compile(r"# (\S+)\((\d)\)")
ITEM = re.compile(r"(?:([-*])|(\d+\.)) +(?=\S)")
TERM_TEXT = ":   "
FENCE = "```"

INLINE = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*|\*([^*]+)\*|\[([^\]]+)\]\(([^)]+)\)")

MAX_NARROW = 16
"""A column of a table whose cells are not longer is as wide as they are; the others share what is left."""


class PageError(ValueError):
    """A page uses markdown that this room does not know."""


def convert(markdown: str) -> str:
    """A page in markdown -> the same page in man(7), for groff's tbl(1) where it has tables."""
    title, *lines = markdown.splitlines()
    match = TITLE.fullmatch(title)
    if match is None:
        raise PageError(f"'{title}' is no title: expected '# name(section)'")
    name, section = match.groups()
    head = [f'.TH "{name.upper()}" "{section}" "" "systemd-docker"', ".nh", ".ad l"]
    return "\n".join(["'\\\" t", *head, *_blocks(lines)]) + "\n"


def _blocks(lines: Sequence[str]) -> Iterator[str]:
    rest = list(lines)
    while rest:
        if not rest[0].strip():
            del rest[0]
        elif rest[0].startswith(FENCE):
            if FENCE not in rest[1:]:
                raise PageError(f"a fence is not closed: {rest[0]}")
            end = rest.index(FENCE, 1)
            yield from _literal(rest[1:end])
            del rest[: end + 1]
        else:
            block, rest = _take_block(rest)
            yield from _block(block)


def _take_block(lines: list[str]) -> tuple[list[str], list[str]]:
    """Lines up to the next blank one, or past it where what follows is indented and so belongs to an item."""
    is_item = ITEM.match(lines[0]) is not None or (len(lines) > 1 and lines[1].startswith(TERM_TEXT))
    for number, line in enumerate(lines):
        starts_another = is_item and number > 0 and ITEM.match(line) is not None
        following = next(filter(str.strip, lines[number:]), "")
        if starts_another or (not line.strip() and not (is_item and following.startswith("  "))):
            return lines[:number], lines[number:]
    return lines, []


def _block(lines: list[str]) -> Iterator[str]:
    first = lines[0]
    if item := ITEM.match(first):
        yield f".IP {item[2]} 4" if item[2] else ".IP \\(bu 2"
        yield from _body([first[item.end() :], *lines[1:]])
    elif len(lines) > 1 and lines[1].startswith(TERM_TEXT):
        yield from (".TP", _inline(first))
        yield from _body([lines[1].removeprefix(TERM_TEXT), *lines[2:]])
    elif first.startswith("### "):
        yield f'.SS "{_inline(first[4:])}"'
    elif first.startswith("## "):
        yield f'.SH "{_inline(first[3:])}"'
    elif first.startswith("|"):
        yield from _table(lines)
    elif first.startswith((" ", "#", ">", "<", "!", ":")):
        raise PageError(f"cannot convert the line: {first}")
    else:
        yield from (".PP", *_text(lines))


def _body(lines: list[str]) -> Iterator[str]:
    """What is behind the mark of an item: a first paragraph, then blocks that are indented."""
    end = lines.index("") if "" in lines else len(lines)
    yield from _text(lines[:end])
    rest = lines[end:]
    if any(rest):
        margin = min(len(line) - len(line.lstrip()) for line in rest if line)
        yield ".RS"
        yield from _blocks([line[margin:] for line in rest])
        yield ".RE"


def _text(lines: Sequence[str]) -> Iterator[str]:
    return map(_line, _inline(" ".join(line.strip() for line in lines)).splitlines())


def _literal(lines: Sequence[str]) -> Iterator[str]:
    yield from (".PP", ".RS 4", ".nf", *(_line(_escape(line, literal=True)) for line in lines), ".fi", ".RE")


def _table(lines: Sequence[str]) -> Iterator[str]:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    if len(rows) < 2 or set("".join(rows[1])) - set("-:"):
        raise PageError(f"a table without a line of dashes: {lines[0]}")
    columns = len(rows[0])
    del rows[1]
    for row in rows:
        if len(row) != columns:
            raise PageError(f"a table with {columns} columns has a row with {len(row)}: {row}")
    are_narrow = [max(map(len, cells)) <= MAX_NARROW for cells in zip(*rows, strict=True)]
    formats = " ".join("l" if is_narrow else "lx" for is_narrow in are_narrow)
    yield from (".PP", ".TS", " ".join(["lb"] * columns), f"{formats}.")
    for row in rows:
        yield "\t".join(_cell(text, is_narrow=is_narrow) for text, is_narrow in zip(row, are_narrow, strict=True))
    yield ".TE"


def _cell(text: str, *, is_narrow: bool) -> str:
    """Text that is broken into lines; or, in a narrow column, as it is."""
    return _inline(text) if is_narrow else f"T{{\n{_line(_inline(text))}\nT}}"


def _inline(text: str) -> str:
    """Fonts as in man-pages(7): literals and bold bold, what is to be replaced italic."""
    parts, end = [], 0
    for match in INLINE.finditer(text):
        literal, bold, italic, label, address = match.groups()
        parts.append(_escape(text[end : match.start()]))
        if label:
            parts.append(f"{_escape(label)} <{_escape(address, literal=True)}>")
        elif italic:
            parts.append(f"\\fI{_escape(italic)}\\fR")
        else:
            parts.append(f"\\fB{_escape(literal or bold, literal=literal is not None)}\\fR")
        end = match.end()
    return "".join([*parts, _escape(text[end:])])


def _escape(text: str, *, literal: bool = False) -> str:
    text = text.replace("\\", "\\e")
    if not literal:
        return text
    # These would come out as typographic characters, which nobody can paste into a shell.
    for char, name in (("-", "\\-"), ("'", "\\(aq"), ("`", "\\(ga"), ("^", "\\(ha"), ("~", "\\(ti")):
        text = text.replace(char, name)
    return text


def _line(text: str) -> str:
    """A line of output must not look like a request."""
    return f"\\&{text}" if text.startswith((".", "'")) else text
