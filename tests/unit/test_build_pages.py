"""The manual pages, from markdown to man(7), and that neither groff nor mandoc warns about one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from systemd_docker.resources.man import build_pages
from systemd_docker.resources.man.build_pages import PageError, column_widths

ROOT = Path(__file__).parents[2]

PAGES = sorted(build_pages.PAGES.glob("*.md"))


def body(markdown: str) -> str:
    """What becomes of markdown behind the title."""
    return build_pages.convert(f"# x(1)\n\n{markdown}", "1.0", "2026-11-28").split(".ad l\n", 1)[1].rstrip("\n")


@pytest.mark.parametrize(
    ("markdown", "roff"),
    [
        ("", ""),
        ("one\n  two\n\nthree", "one\ntwo\n.PP\nthree"),
        ("## NAME\n\na\n\n### Sub\n\nb", ".SH NAME\na\n.SS Sub\nb"),
        ("`a-b` **c** *d* e-f", "\\fBa\\-b\\fR \\fBc\\fR \\fId\\fR e-f"),
        ("[text](https://a-b/)", "text <https://a\\-b/>"),
        ("a\\\\b `'~^`", "a\\eb \\fB\\(aq\\(ti\\(ha\\fR"),
        (".x\n\n'y", "\\&.x\n.PP\n\\&'y"),
        ("- a\n  b\n- c", ".IP \\(bu 2\na\nb\n.IP \\(bu 2\nc"),
        ("1. a\n2. b", ".IP 1. 4\na\n.IP 2. 4\nb"),
        ("- a\n\n  b\n\nc", ".IP \\(bu 2\na\n.RS\nb\n.RE\n.PP\nc"),
        ("`--a`\n:   b\n    c", ".TP\n\\fB\\-\\-a\\fR\nb\nc"),
        ("a\n:   b\n\n    ```\n    c\n    ```\n\nd", ".TP\na\nb\n.RS\n.RS 4\n.EX\nc\n.EE\n.RE\n.RE\n.PP\nd"),
        ("a\n:   b\n\nc\n:   d", ".TP\na\nb\n.TP\nc\nd"),
        ("a\n\n```\n.a  -b\n\n# c\n```", "a\n.PP\n.RS 4\n.EX\n\\&.a  \\-b\n\n# c\n.EE\n.RE"),
        ("| a | b |\n|---|---|\n| c | `d` |", ".TS\nlb lb\nl2 l.\na\tb\nc\t\\fBd\\fR\n.TE"),
        (f"| a |\n|---|\n| {'b ' * 40} |", f".TS\nlb\nlw(71n).\nT{{\na\nT}}\nT{{\n{'b ' * 39}b\nT}}\n.TE"),
        (
            "/usr/local/lib/systemd/system-generators/x",
            "/usr/\\:local/\\:lib/\\:systemd/\\:system-\\:generators/\\:x",
        ),
    ],
)
def test_conversion(markdown: str, roff: str) -> None:
    assert body(markdown) == roff


@pytest.mark.parametrize(
    ("markdown", "message"),
    [
        ("a\n\n> quoted", "cannot convert markdown of type blockquote in line 5"),
        ("#### too deep", "'too deep' is a heading of a level that a page does not have"),
        ("# another title", "'another title' is a heading"),
        ("    indented", "cannot convert markdown of type code_block"),
        ("![image](a)", "cannot convert markdown of type image"),
        ("<b>html</b>", "cannot convert markdown of type html_inline"),
        ("- ```\n  code\n  ```", "an item that does not begin with text"),
    ],
)
def test_markdown_that_a_page_must_not_use(markdown: str, message: str) -> None:
    with pytest.raises(PageError, match=re.escape(message)):
        body(markdown)


@pytest.mark.parametrize("title", ["# x", "## x(1)", "x(1)"])
def test_a_page_needs_a_title(title: str) -> None:
    with pytest.raises(PageError, match="is no title"):
        build_pages.convert(title, "1.0", "2026-11-28")


@pytest.mark.parametrize(
    ("columns", "widths"),
    [
        ([["a", "bcd"], ["e", ""]], [3, 1]),
        ([["word " * 20], ["x"]], [68, 1]),
        ([["word " * 20], ["word " * 20]], [35, 34]),
        ([["a" * 100], ["b"]], [68, 1]),
        ([["a" * 100, "b"], ["c " * 50, "d"]], [68, 1]),
    ],
)
def test_a_table_is_as_wide_as_its_cells_or_the_page(columns: list[list[str]], widths: list[int]) -> None:
    assert column_widths(columns) == widths


def tool(name: str) -> str:
    path = shutil.which(name)
    if path is None and os.environ.get("CI"):
        pytest.fail(f"{name} is not installed")
    return path or pytest.skip(f"{name} is not installed")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The project's wheel, built as pip builds it."""
    directory = tmp_path_factory.mktemp("wheel")
    build_wheel(directory)
    return zipfile.ZipFile(next(directory.iterdir()))


def build_wheel(directory: Path, *, epoch_sec: int = 1_700_000_000) -> None:
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation", "--no-index"]
    command = [sys.executable, "-m", "pip", "wheel", *options, f"--wheel-dir={directory}", str(ROOT)]
    subprocess.run(command, env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch_sec)}, check=True)


@pytest.mark.parametrize("page", [page.stem for page in PAGES])
def test_a_page_shows_without_a_warning_in_80_columns(page: str, wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    path = tmp_path / page
    preprocessors, rest = wheel.read(f"{build_pages.INSTALLED}/{page}").split(b"\n", 1)
    # One page without end, as on a terminal.
    path.write_bytes(preprocessors + b"\n.pl 10000v\n" + rest)
    environ = {"PATH": os.environ["PATH"], "MANWIDTH": "80", "LC_ALL": "C.UTF-8"}

    command = [tool("man"), "--warnings", "--local-file", str(path)]
    result = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)

    assert result.stderr == ""
    assert "2023-11-14" in result.stdout
    title = page.rpartition(".")[0].upper() + f"({page[-1]})"
    assert result.stdout.split("\n", 1)[0].split() == [title, build_pages.MANUAL, title]


@pytest.mark.parametrize("page", [page.stem for page in PAGES])
def test_mandoc_finds_no_fault_in_a_page(page: str, wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    path = tmp_path / page
    path.write_bytes(wheel.read(f"{build_pages.INSTALLED}/{page}"))

    command = [tool("mandoc"), "-T", "lint", "-W", "warning", str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (result.returncode, result.stdout + result.stderr) == (0, "")


def test_a_wheel_has_pages_units_and_the_license(wheel: zipfile.ZipFile) -> None:
    names = {name for name in wheel.namelist() if not name.endswith(".py")}
    units = {f"systemd_docker/resources/units/{path.name}" for path in (ROOT / "units").iterdir()}
    pages = {f"{build_pages.INSTALLED}/{page.stem}" for page in PAGES}

    assert {name for name in names if ".dist-info/" not in name} == units | pages | {"systemd_docker/LICENSE"}
    assert b"License-Expression: MIT" in wheel.read(next(name for name in names if name.endswith("/METADATA")))
    assert not [name for name in wheel.namelist() if name.endswith("build_pages.py")]


def test_the_same_sources_make_the_same_wheel(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    build_wheel(tmp_path)

    assert wheel.filename
    assert next(tmp_path.iterdir()).read_bytes() == Path(wheel.filename).read_bytes()
