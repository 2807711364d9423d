"""What each docker CLI answered to each case, kept so that comparing needs no docker.

`python -m tests.differential.recorded COMMAND` asks a docker CLI all cases again, on every API version, and writes
expected/VERSION.jsonl: one line per case, the API versions with the same answer together. The reference comes first:
of other CLIs only what differs from it is kept.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.differential.clients import Answer, command_client
from tests.differential.sandbox import case_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

EXPECTED = Path(__file__).parent / "expected"

REFERENCE = "28.2.2"
"""The CLI that we follow where they differ."""

API_VERSIONS = ("1.41", "1.45", "1.50")
"""Engine 20.10, 26.1 and 28.2."""

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
    """Every answer; of another CLI than the reference only those that differ from it are on file."""
    answers = {} if version == REFERENCE else read_answers(REFERENCE)
    for text in (EXPECTED / f"{version}.jsonl").read_text().split("\n")[:-1]:
        entry = json.loads(text)
        for versions, (request, complaint, status) in entry["answers"].items():
            answers.update(((entry["case"], api), Answer(request, complaint, status)) for api in versions.split())
    return answers


def write_answers(version: str, answers: Answers) -> None:
    known = {} if version == REFERENCE else read_answers(REFERENCE)
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
