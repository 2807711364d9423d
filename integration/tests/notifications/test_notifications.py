"""The notification socket of a container: permissions, floods, garbage, descriptors and barriers."""

from __future__ import annotations

import json

import pytest

from integration.harness import images
from integration.harness.machine import Machine, poll
from integration.words.processes import leader, wrapper
from integration.words.recorder import Recorder
from integration.words.units import HOST_TOOLS, unit

pytestmark = pytest.mark.integration

NOTIFIED = "systemd-notify --ready --status='At your service'; exec sleep 600"


@pytest.mark.parametrize(
    "options",
    [
        "--user 1000:1000",
        "--read-only",
        "--cap-drop=ALL",
        "--user 65534 --read-only --cap-drop=ALL --security-opt no-new-privileges --network none",
        "--init",
        "--privileged=false --pid host",
    ],
)
def test_every_kind_of_container_reaches_its_socket(machine: Machine, options: str) -> None:
    text = unit(NOTIFIED, own="--notify", options=f"--rm --name web {HOST_TOOLS} --stop-timeout 1 {options}")
    machine.install_unit("web.service", text)

    machine.run("systemctl start web")

    assert machine.show("web", "StatusText") == "At your service"


@pytest.mark.parametrize("name", ["web", "a:b-" + "x" * 243], ids=["short", "long"])
def test_what_a_killed_systemd_docker_leaves_goes_with_the_next_start_or_with_rm(machine: Machine, name: str) -> None:
    own = "--sdnotify=container --main-pid=wrapper"
    options = f"--rm --name web {HOST_TOOLS}"
    machine.install_unit(f"{name}.service", unit(NOTIFIED, own=own, options=options, service=("TimeoutStopSec=2",)))

    for _ in range(2):
        machine.run(f"systemctl start {name}")
        assert len(sockets(machine)) == 1
        machine.run(f"systemctl kill --signal=KILL --kill-whom=main {name}")
        poll(lambda: machine.show(name, "ActiveState") == "failed", what=f"{name} to be dead")
    machine.run(f"systemctl reset-failed {name}")
    machine.attempt(f"systemd-docker rm --unit={name}")

    assert sockets(machine) == []


def sockets(machine: Machine) -> list[str]:
    return machine.run("find /run/systemd-docker -type s 2>/dev/null || true").split()


def test_a_container_in_a_user_namespace_of_its_own_reaches_its_socket(own_machine: Machine) -> None:
    machine = own_machine
    machine.write("/etc/subuid", "dockremap:100000:65536\n")
    machine.write("/etc/subgid", "dockremap:100000:65536\n")
    machine.run("groupadd --system dockremap; useradd --system --gid dockremap --no-create-home dockremap")
    config = json.loads(machine.run("cat /etc/docker/daemon.json"))
    machine.write("/etc/docker/daemon.json", json.dumps({**config, "userns-remap": "dockremap"}))
    machine.run("systemctl restart docker")
    images.load_busybox(machine)
    machine.install_unit("web.service", unit(NOTIFIED, own="--notify", options=f"--rm --name web {HOST_TOOLS}"))

    machine.run("systemctl start web")

    assert machine.show("web", "StatusText") == "At your service"
    assert machine.run(f"stat --format %u /proc/{leader(machine)}") == "100000"


def test_of_a_thousand_short_lived_senders_none_is_lost(machine: Machine, recorder: Recorder) -> None:
    command = "for i in $(seq 1000); do systemd-notify --no-block STATUS=$i; done; exec sleep 600"
    options = f"--rm --init --name web {HOST_TOOLS}"
    machine.install_unit("web.service", recorder.unit(command, options=options, own="--sdnotify=container"))

    machine.run("systemctl start web")

    poll(lambda: "STATUS=1000" in recorder.datagrams()[-1:], what="the last one", timeout_sec=60)
    assert recorder.datagrams()[1:] == [f"STATUS={number}" for number in range(1, 1001)]


