"""A booted machine with systemd and an engine inside, as tests use it: commands, files, units, the journal.

Commands enter its namespaces through nsenter(1), in about 15 ms, so no server has to run inside. nspawn.py boots it;
vm.py has the subclass for machines with a kernel of their own. What tests ask of units and containers is in words/.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from integration.harness import cgroups
from integration.harness.polling import poll as poll  # tests import it from here, with Machine
from integration.harness.readiness import notify_socket, wait_until_ready
from integration.harness.root import SUITES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Literal

    from integration.harness.cgroups import Hierarchy
    from integration.harness.root import Driver

COMMAND_TIMEOUT_SEC = 60

GRACE_SEC = 30
"""How much later than timeout(1) inside, the host ends a command: for machines that hang."""

UNIT_DIRECTORY = "/etc/systemd/system"

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
}

# nsenter --cgroup changes only the view of the cgroup tree; this shell moves the command into the machine's cgroups.
_ENTER = 'cgroups=$1; shift; for cgroup in $cgroups; do echo 0 >"$cgroup/cgroup.procs"; done; exec nsenter "$@"'

_TIMED_OUT = 124
"""The exit status of timeout(1) when time ran out."""


@dataclass(frozen=True, slots=True)
class Spec:
    """Which machine: a suite, and what differs from that suite's defaults.

    driver:    the engine's cgroup driver, "" for the suite's.
    hierarchy: "unified" is cgroup v2 alone (as much of it as the host has: maybe without controllers), "legacy" is
               v1 alone, "hybrid" is v1 with systemd's own tree on v2 beside it and needs a host that has it so.
    images:    "containerd" where containerd stores the engine's images, the default of new installations since 29.
    """

    suite: str
    driver: Driver | Literal[""] = ""
    hierarchy: Hierarchy = "unified"
    images: Literal["", "containerd"] = ""

    @property
    def cgroup_driver(self) -> Driver:
        return self.driver or SUITES[self.suite].driver

    def __str__(self) -> str:
        parts = (self.suite, self.driver, self.hierarchy if self.hierarchy != "unified" else "", self.images)
        return "-".join(part for part in parts if part)


class CommandError(AssertionError):
    """A command in a machine failed; the message shows it and both of its streams."""

    def __init__(self, command: str, result: subprocess.CompletedProcess[str]) -> None:
        super().__init__(f"{command!r} exited {result.returncode}\n{result.stdout}\n{result.stderr}")
        self.exit_status = result.returncode
        self.stderr = result.stderr


@dataclass(slots=True)
class Machine:
    """One booted machine.

    state:    the host's directory for this machine: its console is in there.
    launcher: the host's process that ends with it.
    leader:   its PID 1, as the host sees it; it changes with each reboot.
    units:    what install_unit() installed; harness.audit removes it.
    announced, tolerated: see expect_journal() and tolerate_journal().
    journal_cursor: where the journal was when the running test began.
    slowness: the factor by which timeouts of run(), the audit and words.waiting are longer than on other machines.
    """

    slowness: ClassVar[int] = 1

    name: str
    spec: Spec
    state: Path
    launcher: int
    leader: int = 0
    units: list[str] = field(default_factory=list)
    announced: list[str] = field(default_factory=list)
    tolerated: list[str] = field(default_factory=list)
    journal_cursor: str = ""

    def run(
        self, command: str, *, stdin: bytes = b"", as_unit: bool = False, timeout_sec: int = COMMAND_TIMEOUT_SEC
    ) -> str:
        """Run a shell command line inside; return its stdout, stripped, or fail showing both streams.

        as_unit: as a transient service (its own cgroup, $JOURNAL_STREAM and so on), in about 60 ms.
        """
        result = self.attempt(command, stdin=stdin, as_unit=as_unit, timeout_sec=timeout_sec)
        if result.returncode != 0:
            raise CommandError(command, result)
        return result.stdout.strip()

    def attempt(
        self, command: str, *, stdin: bytes = b"", as_unit: bool = False, timeout_sec: int = COMMAND_TIMEOUT_SEC
    ) -> subprocess.CompletedProcess[str]:
        """Like run(), for commands that may fail: the result has returncode, stdout and stderr."""
        shell = ["sh", "-euc", command]
        timeout_sec *= self.slowness
        if as_unit:
            limit = f"--property=RuntimeMaxSec={timeout_sec}"
            shell = ["systemd-run", "--quiet", "--wait", "--pipe", "--collect", limit, "--", *shell]
        argv = self.entering(["timeout", "--kill-after=5", str(timeout_sec), *shell])
        deadline = timeout_sec + GRACE_SEC
        result = subprocess.run(
            argv, input=stdin, capture_output=True, env=ENVIRONMENT, check=False, timeout=deadline
        )
        if result.returncode == _TIMED_OUT:
            raise TimeoutError(
                f"{command!r} did not end within {timeout_sec} s\n{result.stdout!r}\n{result.stderr!r}"
            )
        stdout, stderr = (stream.decode(errors="replace") for stream in (result.stdout, result.stderr))
        return subprocess.CompletedProcess(command, result.returncode, stdout, stderr)

    def entering(self, argv: Sequence[str]) -> list[str]:
        """Return the host's command line that runs argv inside."""
        namespaces = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup")
        directories = " ".join(map(str, self._command_cgroups()))
        return ["sh", "-euc", _ENTER, "enter", directories, f"--target={self.leader}", *namespaces, "--", *argv]

    def _command_cgroups(self) -> Iterator[Path]:
        """Yield the cgroup for commands in each hierarchy of the machine, beside those that its systemd manages."""
        for controllers, path in cgroups.memberships(str(self.leader)):
            if path.endswith("/init.scope"):
                directory = cgroups.mount(controllers) / path.removesuffix("/init.scope").lstrip("/") / "commands"
                directory.mkdir(exist_ok=True)
                yield directory

    def reboot(self, *, reset: bool = False) -> None:
        """Reboot, and return when the machine is up again. Its files stay.

        reset: at once, like the reset button of hardware: no unit is stopped first.
        """
        with notify_socket(self.state / "notify") as notify:
            self.attempt("systemctl reboot --force --force" if reset else "systemctl reboot")
            self.leader = wait_until_ready(notify, self.launcher)

    def show(self, unit: str, prop: str) -> str:
        """Return one property of a unit, as systemctl(1) prints it."""
        return self.run(f"systemctl show --value --property={prop} {shlex.quote(unit)}")

    def install_unit(self, name: str, text: str) -> None:
        """Write a unit file ("web.service") or drop-in ("web.service.d/10-limit.conf") and reload."""
        self.write(f"{UNIT_DIRECTORY}/{name}", text)
        self.units.append(name)
        self.run("systemctl daemon-reload")

    def write(self, path: str, text: str, *, mode: str = "644") -> None:
        """Write a file inside, making its directories."""
        target = shlex.quote(path)
        self.run(f"mkdir -p $(dirname {target}); cat >{target}; chmod {mode} {target}", stdin=text.encode())

    def copy(self, source: Path, target: str) -> None:
        """Copy a file, or a directory's contents, from the host to target, a path inside."""
        place = shlex.quote(target)
        if source.is_dir():
            tree = subprocess.run(["tar", "-C", source, "-c", "."], check=True, stdout=subprocess.PIPE).stdout
            self.run(f"mkdir -p {place}; tar -C {place} -x", stdin=tree)
        else:
            mode = oct(source.stat().st_mode & 0o777)[2:]
            content = source.read_bytes()
            self.run(f"mkdir -p $(dirname {place}); cat >{place}; chmod {mode} {place}", stdin=content)

    def path(self, inside: str) -> Path:
        """Return the host's path of a file inside. An absolute symbolic link in it would lead to the host's files."""
        return Path(f"/proc/{self.leader}/root/{inside.lstrip('/')}")

    def journal(self, *matches: str, after: str = "") -> list[dict[str, str]]:
        """Return journal records as journalctl(1) selects them; fields are text, even if they are not valid UTF-8.

        after: a cursor; the default is where this test began.
        """
        # Not --after-cursor=: systemd 252 then skips the first record that matches, wherever it is.
        start = [f"--cursor={cursor}"] if (cursor := after or self.journal_cursor) else []
        words = shlex.join(["journalctl", "--all", "--no-pager", "--output=json", *start, *matches])
        records = [_text_fields(json.loads(line)) for line in self.run(words).splitlines()]
        return [record for record in records if record["__CURSOR"] != cursor]

    def expect_journal(self, pattern: str) -> None:
        """Expect a line of the product at warning or above: this test fails if the journal lacks it at the end.

        pattern: a regular expression, found anywhere in the line.
        """
        self.announced.append(pattern)

    def tolerate_journal(self, pattern: str) -> None:
        """Like expect_journal(), for a line that may or may not be there."""
        self.tolerated.append(pattern)

    def console(self) -> str:
        """Return the console's text, without escape sequences, empty lines, and nspawn's warning about READY=1."""
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", (self.state / "console").read_text(errors="replace"))
        # nspawn's notifications are read only while the machine boots, see readiness.py.
        lines = (line for line in text.splitlines() if line and "readiness notification" not in line)
        return "\n".join(lines)


def _text_fields(record: dict[str, object]) -> dict[str, str]:
    """Join journalctl's lists: a field that is not UTF-8 is a list of bytes, one that occurs twice one of values."""

    def text(value: object) -> str:
        if isinstance(value, list) and all(isinstance(item, int) for item in value):
            return bytes(value).decode(errors="replace")
        return "\n".join(map(text, value)) if isinstance(value, list) else str(value)

    return {key: text(value) for key, value in record.items()}
