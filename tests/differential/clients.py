"""The two clients that are compared: a command that talks to a recording engine, and our own reading in process.

Both answer a case with an Answer in the same form, so that comparing them is `==`.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import posixpath
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from systemd_docker.errors import UsageError
from systemd_docker.jsonobj import dump
from systemd_docker.options.client import Client
from systemd_docker.options.create_request import create_request
from systemd_docker.options.run_options import parse_run
from tests.differential import sandbox
from tests.differential.meaning import complaint, meaning
from tests.fakes.recorder import Recorder, Script, recording

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from systemd_docker.jsonobj import JsonValue

TIMEOUT_SEC = 20

DIRECTORY = "/client/here"
SOCKET_PATH = "/client/engine.sock"
"""What answers show for the directory and the socket that a client really had."""


@dataclass(frozen=True)
class Answer:
    """What a client makes of a command line.

    request:   name, platform and meaning of the create request; None if it made none.
    complaint: the core of its message where it refused.
    status:    its exit status where it refused, 0 where it only helped; our own reading in process has always 125.
    """

    request: JsonValue
    complaint: str = ""
    status: int = 0

    @property
    def accepted(self) -> bool:
        return self.request is not None

    @property
    def refused(self) -> bool:
        return self.request is None and self.status != 0

    def agrees_with(self, other: Answer) -> bool:
        """Whether both ask for the same, or both refuse, whatever they say."""
        return self.request == other.request and self.refused == other.refused


@dataclass(frozen=True)
class CommandClient:
    """A command that takes a docker-run command line, in a directory of its own, with a recording engine."""

    command: Sequence[str]
    directory: Path
    state: Path
    api: str
    recorder: Recorder
    environ: Mapping[str, str]

    @property
    def socket_path(self) -> str:
        return str(self.state / "engine.sock")

    def answer(self, line: str) -> Answer:
        case = sandbox.read_case(line, str(self.directory))
        config = json.dumps(sandbox.config_of(case.config, self.socket_path))
        (self.state / "config.json").write_text(config)
        environ = {
            "PATH": os.environ["PATH"],
            "DOCKER_HOST": f"unix://{self.socket_path}",
            "DOCKER_CONFIG": str(self.state),
            **self.environ,
            **case.environ,
        }
        self.recorder.forget()
        result = subprocess.run(
            [*self.command, *case.argv],
            cwd=self.directory,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=TIMEOUT_SEC,
        )
        created = self.recorder.created()
        if created is not None:
            query = {"name": created.query.get("name", ""), "platform": created.query.get("platform", "")}
            assert not isinstance(created.body, bytes)
            return self._portable(Answer({**query, "body": meaning(created.body)}))
        return self._portable(Answer(None, complaint(result.stderr.decode(errors="replace")), result.returncode))

    def _portable(self, answer: Answer) -> Answer:
        """Where a test happens to run is no part of the answer."""
        text = json.dumps([answer.request, answer.complaint])
        request, words = json.loads(
            text.replace(str(self.directory), DIRECTORY)
            .replace(str(self.directory.parent), posixpath.dirname(DIRECTORY))
            .replace(self.socket_path, SOCKET_PATH)
        )
        return Answer(request, words, answer.status)


@contextlib.contextmanager
def command_client(
    command: Sequence[str], api: str, environ: Mapping[str, str] | None = None
) -> Iterator[CommandClient]:
    """A client with an engine of this API version that refuses every create, so that nothing has to be run.

    environ: what the command needs besides a case's own.
    """
    with tempfile.TemporaryDirectory(prefix="case-") as name:
        root = Path(name).resolve()
        directory, state = root / "cwd" / "here", root / "state"
        directory.mkdir(parents=True)
        state.mkdir()
        sandbox.populate(directory)
        with recording(state / "engine.sock", Script(api=api, create_refusal=(400, "recorded"))) as recorder:
            yield CommandClient(command, directory, state, api, recorder, environ or {})


def our_answer(line: str, api: str, *, plain: bool = True) -> Answer:
    """What systemd_docker.options makes of a case."""
    case = sandbox.read_case(line, DIRECTORY)
    config = sandbox.config_of(case.config, SOCKET_PATH)
    assert isinstance(config, dict)
    major, _, minor = api.partition(".")
    client = Client(case.environ, DIRECTORY, _read_file, config, (int(major), int(minor)), SOCKET_PATH)
    try:
        options = parse_run(case.argv)
        if options.switch("help"):
            return Answer(None)
        made = create_request(options, client, plain=plain)
    except UsageError as error:
        return Answer(None, complaint(str(error)), error.exit_status)
    # Through JSON and back, as on the wire: there is no tuple, and no byte that is not UTF-8.
    body = json.loads(dump(made.body))
    return Answer({"name": made.name, "platform": made.platform, "body": meaning(body)})


def _read_file(name: str) -> bytes:
    path = posixpath.relpath(posixpath.join(DIRECTORY, name), DIRECTORY)
    if path in sandbox.FILES and not name.endswith("/"):
        return sandbox.FILES[path]
    if any(path.startswith(f"{file}/") for file in sandbox.FILES) or (path in sandbox.FILES and name.endswith("/")):
        raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), name)
    is_directory = path in (".", "..", "../..") or any(file.startswith(f"{path}/") for file in sandbox.FILES)
    error = errno.EISDIR if name and is_directory else errno.ENOENT
    raise OSError(error, os.strerror(error), name)
