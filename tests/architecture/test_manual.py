"""The manual page says what the tables say: every option, every flag, every status, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from systemd_docker import cli, errors
from systemd_docker.options.flags import FLAGS
from systemd_docker.options.own import OWN_FLAGS
from systemd_docker.options.pflag import Flag
from systemd_docker.service.notifications.proxy import PASSED
from tests.differential.differences import DIFFERENCES

PAGE = (Path(errors.__file__).parent / "resources/man/systemd-docker.1.md").read_text()


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def test_every_own_option_is_there_and_no_other() -> None:
    documented = re.findall(r"^`--([a-z-]+)`", section("OPTIONS"), flags=re.MULTILINE)

    assert documented == [flag.long for flag in OWN_FLAGS]


@pytest.mark.parametrize("flag", OWN_FLAGS, ids=lambda flag: str(flag.long))
def test_an_options_words_and_its_short_form_are_those_of_the_table(flag: Flag) -> None:
    line = next(line for line in section("OPTIONS").splitlines() if line.startswith(f"`--{flag.long}`"))

    assert (f"`-{flag.short}`" in line) is bool(flag.short)
    assert flag.kind in line


def test_every_flag_of_run_is_there_with_its_field_and_version() -> None:
    rows = [line for line in section("RUN OPTIONS").splitlines() if line.startswith("- `--")]
    expected = []
    for flag in FLAGS:
        names = f"`--{flag.long}`" + (f", `-{flag.short}`" if flag.short else "")
        since = f" (API {flag.api[0]}.{flag.api[1]})" if flag.api != (0, 0) else ""
        expected.append(f"- {names}" + (f": `{flag.field}`{since}" if flag.field else since))

    assert rows == expected


def test_every_command_is_there() -> None:
    documented = re.findall(r"`([a-z-]+)`", "".join(re.findall(r"^`.*$", section("COMMANDS"), flags=re.MULTILINE)))

    assert set(documented) == set(cli.SUBCOMMANDS)


def test_every_status_of_ours_is_there() -> None:
    documented = set(re.findall(r"^\| (\d+) \|", section("EXIT STATUS"), flags=re.MULTILINE))
    classes: list[type[errors.Error]] = [errors.Error, *errors.Error.__subclasses__()]

    assert documented == {str(error.exit_status) for error in classes} | {str(errors.EX_SOFTWARE)}


def test_every_assignment_that_is_passed_on_is_there() -> None:
    passed = {name.decode() for name in PASSED} | {"BARRIER"}

    documented = set(re.findall(r"`([A-Z_]+)`", section("NOTIFICATIONS")))

    assert documented >= passed
    assert documented - passed <= {"MAINPID", "NOTIFYACCESS"}


def test_every_deliberate_difference_is_there_and_no_other() -> None:
    documented = [line for line in section("DIFFERENCES FROM DOCKER-RUN").splitlines() if line.startswith("- ")]

    assert documented == [f"- `{difference.line}`: {difference.why}" for difference in DIFFERENCES]
