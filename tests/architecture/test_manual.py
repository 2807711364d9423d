"""The manual has what the tables have, every option, flag, status and assignment; and its pages fit together."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from systemd_docker import __version__, cli, errors
from systemd_docker.engine.client import OLDEST_API
from systemd_docker.options.flags import FLAGS
from systemd_docker.options.own import OWN_FLAGS
from systemd_docker.options.pflag import Flag
from systemd_docker.plan.environment import HOST_ONLY, PREFIXES
from systemd_docker.service.notifications.proxy import PASSED
from tests.differential.differences import DIFFERENCES

ROOT = Path(__file__).parents[2]

PAGES = {page.stem: page.read_text() for page in sorted((ROOT / "systemd_docker/resources/man").glob("*.md"))}

MANUAL, COMPATIBILITY = "systemd-docker.1", "systemd-docker-compatibility.7"


def section(title: str, page: str = MANUAL) -> str:
    return PAGES[page].split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def titles(page: str) -> set[str]:
    return set(re.findall(r"^##+ (.*)$", PAGES[page], flags=re.MULTILINE))


def test_every_own_option_is_there_and_no_other() -> None:
    documented = re.findall(r"^`--([a-z-]+)`", section("OPTIONS"), flags=re.MULTILINE)

    assert documented == [flag.long for flag in OWN_FLAGS]


@pytest.mark.parametrize("flag", OWN_FLAGS, ids=lambda flag: str(flag.long))
def test_an_options_words_and_its_short_form_are_those_of_the_table(flag: Flag) -> None:
    line = next(line for line in section("OPTIONS").splitlines() if line.startswith(f"`--{flag.long}`"))

    assert (f"`-{flag.short}`" in line) is bool(flag.short)
    assert flag.kind in line


def test_run_options_that_differ_are_flags_of_run() -> None:
    terms = "".join(re.findall(r"^`--.*$", section("RUN OPTIONS"), flags=re.MULTILINE))

    documented = re.findall(r"`--([a-z-]+)`", terms)

    assert documented
    assert set(documented) <= {flag.long for flag in FLAGS}


def test_every_flag_that_the_oldest_engine_lacks_is_there_with_its_version() -> None:
    rows = re.findall(r"^\| `--([a-z-]+)` \| (\d+)\.(\d+) \|", section("NEWER FLAGS", COMPATIBILITY), re.MULTILINE)

    documented = {(long, (int(major), int(minor))) for long, major, minor in rows}

    assert documented == {(flag.long, flag.api) for flag in FLAGS if flag.api > OLDEST_API}


def test_every_command_is_there() -> None:
    documented = re.findall(r"`([a-z-]+)`", "".join(re.findall(r"^`.*$", section("COMMANDS"), flags=re.MULTILINE)))

    assert set(documented) == set(cli.SUBCOMMANDS)


def test_every_status_of_systemd_docker_is_there() -> None:
    documented = set(re.findall(r"^\| (\d+) \|", section("EXIT STATUS"), flags=re.MULTILINE))
    classes: list[type[errors.Error]] = [errors.Error, *errors.Error.__subclasses__()]

    assert documented == {str(error.exit_status) for error in classes} | {str(errors.EX_SOFTWARE)}


def test_every_assignment_that_is_passed_on_is_there() -> None:
    passed = {name.decode() for name in PASSED} | {"BARRIER"}

    documented = set(re.findall(r"`([A-Z_]+)`", section("NOTIFICATIONS")))

    assert documented >= passed
    assert documented - passed <= {"MAINPID", "NOTIFYACCESS"}


def test_every_variable_that_env_keeps_back_is_there_and_no_other() -> None:
    rows = [line for line in section("ENVIRONMENT OF THE CONTAINER").splitlines() if line.startswith("| ")]

    documented = re.findall(r"`([A-Z_]+\*?)`", "".join(rows))

    assert sorted(documented) == sorted([*HOST_ONLY, *(f"{prefix}*" for prefix in PREFIXES)])


def test_every_deliberate_difference_is_there_and_no_other() -> None:
    lines = section("DIFFERENCES FROM DOCKER-RUN", COMPATIBILITY).splitlines()

    documented = [line for line in lines if line.startswith("- ")]

    assert documented == [f"- `{difference.line}`: {difference.why}" for difference in DIFFERENCES]


def test_the_news_begin_with_this_version() -> None:
    first = next(line for line in PAGES["systemd-docker-news.7"].splitlines() if line.startswith("## VERSION"))

    assert first == f"## VERSION {__version__}"


@pytest.mark.parametrize("page", PAGES)
def test_pages_and_sections_that_a_page_points_to_are_there(page: str) -> None:
    for name, number in re.findall(r"(systemd-docker[a-z-]*)\((\d)\)", PAGES[page]):
        assert f"{name}.{number}" in PAGES
    pointers = re.findall(r"\b[Ss]ee ([A-Z][A-Z -]+[A-Z])\b(?:\s+in\s+(\S+)\((\d)\))?", PAGES[page])
    for title, other, number in pointers:
        assert title in titles(f"{other}.{number}" if other else page), title


@pytest.mark.parametrize("page", [*PAGES, "README"])
def test_programs_are_called_by_their_names(page: str) -> None:
    text = PAGES.get(page) or (ROOT / "README.md").read_text()

    found = re.findall(r"\b(?:who|whoever|nobody|somebody|ours?|we|us|the wrapper|is said|goes on)\b", text)

    assert not found


@pytest.mark.parametrize("page", PAGES)
def test_literal_lines_fit_on_a_terminal(page: str) -> None:
    """man(1) indents them by 11 of 80 columns, and does not break them."""
    fenced = re.findall(r"^```\n(.*?)^```$", PAGES[page], flags=re.MULTILINE | re.DOTALL)

    assert not [line for text in fenced for line in text.splitlines() if len(line) > 69]
