"""The journal of a machine since the running test began."""

from __future__ import annotations

from dataclasses import dataclass

from integration.harness.machine import Machine, poll
from integration.words.waiting import wait_for


@dataclass(frozen=True, slots=True)
class Journal:
    """The same by unit, see the fixture `journal`."""

    machine: Machine

    def records(self, unit_name: str, identifier: str = "") -> list[dict[str, str]]:
        """Return the records of one unit, of one SYSLOG_IDENTIFIER= or of all."""
        self.machine.run("journalctl --sync")
        return self.machine.journal(f"--unit={unit_name}", *([f"--identifier={identifier}"] if identifier else []))

    def own_records(self) -> list[dict[str, str]]:
        """Return systemd-docker's records, also of a process that ended before journald looked up its unit."""
        self.machine.run("journalctl --sync")
        return self.machine.journal("--identifier=systemd-docker")

    def lines(self, unit_name: str, identifier: str = "") -> list[str]:
        return [record["MESSAGE"] for record in self.records(unit_name, identifier)]


def records(machine: Machine, identifier: str) -> list[dict[str, str]]:
    """Return the records of one SYSLOG_IDENTIFIER=."""
    machine.run("journalctl --sync")
    return machine.journal(f"--identifier={identifier}")


def lines(machine: Machine, identifier: str = "web") -> list[str]:
    """Return the lines of the payload of container web, or of another SYSLOG_IDENTIFIER=."""
    return [record["MESSAGE"] for record in records(machine, identifier)]


def chosen(machine: Machine) -> str:
    """Return the way of adoption that systemd-docker logs, a moment after READY=1."""

    def way() -> str:
        return " ".join(lines(machine, "systemd-docker")).rpartition("adoption ")[2].partition(",")[0]

    return wait_for(machine, way, "the line with the way of adoption")


def answer(machine: Machine) -> str:
    """Send SIGHUP to a payload of ON_HUP; return its output."""
    machine.run("docker kill --signal=HUP web")
    poll(lambda: "done" in lines(machine), what="the payload's answer")
    return "\n".join(lines(machine))