FLOOD = """
import os, socket
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
    sock.connect(os.environ["NOTIFY_SOCKET"])
    while True:
        sock.send(b"WATCHDOG=1")
"""


def test_a_flood_reaches_systemd_as_a_trickle_and_does_not_delay_a_stop(machine: Machine, recorder: Recorder) -> None:
    machine.write("/srv/flood.py", FLOOD)
    options = f"--rm --init --name web {HOST_TOOLS}"
    text = recorder.unit("exec python3 /srv/flood.py", options=options, own="--sdnotify=container")
    machine.install_unit("web.service", text)
    machine.run("systemctl start web")
    poll(lambda: len(recorder.datagrams()) > 300, what="the flood")

    before, begin = len(recorder.datagrams()), uptime_sec(machine)
    poll(lambda: len(recorder.datagrams()) > before + 500, what="more of it")
    rate = (len(recorder.datagrams()) - before) / (uptime_sec(machine) - begin)

    assert rate < 400
    machine.run("systemctl stop web", timeout_sec=30)
    assert machine.show("web", "Result") == "success"


def uptime_sec(machine: Machine) -> float:
    return float(machine.run("cut -d ' ' -f 1 /proc/uptime"))


GARBAGE = """
import os, random, socket
words = [b"READY", b"STATUS", b"MAINPID", b"WATCHDOG_USEC", b"BARRIER", b"FDSTORE", b"FDNAME", b"ERRNO", b"BUSERROR",
         b"MONOTONIC_USEC", b"EXTEND_TIMEOUT_USEC", b"NOTIFYACCESS", b"", b"VARLINKERROR", b"EXIT_STATUS"]
seed = random.Random(5)
def line():
    if seed.random() < 0.5:
        return seed.randbytes(seed.choice([0, 1, 7, 100, 4096]))
    return seed.choice(words) + seed.choice([b"=", b""]) + seed.randbytes(seed.randrange(20))
reader, writer = os.pipe()
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    sock.connect(os.environ["NOTIFY_SOCKET"])
    for number in range(10000):
        datagram = b"\\n".join(line() for _ in range(seed.randrange(1, 4)))
        if number % 50:
            sock.send(datagram)
        else:
            socket.send_fds(sock, [datagram or b"x"], [writer] * seed.choice([1, 2, 100]))
    sock.send(b"STATUS=survived")
"""


def test_ten_thousand_datagrams_of_garbage_do_nothing(machine: Machine) -> None:
    machine.write("/srv/garbage.py", GARBAGE)
    options = f"--rm --init --name web {HOST_TOOLS}"
    machine.install_unit("web.service", unit(NOTIFIED, own="--notify", options=options))
    machine.run("systemctl start web")
    shown = machine.run("journalctl --sync; journalctl --lines=0 --show-cursor --quiet")
    pid = wrapper(machine)

    machine.run("docker exec web python3 /srv/garbage.py", timeout_sec=120)

    poll(lambda: machine.show("web", "StatusText") == "survived", what="the last one", timeout_sec=60)
    assert machine.show("web", "ActiveState") == "active"
    assert machine.show("web", "MainPID") == leader(machine)
    assert len(machine.run(f"ls /proc/{pid}/fd").split()) < 20
    machine.run("journalctl --sync")
    said = machine.journal("_PID=1", after=shown.removeprefix("-- cursor: "))
    assert [record["MESSAGE"] for record in said if "web" in record["MESSAGE"] or "notif" in record["MESSAGE"]] == []


def test_a_barrier_is_one_from_end_to_end(machine: Machine) -> None:
    options = f"--rm --init --name web {HOST_TOOLS}"
    machine.install_unit("web.service", unit(NOTIFIED, own="--notify", options=options))
    machine.run("systemctl start web")

    for number in range(10):
        machine.run(f"docker exec web systemd-notify --status='number {number}'")
        assert machine.show("web", "StatusText") == f"number {number}"


