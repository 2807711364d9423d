"""systemd-docker-generator under a real systemd: the properties of units after a reload."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from integration.words.units import GO_HELLO_WORLD

if TYPE_CHECKING:
    from integration.harness.machine import Machine

pytestmark = pytest.mark.integration

DROP_IN = "0-systemd-docker-delegate.conf"


def delegate(machine: Machine, unit: str) -> tuple[str, str]:
    """Return (Delegate=, DelegateSubgroup=) in force; the latter is "" where systemd has no such setting."""
    return machine.show(unit, "Delegate"), machine.show(unit, "DelegateSubgroup")


def delegated(machine: Machine) -> tuple[str, str]:
    """Return what the generator's drop-in must set on this machine."""
    version = int(machine.run("systemctl --version").split()[1])
    return "yes", "supervisor" if version >= 254 else ""


def test_a_unit_written_for_the_old_tool_is_delegated(machine: Machine) -> None:
    machine.install_unit("old.service", GO_HELLO_WORLD)

    assert delegate(machine, "old.service") == delegated(machine)
    assert f"# /run/systemd/generator/old.service.d/{DROP_IN}" in machine.run("systemctl cat old.service")


def test_nothing_is_left_of_it_once_the_unit_decides_itself(machine: Machine) -> None:
    machine.install_unit("own.service", GO_HELLO_WORLD)
    machine.install_unit("own.service.d/50-mine.conf", "[Service]\nDelegate=no\n")

    assert delegate(machine, "own.service") == ("no", "")
    assert DROP_IN not in machine.show("own.service", "DropInPaths")


def test_a_template_is_delegated_and_its_instance_may_still_decide(machine: Machine) -> None:
    machine.install_unit("many@.service", GO_HELLO_WORLD)
    machine.install_unit("many@mine.service.d/00-first.conf", "[Service]\nDelegate=no\n")

    assert delegate(machine, "many@other.service") == delegated(machine)
    assert machine.show("many@mine.service", "Delegate") == "no"


def test_the_installed_units_bring_their_own(machine: Machine) -> None:
    for unit in ("hello-world.service", "docker@hello-world.service"):
        assert machine.show(unit, "Delegate") == "yes"
        assert DROP_IN not in machine.show(unit, "DropInPaths")


def test_an_administrator_can_mask_the_drop_in(machine: Machine) -> None:
    machine.install_unit("masked.service", GO_HELLO_WORLD)
    machine.install_unit(f"masked.service.d/{DROP_IN}", "")

    assert machine.show("masked.service", "Delegate") == "no"


def test_a_broken_unit_stops_neither_the_reload_nor_the_other_units(machine: Machine) -> None:
    broken = "/etc/systemd/system/broken.service"
    machine.write(broken, "[Service\nsystemd-docker run \x01\ufeff '=\n[[]]\nExecStart='systemd-docker\n")
    machine.install_unit("whole.service", GO_HELLO_WORLD)

    machine.run(f"rm {broken}")

    assert delegate(machine, "whole.service") == delegated(machine)


def test_a_dry_run_prints_what_the_next_reload_will_write(machine: Machine) -> None:
    machine.install_unit("dry.service", GO_HELLO_WORLD)
    generator = "/usr/local/lib/systemd/system-generators/systemd-docker-generator"

    shown = machine.run(f"{generator} --dry-run /run/systemd/generator")

    written = machine.run(f"cat /run/systemd/generator/dry.service.d/{DROP_IN}")
    assert f"# dry.service.d/{DROP_IN}\n{written}" in shown
