"""Every case of tests/differential/cases/ gets the answer that the docker CLI gave to it, see recorded.py there."""

from __future__ import annotations

import pytest

from systemd_docker.options.flags import FLAGS
from systemd_docker.options.pflag import Flag
from tests.differential import recorded, sandbox
from tests.differential.clients import our_answer
from tests.differential.differences import DIFFERENCES, Difference

ANSWERS = recorded.expected_answers()

ASKED = [line for line in sandbox.case_lines() if (line, recorded.API_VERSIONS[0]) in ANSWERS]


@pytest.mark.parametrize("api", recorded.API_VERSIONS)
def test_we_ask_for_what_docker_asks_for(api: str) -> None:
    wrong = []
    for line in ASKED:
        docker, ours = ANSWERS[line, api], our_answer(line, api)
        if docker.request != ours.request:
            wrong.append((line, docker.request, ours.request or ours.complaint))

    assert not wrong


@pytest.mark.parametrize("api", recorded.API_VERSIONS)
def test_we_refuse_what_docker_refuses(api: str) -> None:
    """In words of our own, but for the reason: of one line at most, and never without one."""
    wrong = []
    for line in ASKED:
        docker, ours = ANSWERS[line, api], our_answer(line, api)
        if docker.refused != ours.refused or bool(ours.complaint) != ours.refused:
            wrong.append((line, docker.complaint, ours.complaint))

    assert not wrong


def test_what_is_kept_of_an_older_cli_differs_from_the_newest() -> None:
    base, followed = recorded.read_answers(recorded.BASE), recorded.read_answers(recorded.FOLLOWED)

    assert not [case for case in sorted(recorded.KEPT_CASES) if base[case].agrees_with(followed[case])]


def test_every_case_has_been_put_to_docker() -> None:
    assert [*sandbox.case_lines()] == ASKED, "run python -m tests.differential.recorded docker"


@pytest.mark.parametrize("api", recorded.API_VERSIONS)
def test_there_are_enough_cases(api: str) -> None:
    answers = [answer for (_, version), answer in ANSWERS.items() if version == api]

    assert sum(answer.accepted for answer in answers) >= 400
    assert sum(answer.refused for answer in answers) >= 150


@pytest.mark.parametrize("row", DIFFERENCES, ids=lambda row: row.line)
def test_a_difference_is_as_the_table_has_it(row: Difference) -> None:
    ours, plain = our_answer(row.line, row.api, plain=False), our_answer(row.line, row.api)

    assert ours.accepted == row.ours
    assert ours.agrees_with(plain) == row.plain


def _accepted_words() -> set[str]:
    """Every flag as it is typed in an accepted case: "--rm", "-p"."""
    words: set[str] = set()
    for line in ASKED:
        if any(ANSWERS[line, api].accepted for api in recorded.API_VERSIONS):
            argv = sandbox.read_case(line, "/").argv
            words.update(word.partition("=")[0] for word in argv if word.startswith("-"))
            words.update(word[:2] for word in argv if word.startswith("-"))
    return words


ACCEPTED_WORDS = _accepted_words()


@pytest.mark.parametrize("flag", [flag for flag in FLAGS if not flag.system], ids=lambda flag: flag.long)
def test_every_flag_and_every_short_is_in_an_accepted_case(flag: Flag) -> None:
    assert f"--{flag.long}" in ACCEPTED_WORDS
    assert not flag.short or f"-{flag.short}" in ACCEPTED_WORDS
