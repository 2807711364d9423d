"""The world that both clients see in every case: the files, the environment and the docker config.

A case is one line of tests/differential/cases/*.txt: the words of a docker-run command line as a shell splits them,
or, for what a shell cannot well spell, a JSON list of them. Words of the form NAME=value in front set the
environment; DOCKER_CONFIG names one of CONFIGS. "@/" stands for the current directory. Empty lines and lines that
begin with "#" are no cases.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from systemd_docker.jsonobj import JsonValue

CASES = Path(__file__).parent / "cases"

ENVIRONMENT = {"HOME": "/home/user", "FOO": "foo", "EMPTY": "", "LANG": "C.UTF-8"}

FILES: dict[str, bytes] = {
    "env": b'A=1\n# comment\n\n  B=2 \nA=3\nFOO\nNOSUCH\nEMPTY\nX="quoted"\r\nY=a=b # no comment\n',
    "bom.env": b"\xef\xbb\xbfA=1\nB=2\n",
    "late-bom.env": b"A=1\n\xef\xbb\xbfB=2\n",
    "no-newline.env": b"A=1",
    "empty.env": b"",
    "blank.env": b" \n\t\n   # indented comment\n \xc2\xa0C=1\n\x0bD=2\nFOO \n",
    "nameless.env": b"A=1\n=x\n",
    "spaced.env": b"A B=x\n",
    "tabbed.env": b"\tA\t=x\n",
    "latin1.env": b"A=1\nB\xff=x\n",
    "utf16.env": "A=1\n".encode("utf-16"),
    "long.env": b"A=" + b"x" * 70000 + b"\n",
    "longest.env": b"A=" + b"x" * 65533 + b"\n",
    "crlf.env": b"A=1\r\nB=2\r\n\r\n",
    "docker-config.env": b"DOCKER_CONFIG=/mine\n",
    "seccomp.json": b'{ "a" : [1.0, 1e5 , "x\\u00e9 \\/ y \\" z"],\n\t"b\\\\" : {} }\n',
    "unicode.json": '{"a": "<&>\u2028é"}'.encode(),
    "scalar.json": b' "a b" ',
    "broken.json": b"{ a }",
    "two.json": b"{} x",
    "empty.json": b"",
    "nan.json": b'{"a": NaN}',
    "octal.json": b'{"a": 01}',
    "tab.json": b'{"a": "\t"}',
    "old.cid": b"",
    "directory/file": b"",
}

CONFIGS: Mapping[str, JsonValue] = {
    "none": {},
    "proxies": {
        "proxies": {
            "default": {
                "httpProxy": "http://proxy:3128",
                "httpsProxy": "http://proxy:3129",
                "noProxy": "localhost",
                "ftpProxy": "",
                "allProxy": "socks://proxy",
            }
        }
    },
    "host-proxy": {"proxies": {"default": {"httpProxy": "http://default"}, "unix://@SOCKET@": {"noProxy": "x"}}},
    "other-proxy": {"proxies": {"tcp://elsewhere:2375": {"httpProxy": "http://elsewhere"}}},
    "credentials": {
        "auths": {"https://index.docker.io/v1/": {"auth": "dXNlcjpwYXNzd29yZA=="}},
        "proxies": {"default": {"noProxy": "x"}},
    },
    "no-credentials": {"auths": {}},
    "detach-keys": {"detachKeys": "ctrl-x"},
}


@dataclass(frozen=True)
class Case:
    """One command line and the client's side of it."""

    line: str
    argv: tuple[str, ...]
    environ: Mapping[str, str]
    config: str


def read_case(line: str, directory: str) -> Case:
    """A case for a client whose current directory is this one."""
    words = json.loads(line) if line.startswith('["') else shlex.split(line)
    environ = dict(ENVIRONMENT)
    while words and re.match(r"[A-Z_]+=", words[0]):
        name, _, value = words.pop(0).partition("=")
        environ[name] = value
    config = environ.pop("DOCKER_CONFIG", "none")
    return Case(line, tuple(word.replace("@/", f"{directory}/") for word in words), environ, config)


def case_lines() -> Iterator[str]:
    for file in sorted(CASES.glob("*.txt")):
        for line in file.read_text().split("\n"):
            if line.strip() and not line.startswith("#"):
                yield line


def populate(directory: Path) -> None:
    """Make the files."""
    for name, content in FILES.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_bytes(content)


def config_of(name: str, socket_path: str) -> JsonValue:
    config: JsonValue = json.loads(json.dumps(CONFIGS[name]).replace("@SOCKET@", socket_path))
    return config
