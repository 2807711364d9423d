"""`--cgroups` with `--adopt=move` on cgroup v1: where a container is moved, and what it never loses."""

from __future__ import annotations

import pytest

from integration.harness.machine import Machine, Spec, poll
from integration.words.cgroups import OWN, controller, places
from integration.words.journal import answer, chosen, lines
from integration.words.processes import leader, running
from integration.words.units import OPENS_FORBIDDEN, TRAP, unit

pytestmark = [pytest.mark.integration, pytest.mark.machines(Spec("trixie", "cgroupfs", "hybrid"))]

PAYLOAD = "sleep 1111 & trap 'exit 0' TERM; while true; do sleep 60 & wait $!; done"

HAVE_CGROUPS = ("Delegate=no", "CPUQuota=50%", "MemoryMax=256M", "TasksMax=200")
"""Settings for which systemd makes a cgroup for the unit in the hierarchies of cpu, memory and pids."""


ENGINES = {"cpu", "memory", "pids", "devices", "freezer"}
"""Hierarchies in which the engine has a cgroup for the container."""


def start(machine: Machine, own: str, *, options: str = "--rm --name web") -> list[dict[str, str]]:
    """Start the unit; return the cgroups of the container's first process and of its child."""
    machine.install_unit(
        "web.service", unit(PAYLOAD, own=f"--adopt=move {own}", options=options, service=HAVE_CGROUPS)
    )
    machine.run("systemctl start web")
    assert chosen(machine) == "move"
    return [places(machine, pid) for pid in (leader(machine), running(machine, "sleep 1111"))]


NAMED = [
    # --cgroups=, the hierarchies in which the container is in the unit's cgroup instead of the engine's
    ("", set()),
    ("-c name=systemd", set()),
    ("--cgroups=name=systemd --cgroups=cpu", {"cpu"}),
    ("-c memory -c pids", {"memory", "pids"}),
    ("--cgroups=all", {"cpu", "memory", "pids"}),
]


@pytest.mark.machines(Spec("trixie", "cgroupfs", "hybrid"), Spec("bookworm", "cgroupfs", "hybrid"))
@pytest.mark.parametrize(("own", "expected"), NAMED)
def test_a_container_is_the_units_in_the_hierarchies_that_are_named(
    machine: Machine, own: str, expected: set[str]
) -> None:
    both = start(machine, own)
    container = machine.run("docker inspect --format '{{.Id}}' web")
    left = expected | {"freezer"} if own == "--cgroups=all" else expected
    for found in both:
        assert found["name=systemd"].startswith(OWN)
        assert {name for name in ENGINES if controller(found, name).startswith(OWN)} == expected
        assert {name for name in ENGINES if container in controller(found, name)} == ENGINES - left

    assert machine.run("docker exec web echo hello") == "hello"
    assert "sleep 1111" in machine.run("docker top web")
    machine.run("docker stats --no-stream web")
    machine.run("docker stop web")
    poll(lambda: machine.show("web", "ActiveState") == "inactive", what="web.service to end")
    names = f"-path '*{container}*' -o -name web.service"
    assert machine.run(f"find /sys/fs/cgroup -type d '(' {names} ')'") == ""


def test_where_the_unit_has_no_cgroup_the_container_is_where_a_service_is(machine: Machine) -> None:
    words = "--adopt=move --main-pid=wrapper -c all"
    machine.install_unit("web.service", unit(PAYLOAD, own=words, service=("Delegate=no",)))
    machine.run("systemctl start web")

    found, supervisors = places(machine, leader(machine)), places(machine, machine.show("web", "MainPID"))

    assert {names for names in found if found[names] != supervisors[names]} == {"devices"}
    assert controller(found, "blkio") == controller(found, "freezer") == "/"
    assert machine.run("docker exec web echo hello") == "hello"


def test_the_device_rules_are_never_left(machine: Machine) -> None:
    machine.expect_journal("stays where the engine's device rules are")
    own = "--adopt=move --cgroups=all --cgroups=devices"
    machine.install_unit("web.service", unit(OPENS_FORBIDDEN, own=own, service=HAVE_CGROUPS))
    machine.run("systemctl start web")

    assert "Operation not permitted" in answer(machine)
    assert controller(places(machine, leader(machine)), "devices").startswith("/docker/")
    assert sum("device rules" in line for line in lines(machine, "systemd-docker")) == 1


LIMITED = [
    # docker-run's option, --cgroups=, the limit in the error, "" if the unit starts
    ("--memory 64m", "memory", "memory.limit_in_bytes '67108864'"),
    ("--memory 64m", "all", "memory.limit_in_bytes '67108864'"),
    ("--memory 64m", "cpu", ""),
    ("--cpu-shares 512", "cpu", "cpu.shares '512'"),
    ("--cpus 0.5", "cpu", "cpu.cfs_quota_us '50000'"),
    ("--cpuset-cpus 0", "cpuset", "cpuset.cpus '0'"),
    ("--pids-limit 30", "pids", "pids.max '30'"),
    ("--pids-limit 30", "memory", ""),
]


@pytest.mark.parametrize(("option", "name", "said"), LIMITED)
def test_no_process_is_taken_out_of_a_limit(machine: Machine, option: str, name: str, said: str) -> None:
    options = f"--rm --name web {option}"
    if not said:
        start(machine, f"--cgroups={name}", options=options)
        return
    machine.expect_journal("would lose its limits")
    machine.install_unit(
        "web.service", unit(TRAP, own=f"--adopt=move -c {name}", options=options, service=HAVE_CGROUPS)
    )

    assert machine.attempt("systemctl start web").returncode != 0

    assert machine.show("web", "ExecMainStatus") == "125"
    assert any(said in line for line in lines(machine, "systemd-docker"))
    assert machine.run("docker ps --all --quiet") == ""
    machine.run("systemctl reset-failed web")


def test_a_missing_hierarchy_is_an_error_before_there_is_a_container(machine: Machine) -> None:
    machine.expect_journal("--cgroups=nonsense: no such hierarchy")
    begin = machine.run("date +%s.%N")
    machine.install_unit("web.service", unit(TRAP, own="--adopt=move -c nonsense"))

    assert machine.attempt("systemctl start web").returncode != 0

    assert any("There are " in line and "memory" in line for line in lines(machine, "systemd-docker"))
    machine.run("systemctl reset-failed web")
    assert machine.run(f"docker events --since {begin} --until $(date +%s.%N)") == ""


def test_a_container_that_is_born_in_the_unit_is_there_in_every_hierarchy(machine: Machine) -> None:
    machine.install_unit("web.service", unit(TRAP, own="-c name=systemd", options="--rm --name web --memory 64m"))
    machine.run("systemctl start web")

    found = places(machine, leader(machine))
    engines = [path for names, path in found.items() if names]
    assert chosen(machine) == "parent"
    assert {path.startswith(OWN) for path in engines} == {True}, found


def test_a_restarted_container_is_moved_again_in_the_same_hierarchies(machine: Machine) -> None:
    start(machine, "-c cpu", options="--name web")
    before = leader(machine)

    machine.run("docker restart web")

    poll(lambda: leader(machine) not in ("0", before), what="the container to run again")
    poll(lambda: controller(places(machine, leader(machine)), "cpu").startswith(OWN), what="the cpu hierarchy")
    found = places(machine, leader(machine))
    assert controller(found, "memory").startswith("/docker/")
    poll(lambda: places(machine, leader(machine))["name=systemd"].startswith(OWN), what="systemd's hierarchy")
    machine.run("systemctl stop web; docker rm web")
