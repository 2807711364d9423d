"""systemd reads unit files and drop-ins as the product's sd.unit_file and generator.load_path do."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

import pytest

from systemd_docker.generator.load_path import drop_ins_of, read_load_path
from systemd_docker.sd import unit_file

if TYPE_CHECKING:
    from integration.harness.machine import Machine

pytestmark = pytest.mark.integration

PRINT_ARGUMENTS = "import json, sys; print(json.dumps(sys.argv[1:]))"

COMMAND_LINES = [
    "a b  c",
    "'a b' \"c d\" ''",
    "--env=A='b c'd \"e\"f",
    r"a\sb \tc \\ \" \' 'it\'s'",
    r"\x41\102\u00e4\U0001F40B \xc3\xa4 \303\244",
    r"\x4 \xzz \u12 \q \400 \x00",
    r"a \; ';' ;b \;c",
    "a \\\n   b\\\n# a comment\nc",
    "a\u00a0b\x0bc ä",
]

LOAD_PATH = ("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system")

DROP_INS = [
    "/etc/systemd/system/a-b@.service.d/1.conf",
    "/etc/systemd/system/a-b@c.service.d/2.conf",
    "/etc/systemd/system/a-.service.d/3.conf",
    "/etc/systemd/system/a-@.service.d/4.conf",
    "/run/systemd/system/a-b@c.service.d/4.conf",
    "/run/systemd/system/a-b@.service.d/5.conf",
    "/run/systemd/system/service.d/5.conf",
    "/etc/systemd/system/service.d/6.conf",
    "/usr/lib/systemd/system/a-b@c.service.d/6.conf",
    "/usr/lib/systemd/system/a-b@c.service.d/7.conf",
    "/etc/systemd/system/a-b@.service.d/7.conf",
    "/run/systemd/system/a-@c.service.d/0.conf",
    "/etc/systemd/system/a-.service.d/0.conf",
    "/etc/systemd/system/a-@.service.d/9.conf",
    "/etc/systemd/system/a-.service.d/9.conf",
    "/run/systemd/system/a-b@c.service.d/.hidden.conf",
    "/run/systemd/system/a-b@c.service.d/8.conf~",
]


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_systemd_splits_command_lines_as_sd_unit_file_does(machine: Machine, line: str) -> None:
    program = f"/usr/bin/python3 -c '{PRINT_ARGUMENTS}'"
    text = f"[Service]\nType=oneshot\nStandardOutput=truncate:/run/words\nExecStart={program} {line}\n"
    machine.install_unit("words.service", text)

    machine.run("systemctl start words.service")

    (value,) = unit_file.parse(text).values("Service", "ExecStart")
    (command,) = unit_file.parse_commands(value)
    assert json.loads(machine.run("cat /run/words; rm /run/words")) == list(command.arguments[2:])


def test_systemd_reads_drop_ins_in_the_order_of_load_path(machine: Machine) -> None:
    machine.install_unit("a-b@.service", "[Service]\nExecStart=/bin/true\n")
    for path in DROP_INS:
        machine.write(path, "[Service]\nNice=1\n")
    machine.run("systemctl daemon-reload")

    shown = machine.show("a-b@c.service", "DropInPaths").split()

    root = str(machine.path("/")).rstrip("/")
    load_path = read_load_path([f"{root}{directory}" for directory in LOAD_PATH])
    read = [drop_in.path.removeprefix(root) for drop_in in drop_ins_of(load_path, "a-b@c.service")]
    remove = (
        f"rm {shlex.join(DROP_INS)}; rmdir --ignore-fail-on-non-empty $(dirname {shlex.join(DROP_INS)} | sort -u)"
    )
    machine.run(f"{remove}; systemctl daemon-reload")
    assert read == shown
