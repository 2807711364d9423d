"""Random command lines: flags with the values of all cases, whole, mutilated or of other flags; and their checks."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from collections import defaultdict
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from systemd_docker.errors import UsageError
from systemd_docker.jsonobj import dump
from systemd_docker.options.client import Client
from systemd_docker.options.create_request import create_request
from systemd_docker.options.flags import FLAGS
from systemd_docker.options.own import OwnOptions, parse_own
from systemd_docker.options.pflag import Flag
from systemd_docker.options.run_options import RunOptions, parse_run
from tests.differential import sandbox

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

UNREPRODUCIBLE = frozenset({"disable-content-trust", "cidfile"})
"""For the first docker asks a server in the internet, for the second it makes files anywhere."""

PUNCTUATION = "=:,/.-_\"'[]%+ \t\n0189aAkmgbxµé\u2028"


def _values_in_cases() -> Mapping[str, Sequence[str]]:
    """What the cases give to each flag, good and bad, by the flag's long name."""
    values: dict[str, set[str]] = defaultdict(set)
    shorts = {flag.short: flag.long for flag in FLAGS if flag.short}
    for line in sandbox.case_lines():
        argv = sandbox.read_case(line, "").argv
        for word, after in zip(argv, (*argv[1:], ""), strict=True):
            name, equals, value = word.partition("=")
            long = name[2:] if name.startswith("--") else shorts.get(name[1:], "") if name.startswith("-") else ""
            values[long].add(value if equals else after)
    return {long: sorted(texts) for long, texts in values.items()}


VALUES = _values_in_cases()
EVERY_VALUE = sorted({value for texts in VALUES.values() for value in texts})
IMAGES = ("busybox", "busybox", "busybox", "example.org/a:b", "Bad", "a b", "")


@st.composite
def mutilated(draw: st.DrawFn, texts: Sequence[str]) -> str:
    """One of the texts with a few characters taken out, put in or doubled."""
    text = draw(st.sampled_from(texts))
    for _ in range(draw(st.integers(0, 3))):
        at, length = draw(st.integers(0, len(text))), draw(st.integers(0, 2))
        text = text[:at] + draw(st.text(PUNCTUATION, max_size=2)) + text[at + length :]
    return text


@st.composite
def flag_words(draw: st.DrawFn, flag: Flag) -> list[str]:
    """One use of a flag, in any of the ways to write it."""
    texts = VALUES.get(flag.same_as or flag.long) or [""]
    value = draw(st.one_of(st.sampled_from(texts), mutilated(texts), mutilated(EVERY_VALUE)))
    ways = [[f"--{flag.long}={value}"], [f"--{flag.long}", value] if flag.kind else [f"--{flag.long}"]]
    if flag.short:
        ways += [[f"-{flag.short}{value}"], [f"-{flag.short}={value}"], [f"-{flag.short}", value]]
    return draw(st.sampled_from(ways))


def command_lines(*, most_flags: int = 4) -> st.SearchStrategy[list[str]]:
    flags = st.sampled_from([flag for flag in FLAGS if flag.long not in UNREPRODUCIBLE])
    uses = st.lists(flags.flatmap(flag_words), min_size=1, max_size=most_flags)
    images = st.sampled_from(IMAGES).map(lambda image: [image])
    rest = st.lists(st.sampled_from(["sh", "-c", "--rm", "--", ""]), max_size=2)
    return st.tuples(uses.map(itertools.chain.from_iterable), images, rest).map(
        lambda parts: [*itertools.chain(*parts)]
    )


def random_words() -> st.SearchStrategy[list[str]]:
    """Hardly ever a command line."""
    words = st.one_of(
        st.text(max_size=6),
        st.text("-=ditpevmh8:", max_size=8),
        st.sampled_from([f"--{flag.long}" for flag in FLAGS]),
        mutilated(EVERY_VALUE),
    )
    return st.lists(words, max_size=6)


def as_case(argv: Sequence[str]) -> str:
    """A line for sandbox.read_case()."""
    return json.dumps(["--", *argv]) if not argv or not argv[0] else json.dumps(list(argv))


def is_parsed(argv: Sequence[str]) -> bool:
    try:
        parse_run(argv)
    except UsageError:
        return False
    return True


def _read_file(name: str) -> bytes:
    if name not in sandbox.FILES:
        raise FileNotFoundError(2, os.strerror(2), name)
    return sandbox.FILES[name]


def check_random_words(argv: list[str]) -> None:
    """Assert that reading random words ends in options or in a UsageError."""
    with contextlib.suppress(UsageError):
        assert isinstance(parse_run(argv), RunOptions)
    with contextlib.suppress(UsageError):
        assert isinstance(parse_own(argv)[0], OwnOptions)


def check_random_flags(argv: list[str]) -> None:
    """Assert that reading a command line ends in a request or in a UsageError."""
    client = Client(sandbox.ENVIRONMENT, "/srv", _read_file, {}, (1, 50), "/run/docker.sock")
    with contextlib.suppress(UsageError):
        assert dump(create_request(parse_run(argv), client, plain=True).body)
