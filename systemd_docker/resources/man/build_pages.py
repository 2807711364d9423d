"""The manual pages, from markdown to man(7), when a wheel is built; see [tool.hatch.build] in pyproject.toml.

markdown-it-py reads the markdown; what is written for each of its tokens stands here. Why no ready-made converter:
docutils' manpage writer, pandoc, go-md2man and lowdown leave 18 to 670 warnings of `mandoc -T lint` in these pages,
and tables that are wider than 80 columns. pandoc and go-md2man are also no Python packages, which pip would bring.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode
from mdit_py_plugins.deflist import deflist_plugin

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    BuildHook = BuildHookInterface[Any]
else:
    BuildHook = BuildHookInterface  # not generic in Debian 12's hatchling

PAGES = Path(__file__).parent

INSTALLED = "systemd_docker/resources/man"
"""Where a wheel has them."""

TITLE = re.compile(r"(\S+)\((\d)\)")

MANUAL = "systemd-docker"
"""Between the titles at the top. man(7)'s own name of a section is too long beside a long title."""

TABLE_COLUMNS = 71
"""What man(1) leaves a table of a terminal's 80 columns."""

GAP_COLUMNS = 2
"""Between two columns of a table; tbl(1)'s own would be 3."""

LONG_WORD = 40
"""From this many characters on, a word in a paragraph may be broken; see BREAKABLE."""

BREAKABLE = re.compile(r"(?<=\w[/=.,_-])(?=[\w$%])")
"""Places where the lines of a path or an assignment may end."""


class PageError(ValueError):
    """A page uses markdown that this module does not convert."""


class ManualPages(BuildHook):
    """Adds the pages to a wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, _version: str, build_data: dict[str, Any]) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="systemd-docker-man-")
        version = self.metadata.version
        for source in sorted(PAGES.glob("*.md")):
            page = Path(self._directory.name, source.stem)
            page.write_text(convert(source.read_text(encoding="utf-8"), version, build_date()), encoding="utf-8")
            build_data["force_include"][str(page)] = f"{INSTALLED}/{page.name}"

    def finalize(self, _version: str, _build_data: dict[str, Any], _artifact: str) -> None:
        self._directory.cleanup()


def build_date() -> str:
    """Return the day of $SOURCE_DATE_EPOCH, which makes a build reproducible, or today."""
    moment = time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", time.time())))
    return time.strftime("%Y-%m-%d", moment)


def convert(markdown: str, version: str, date: str) -> str:
    """Return a page in man(7) that looks alike in groff and mandoc. Raises PageError."""
    parser = MarkdownIt("commonmark").enable("table").use(deflist_plugin)
    title, *blocks = SyntaxTreeNode(parser.parse(markdown)).children
    match = TITLE.fullmatch(_plain(title))
    if title.tag != "h1" or match is None:
        raise PageError(f"'{_plain(title)}' is no title: expected '# name(section)'")
    name, section = match.groups()
    heading = f'.TH {name.upper()} {section} {date} "systemd-docker {version}" {MANUAL}'
    head = ["'\\\" t", heading, ".nr HY 0", ".nh", ".ad l"]
    return "\n".join([*head, *_blocks(blocks)]) + "\n"


def _blocks(nodes: Sequence[SyntaxTreeNode]) -> Iterator[str]:
    """Write a page's, or an item's, blocks. A paragraph that comes first has its macro already."""
    for before, node in zip([None, *nodes], nodes, strict=False):
        if before is not None and before.type != "heading" and node.type in ("paragraph", "fence", "table"):
            yield ".PP"
        match node.type:
            case "heading":
                yield f".{_heading(node)} {_inline(node)}"
            case "paragraph":
                yield from _lines(_inline(node))
            case "fence":
                yield from (".RS 4", ".EX", *map(_literal_line, node.content.splitlines()), ".EE", ".RE")
            case "table":
                yield from _table(node)
            case "bullet_list" | "ordered_list":
                for number, item in enumerate(node.children, int(node.attrs.get("start", 1))):
                    yield ".IP \\(bu 2" if node.type == "bullet_list" else f".IP {number}. 4"
                    yield from _item(item.children)
            case "dl":
                for part in node.children:
                    yield from (".TP", _inline(part)) if part.type == "dt" else _item(part.children)
            case _:
                raise PageError(f"cannot convert markdown of type {node.type} in line {(node.map or (0,))[0] + 1}")


def _heading(node: SyntaxTreeNode) -> str:
    macros = {"h2": "SH", "h3": "SS"}
    if node.tag not in macros:
        raise PageError(f"'{_plain(node)}' is a heading of a level that a page does not have")
    return macros[node.tag]


def _item(nodes: Sequence[SyntaxTreeNode]) -> Iterator[str]:
    """Write what is behind an item's mark: a paragraph, and further blocks indented alike."""
    if not nodes or nodes[0].type != "paragraph":
        raise PageError("an item that does not begin with text")
    yield from _lines(_inline(nodes[0]))
    if len(nodes) > 1:
        yield from (".RS", *_blocks(nodes[1:]), ".RE")


