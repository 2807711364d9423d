"""Whatever is typed, reading it ends in a request or in a UsageError."""

from __future__ import annotations

import contextlib
import os

from hypothesis import HealthCheck, given, settings

from systemd_docker.errors import UsageError
from systemd_docker.jsonobj import dump
from systemd_docker.options.create_request import Client, create_request
from systemd_docker.options.own import OwnOptions, parse_own
from systemd_docker.options.run_options import RunOptions, parse_run
from tests.differential import generated, sandbox


def read_file(name: str) -> bytes:
    if name not in sandbox.FILES:
        raise FileNotFoundError(2, os.strerror(2), name)
    return sandbox.FILES[name]


def check_random_words(argv: list[str]) -> None:
    with contextlib.suppress(UsageError):
        assert isinstance(parse_run(argv), RunOptions)
    with contextlib.suppress(UsageError):
        assert isinstance(parse_own(argv)[0], OwnOptions)


def check_random_flags(argv: list[str]) -> None:
    client = Client(sandbox.ENVIRONMENT, "/srv", read_file, {}, (1, 50), "/run/docker.sock")
    with contextlib.suppress(UsageError):
        assert dump(create_request(parse_run(argv), client, plain=True).body)


FEW = settings(max_examples=150, suppress_health_check=list(HealthCheck))

test_random_words_are_read_or_refused = FEW(given(generated.random_words())(check_random_words))
test_random_flags_are_asked_for_or_refused = FEW(given(generated.command_lines())(check_random_flags))
