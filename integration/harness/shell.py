"""`integration/machine`: a shell or a command in a machine, for experiments."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from integration.harness import cache, nspawn, product, states, vm
from integration.harness.machine import ENVIRONMENT, Machine, Spec, poll
from integration.harness.root import SUITES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

USAGE = """
  integration/machine trixie                       a shell in a fresh machine, which ends with it
  integration/machine trixie docker ps             a command instead
  integration/machine --bind=$PWD --keep=lab trixie  a machine that stays up in the background
  integration/machine lab docker ps                the same one again
  integration/machine --list
  integration/machine --end=lab
"""


def main(argv: Sequence[str]) -> int:
    options = _parse(argv)
    if options.list:
        for name, machine in _kept():
            sys.stdout.write(f"{name}: {machine.spec}, {machine.state}\n")
        return 0
    if options.end:
        return _end(options.end)
    if options.keep:
        return _keep(options)
    for name, machine in _kept():
        if name == options.machine:
            return _enter(machine, options.command)
    with _machine(options) as machine:
        return _enter(machine, options.command)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="integration/machine", epilog=USAGE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--driver", choices=("systemd", "cgroupfs"), default="", help="the engine's cgroup driver")
    parser.add_argument("--hierarchy", choices=("unified", "hybrid", "legacy"), default="unified", help="of cgroups")
    parser.add_argument("--bare", action="store_true", help="without systemd-docker and without images")
    parser.add_argument("--bind", action="append", default=[], metavar="DIRECTORY[:INSIDE]", help="see it inside")
    parser.add_argument("--keep", metavar="NAME", help="leave the machine up in the background under this name")
    parser.add_argument("--end", metavar="NAME", help="end a machine that was kept")
    parser.add_argument("--list", action="store_true", help="show the machines that were kept")
    parser.add_argument("machine", nargs="?", default="trixie", help=f"{', '.join(SUITES)}, or a kept machine's name")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args(argv)
    options.bind = [bind if bind.startswith("/") else os.path.abspath(bind) for bind in options.bind]
    try:
        nspawn.check_binds(options.bind)
    except ValueError as error:
        parser.error(str(error))
    if options.machine not in SUITES and (options.keep or options.machine not in dict(_kept())):
        parser.error(f"'{options.machine}' is neither a suite nor a machine that was kept")
    if options.bind and options.machine in SUITES and SUITES[options.machine].has_kernel:
        parser.error(f"'{options.machine}' has a kernel of its own and cannot see directories of the host")
    return options


@contextlib.contextmanager
def _machine(options: argparse.Namespace) -> Iterator[Machine]:
    spec = Spec(options.machine, options.driver, options.hierarchy)
    if options.bare and SUITES[spec.suite].has_kernel:
        boot: contextlib.AbstractContextManager[Machine] = vm.booted(spec)
    elif options.bare:
        boot = nspawn.booted(spec, binds=options.bind)
    else:
        boot = product.installed(spec, binds=options.bind)
    with boot as machine:
        yield machine


def _enter(machine: Machine, command: Sequence[str]) -> int:
    """Run a command with this terminal: one word is a shell command line, several are a command and its arguments."""
    line = command[0] if len(command) == 1 else shlex.join(command)
    words = ["sh", "-c", line] if command else ["bash", "-l"]
    terminal = {"TERM": os.environ.get("TERM", "dumb")}
    return subprocess.run(machine.entering(words), env=ENVIRONMENT | terminal, check=False).returncode


def _keep(options: argparse.Namespace) -> int:
    """Boot in a child process that outlives this one; SIGTERM ends it."""
    if options.keep in dict(_kept()):
        sys.stderr.write(f"'{options.keep}' is up already\n")
        return 1
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.close(reader)
        return _hold(options, writer)
    os.close(writer)
    with open(reader) as report:
        answer = report.read()
    sys.stdout.write(answer)
    return 0 if answer else 1


def _hold(options: argparse.Namespace, writer: int) -> int:
    """Hold a machine until SIGTERM. Report to writer that it is up; closing it without a report is a failure."""
    os.setsid()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    with _machine(options) as machine:
        _record(machine, options.keep)
        os.write(writer, f"{options.keep}: {machine.spec} is up\n".encode())
        os.close(writer)
        null = os.open(os.devnull, os.O_RDWR)
        for fd in range(3):
            os.dup2(null, fd)
        signal.sigwait({signal.SIGTERM})
    return 0


def _record(machine: Machine, name: str) -> None:
    """Write the file from which _kept() reads the machine."""
    spec = {"suite": machine.spec.suite, "driver": machine.spec.driver, "hierarchy": machine.spec.hierarchy}
    record = {
        "name": name,
        "holder": os.getpid(),
        "launcher": machine.launcher,
        "leader": machine.leader,
        "spec": spec,
    }
    (machine.state / "kept").write_text(json.dumps(record))


def _kept() -> Iterator[tuple[str, Machine]]:
    for path in sorted(states.RUN.glob("*/kept")):
        with (path.parent / "alive").open("ab+") as alive:
            if cache.try_lock(alive):
                continue
        record = json.loads(path.read_text())
        spec = Spec(**record["spec"])
        kind = vm.VirtualMachine if SUITES[spec.suite].has_kernel else Machine
        yield record["name"], kind(path.parent.name, spec, path.parent, record["launcher"], record["leader"])


def _end(name: str) -> int:
    machine = dict(_kept()).get(name)
    if machine is None:
        sys.stderr.write(f"no machine named '{name}' was kept\n")
        return 1
    holder = json.loads((machine.state / "kept").read_text())["holder"]
    os.kill(holder, signal.SIGTERM)
    poll(lambda: not machine.state.exists(), what=f"{name} to end")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
