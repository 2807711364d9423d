"""The journal of a machine since the running test began."""

from __future__ import annotations

from dataclasses import dataclass

from integration.harness.machine import Machine, poll
from integration.words.waiting import wait_for


@dataclass(frozen=True, slots=True)
class Journal:
    """The machine's journal since the test began."""

    machine: Machine

    def records(self, unit_name: str, identifier: str = "") -> list[dict[str, str]]:
        """What it has of one unit, of one SYSLOG_IDENTIFIER= or of all."""
        self.machine.run("journalctl --sync")
        return self.machine.journal(f"--unit={unit_name}", *([f"--identifier={identifier}"] if identifier else []))

    def said_by_us(self) -> list[dict[str, str]]:
        """Our own lines, also those of a process that ended before journald could look up its unit."""
        self.machine.run("journalctl --sync")
        return self.machine.journal("--identifier=systemd-docker")

    def lines(self, unit_name: str, identifier: str = "") -> list[str]:
        return [record["MESSAGE"] for record in self.records(unit_name, identifier)]


def records(machine: Machine, identifier: str) -> list[dict[str, str]]:
    machine.run("journalctl --sync")
    return machine.journal(f"--identifier={identifier}")


def lines(machine: Machine, identifier: str = "web") -> list[str]:
    """What the payload, or another identifier, wrote since the test began."""
    return [record["MESSAGE"] for record in records(machine, identifier)]


def chosen(machine: Machine) -> str:
    """The way that the wrapper says it went, a moment after it has said READY."""

    def way() -> str:
        return " ".join(lines(machine, "systemd-docker")).rpartition("adoption ")[2].partition(",")[0]

    return wait_for(machine, way, "the wrapper to say how it went")


def answer(machine: Machine) -> str:
    """What a payload of ON_HUP says when it is asked."""
    machine.run("docker kill --signal=HUP web")
    poll(lambda: "done" in lines(machine), what="the payload's answer")
    return "\n".join(lines(machine))