STORES = """
import os, socket
memory = os.memfd_create("state")
os.write(memory, b"kept")
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
    sock.connect(os.environ["NOTIFY_SOCKET"])
    socket.send_fds(sock, [b"FDSTORE=1\\nFDNAME=state"], [memory])
    socket.send_fds(sock, [b"FDSTORE=1\\nFDNAME=other"], [os.open("/dev/null", os.O_RDONLY)])
    sock.send(b"FDSTOREREMOVE=1\\nFDNAME=other")
"""


def test_descriptors_are_stored_with_their_names(machine: Machine) -> None:
    machine.write("/srv/stores.py", STORES)
    options = f"--rm --init --name web {HOST_TOOLS}"
    service = ("FileDescriptorStoreMax=4", "Restart=on-failure", "RestartSec=100ms")
    command = f"env | grep LISTEN; {NOTIFIED}"
    machine.install_unit("web.service", unit(command, own="--notify", options=options, service=service))
    machine.run("systemctl start web")

    machine.run("docker exec web python3 /srv/stores.py; docker exec web systemd-notify --status=stored")

    assert machine.show("web", "NFileDescriptorStore") == "1"
    before = leader(machine)
    machine.run("docker kill --signal=KILL web")
    poll(lambda: machine.show("web", "NRestarts") == "1", what="the restart")
    poll(lambda: machine.show("web", "ActiveState") == "active", what="the unit to be active again")
    assert leader(machine) != before
    assert machine.show("web", "NFileDescriptorStore") == "1", "and are there for the next start"


KEEPS = """
import os, socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
    sock.connect(os.environ["NOTIFY_SOCKET"])
    for name in sys.argv[1:]:
        socket.send_fds(sock, [f"FDSTORE=1\\nFDNAME={name}".encode()], [os.memfd_create(name)])
"""


def holders(machine: Machine, name: str) -> set[str]:
    """Return the PIDs of the processes that have the memfd of that name open."""
    found = machine.run(f"find /proc/[0-9]*/fd -lname '/memfd:{name} *' 2>/dev/null || true")
    return {line.split("/")[2] for line in found.splitlines()}


def test_descriptors_come_back_to_the_unit_and_to_no_other_process(machine: Machine) -> None:
    machine.write("/srv/keeps.py", KEEPS)
    options = f"--rm --init --name web {HOST_TOOLS}"
    service = ("FileDescriptorStoreMax=2",)
    machine.install_unit("web.service", unit(NOTIFIED, own="--notify", options=options, service=service))
    machine.run("systemctl start web")
    machine.run("docker exec web python3 /srv/keeps.py one two three; docker exec web systemd-notify --status=stored")
    assert machine.show("web", "NFileDescriptorStore") == "2", "FileDescriptorStoreMax="

    for _ in range(2):
        machine.run("systemctl restart web")

        assert machine.show("web", "NFileDescriptorStore") == "2"
        pid = wrapper(machine)
        passed = machine.run(f"tr '\\0' '\\n' </proc/{pid}/environ | grep ^LISTEN_ | sort").splitlines()
        assert {"LISTEN_FDS=2", f"LISTEN_PID={pid}"} < set(passed)
        assert {"LISTEN_FDNAMES=one:two", "LISTEN_FDNAMES=two:one"} & set(passed)
        assert "LISTEN_" not in machine.run(f"cat /proc/{leader(machine)}/environ")
        assert (holders(machine, "one"), holders(machine, "two")) == ({"1"}, {"1"})
    machine.run("journalctl --sync")
    said = [record["MESSAGE"] for record in machine.journal("--identifier=systemd-docker")]
    assert sum("closing descriptors passed by systemd" in line for line in said) == 2

    machine.run("docker exec web systemd-notify FDSTOREREMOVE=1 FDNAME=one")

    assert machine.show("web", "NFileDescriptorStore") == "1"
    assert holders(machine, "one") == set()
    machine.run("systemctl stop web")
    assert machine.show("web", "NFileDescriptorStore") == "0"
    assert holders(machine, "two") == set()