def _table(node: SyntaxTreeNode) -> Iterator[str]:
    rows = [row.children for part in node.children for row in part.children]
    texts = [[_plain(cell) for cell in row] for row in rows]
    widths = column_widths(list(zip(*texts, strict=True)))
    fits = [max(map(len, column)) <= width for column, width in zip(zip(*texts, strict=True), widths, strict=True)]
    formats = [f"l{'' if fit else f'w({width}n)'}" for fit, width in zip(fits, widths, strict=True)]
    yield from (".TS", f"{' '.join('lb' for _ in widths)}", f"{f'{GAP_COLUMNS} '.join(formats)}.")
    for row in rows:
        cells = [_inline(cell, width) for cell, width in zip(row, widths, strict=True)]
        yield "\t".join(cell if fit else f"T{{\n{_line(cell)}\nT}}" for cell, fit in zip(cells, fits, strict=True))
    yield ".TE"


def column_widths(columns: Sequence[Sequence[str]]) -> list[int]:
    """Return how many characters wide each column is, so that a table fits in TABLE_COLUMNS.

    A column that is not as wide as its longest cell has at least the width of its longest word, if there is room.
    """
    room = TABLE_COLUMNS - GAP_COLUMNS * (len(columns) - 1)
    wanted = [max(map(len, column)) for column in columns]
    widths = [max(len(word) for cell in column for word in (cell.split() or [""])) for column in columns]
    while sum(widths) > room:
        widths[widths.index(max(widths))] -= 1
    while sum(widths) < min(room, sum(wanted)):
        lacking = [want / width if want > width else 0 for want, width in zip(wanted, widths, strict=True)]
        widths[lacking.index(max(lacking))] += 1
    return widths


def _plain(node: SyntaxTreeNode) -> str:
    """Return the text without its markup."""
    return "".join(part.content or " " for part in node.walk() if part.type in ("text", "code_inline", "softbreak"))


def _inline(node: SyntaxTreeNode, longest_word: int = LONG_WORD) -> str:
    """Return text with fonts as in man-pages(7): literals and strong text bold, what is to be replaced italic."""
    match node.type:
        case "text":
            return _escape(node.content, longest_word)
        case "softbreak":
            return "\n"
        case "code_inline":
            return f"\\fB{_literal(_escape(node.content, longest_word))}\\fR"
        case "strong":
            return f"\\fB{_inline_children(node, longest_word)}\\fR"
        case "em":
            return f"\\fI{_inline_children(node, longest_word)}\\fR"
        case "link":
            return (
                f"{_inline_children(node, longest_word)} <{_literal(_escape(str(node.attrs['href']), longest_word))}>"
            )
        case "inline" | "heading" | "paragraph" | "dt" | "th" | "td":
            return _inline_children(node, longest_word)
        case _:
            raise PageError(f"cannot convert markdown of type {node.type}: {_plain(node)}")


def _inline_children(node: SyntaxTreeNode, longest_word: int) -> str:
    return "".join(_inline(child, longest_word) for child in node.children)


def _escape(text: str, longest_word: int) -> str:
    text = text.replace("\\", "\\e")
    words = re.split(r"(\s+)", text)
    return "".join(BREAKABLE.sub(r"\\:", word) if len(word) > longest_word else word for word in words)


def _literal(text: str) -> str:
    """Keep what would come out as typographic characters, which a shell does not take."""
    for char, name in (("-", "\\-"), ("'", "\\(aq"), ("`", "\\(ga"), ("^", "\\(ha"), ("~", "\\(ti")):
        text = text.replace(char, name)
    return text


def _literal_line(text: str) -> str:
    return _line(_literal(text.replace("\\", "\\e")))


def _lines(text: str) -> Iterator[str]:
    return map(_line, text.splitlines())


def _line(text: str) -> str:
    """Keep a line of text from looking like a request."""
    return f"\\&{text}" if text.startswith((".", "'")) else text
