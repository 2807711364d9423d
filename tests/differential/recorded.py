"""What each docker CLI answered to each case, kept so that comparing needs no docker.

`python -m tests.differential.recorded COMMAND` asks a docker CLI all cases again, on every API version, and writes
expected/VERSION.jsonl: one line per case, the API versions with the same answer together. BASE comes first: of other
CLIs only what differs from it is kept.

Debian's CLIs are 20.10.24, 26.1.5 and 28.5.2. 28.2.2 was Ubuntu's. 29.7.2 was built with Go 1.27 from the tag v29.7.2
of github.com/docker/cli, its vendored dependencies and no patch; no package of it was at hand.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.differential.clients import Answer, command_client
from tests.differential.differences import KEPT
from tests.differential.sandbox import case_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

EXPECTED = Path(__file__).parent / "expected"

BASE = "28.2.2"
"""The CLI of which all answers are on file."""

FOLLOWED = "29.7.2"
"""The CLI that systemd-docker follows where they differ, but for the rows of differences.KEPT."""

API_VERSIONS = ("1.41", "1.45", "1.50")
"""Engine 20.10, 26.1 and 28.2."""

KEPT_CASES = {(line, api) for kept in KEPT for line in kept.lines for api in kept.apis}

Answers = dict[tuple[str, str], Answer]
"""By case and API version."""


def version_of(docker: str) -> str:
    """ "Docker version 20.10.24+dfsg1, build 297e128" -> "20.10.24"."""
    text = subprocess.run([docker, "--version"], capture_output=True, text=True, check=True).stdout
    return text.split()[2].rstrip(",").partition("+")[0]


def ask(docker: str, api: str) -> Mapping[str, Answer]:
    with command_client([docker, "run"], api) as client:
        return {line: client.answer(line) for line in case_lines()}


def read_answers(version: str) -> Answers:
    """Return every answer; of another CLI than BASE only those that differ from it are on file."""
    answers = {} if version == BASE else read_answers(BASE)
    for text in (EXPECTED / f"{version}.jsonl").read_text().split("\n")[:-1]:
        entry = json.loads(text)
        for versions, (request, complaint, status) in entry["answers"].items():
            answers.update(((entry["case"], api), Answer(request, complaint, status)) for api in versions.split())
    return answers


def expected_answers() -> Answers:
    """Return what is expected of systemd-docker."""
    base, followed = read_answers(BASE), read_answers(FOLLOWED)
    return {case: base[case] if case in KEPT_CASES else answer for case, answer in followed.items()}


def write_answers(version: str, answers: Answers) -> None:
    known = {} if version == BASE else read_answers(BASE)
    with (EXPECTED / f"{version}.jsonl").open("w") as file:
        for line in case_lines():
            together: dict[str, str] = {}
            for api in API_VERSIONS:
                answer, reference = answers[line, api], known.get((line, api))
                if reference is None or not answer.agrees_with(reference):
                    text = json.dumps([answer.request, answer.complaint, answer.status], sort_keys=True)
                    together[text] = f"{together[text]} {api}" if text in together else api
            if together:
                entry = {"case": line, "answers": {versions: json.loads(text) for text, versions in together.items()}}
                file.write(json.dumps(entry, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    for command in sys.argv[1:]:
        write_answers(
            version_of(command),
            {(line, api): answer for api in API_VERSIONS for line, answer in ask(command, api).items()},
        )
