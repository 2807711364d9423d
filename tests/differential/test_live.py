"""What takes its time: a real docker CLI is asked here and now, and ten thousand random vectors are read."""

from __future__ import annotations

import contextlib
import itertools
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings

from tests.differential import clis, generated, recorded, sandbox
from tests.differential.clients import CommandClient, command_client, our_answer
from tests.differential.differences import DIFFERENCES, Difference
from tests.differential.generated import check_random_flags, check_random_words

if TYPE_CHECKING:
    from collections.abc import Iterator

EVERY = 5
"""A start of systemd-docker takes six times as long as one of docker here, so it gets each fifth case."""

pytestmark = [pytest.mark.differential, pytest.mark.timeout(600)]

CLIS = {recorded.version_of(command): command for command in reversed([*clis.commands()])}
RECORDED = sorted(path.stem for path in recorded.EXPECTED.glob("*.jsonl"))


@contextlib.contextmanager
def docker(version: str, api: str) -> Iterator[CommandClient]:
    if version not in CLIS:
        pytest.skip(f"no docker CLI {version} here; python -m tests.differential.clis fetches Debian's")
    with command_client([CLIS[version], "run"], api) as client:
        yield client


@pytest.mark.parametrize("api", recorded.API_VERSIONS)
@pytest.mark.parametrize("version", RECORDED)
def test_the_recorded_answers_are_what_the_docker_cli_says(version: str, api: str) -> None:
    answers = recorded.read_answers(version)

    with docker(version, api) as client:
        wrong = {
            line: (answer, client.answer(line))
            for (line, its_api), answer in answers.items()
            if its_api == api and not answer.agrees_with(client.answer(line))
        }

    assert not wrong


@pytest.mark.parametrize("api", recorded.API_VERSIONS)
def test_random_command_lines_mean_the_same_to_docker(api: str) -> None:
    """To the CLI that is followed, or to the one that differences.KEPT keeps to."""
    with docker(recorded.FOLLOWED, api) as client, docker(recorded.BASE, api) as base:

        @settings(max_examples=1500, suppress_health_check=list(HealthCheck))
        @given(generated.command_lines())
        def agrees(argv: list[str]) -> None:
            line = generated.as_case(argv)
            answer, ours = client.answer(line), our_answer(line, api)
            if "panic" in answer.complaint or answer.agrees_with(ours):
                return

            assert ours.agrees_with(base.answer(line)), answer

        agrees()


@pytest.mark.parametrize("row", [row for row in DIFFERENCES if row.docker is not None], ids=lambda row: row.line)
def test_docker_is_different_where_the_table_says_so(row: Difference) -> None:
    with docker(recorded.FOLLOWED, row.api) as client:
        answer = client.answer(row.line)

    assert answer.accepted == row.docker
    assert not answer.agrees_with(our_answer(row.line, row.api, plain=False))


@pytest.mark.parametrize("api", recorded.API_VERSIONS)
def test_the_whole_of_systemd_docker_asks_for_the_same(api: str) -> None:
    ask = [sys.executable, "-P", "-m", "systemd_docker", "--plain-request", "--log-level=warning", "run"]
    environ = {"PYTHONPATH": str(Path(__file__).parents[2])}
    answers = recorded.expected_answers()

    with command_client(ask, api, environ) as client:
        wrong = {}
        for line in itertools.islice(sandbox.case_lines(), 0, None, EVERY):
            answer, expected = client.answer(line), answers[line, api]
            if not answer.agrees_with(expected) or (answer.refused and answer.status != 125):
                wrong[line] = (answer, expected)

    assert not wrong


def test_ten_thousand_random_vectors_are_read_or_refused() -> None:
    many = settings(max_examples=10_000, suppress_health_check=list(HealthCheck))

    many(given(generated.random_words())(check_random_words))()
    many(given(generated.command_lines())(check_random_flags))()
