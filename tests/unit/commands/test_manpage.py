"""Markdown into man(7), and every page of ours through groff itself."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from systemd_docker.commands import manpage
from systemd_docker.commands.manpage import PageError

PAGES = sorted((Path(__file__).parents[3] / "systemd_docker/resources/man").glob("*.md"))


def body(markdown: str) -> str:
    """What becomes of markdown behind the title."""
    return manpage.convert(f"# x(1)\n{markdown}").split(".ad l\n", 1)[1]


@pytest.mark.parametrize(
    ("markdown", "roff"),
    [
        ("", ""),
        ("one\n  two\n\nthree", ".PP\none two\n.PP\nthree\n"),
        ("## NAME\n\n### Sub", '.SH "NAME"\n.SS "Sub"\n'),
        ("`a-b` **c** *d* e-f", ".PP\n\\fBa\\-b\\fR \\fBc\\fR \\fId\\fR e-f\n"),
        ("[text](https://a-b/)", ".PP\ntext <https://a\\-b/>\n"),
        ("a\\b `'~^`", ".PP\na\\eb \\fB\\(aq\\(ti\\(ha\\fR\n"),
        (".x\n\n'y", ".PP\n\\&.x\n.PP\n\\&'y\n"),
        ("- a\n  b\n- c", ".IP \\(bu 2\na b\n.IP \\(bu 2\nc\n"),
        ("1. a\n2. b", ".IP 1. 4\na\n.IP 2. 4\nb\n"),
        ("- a\n\n  b\n\nc", ".IP \\(bu 2\na\n.RS\n.PP\nb\n.RE\n.PP\nc\n"),
        ("`--a`\n:   b\n    c", ".TP\n\\fB\\-\\-a\\fR\nb c\n"),
        ("a\n:   b\n\n    ```\n    c\n    ```\n\nd", ".TP\na\nb\n.RS\n.PP\n.RS 4\n.nf\nc\n.fi\n.RE\n.RE\n.PP\nd\n"),
        ("a\n:   b\n\nc\n:   d", ".TP\na\nb\n.TP\nc\nd\n"),
        ("```\n.a  -b\n\n# c\n```\nd", ".PP\n.RS 4\n.nf\n\\&.a  \\-b\n\n# c\n.fi\n.RE\n.PP\nd\n"),
        (
            "| a | b |\n|---|---|\n| long enough to wrap | `d` |",
            ".PP\n.TS\nlb lb\nlx l.\nT{\na\nT}\tb\nT{\nlong enough to wrap\nT}\t\\fBd\\fR\n.TE\n",
        ),
    ],
)
def test_conversion(markdown: str, roff: str) -> None:
    assert body(markdown) == roff


@pytest.mark.parametrize(
    ("markdown", "message"),
    [
        ("> quoted", "cannot convert the line: > quoted"),
        ("#### too deep", "cannot convert"),
        ("    indented", "cannot convert"),
        ("![image](a)", "cannot convert"),
        ("```\nnever closed", "a fence is not closed"),
        ("| a |\n| b |", "without a line of dashes"),
        ("| a |\n|---|\n| b | c |", "1 columns has a row with 2"),
    ],
)
def test_markdown_that_our_pages_must_not_use(markdown: str, message: str) -> None:
    with pytest.raises(PageError, match=re.escape(message)):
        body(markdown)


def test_a_page_needs_a_title() -> None:
    with pytest.raises(PageError, match="'# x' is no title"):
        manpage.convert("# x\n")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_groff_has_nothing_to_say_about_our_pages(page: Path) -> None:
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed")

    # One page without end, as man(1) shows it: where a table would break is not what this is about.
    result = subprocess.run(
        ["groff", "-man", "-t", "-k", "-ww", "-Tutf8", "-rLL=100n"],
        input=b".pl 10000v\n" + manpage.convert(page.read_text()).encode(),
        capture_output=True,
        check=True,
    )

    assert result.stderr == b""
    assert page.stem.rpartition(".")[0].encode() in result.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_called_as_its_title_says(page: Path) -> None:
    name, _, section = page.stem.rpartition(".")

    assert page.read_text().startswith(f"# {name}({section})\n\n## NAME\n\n{name} - ")
