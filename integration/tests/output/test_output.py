"""The container's output: bytes, priorities and fields in the journal, files, slow readers."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

import pytest

from integration.harness.machine import poll
from integration.words.processes import wrapper
from integration.words.units import unit
from integration.words.waiting import wait_until

if TYPE_CHECKING:
    from integration.harness.machine import Machine

pytestmark = pytest.mark.integration

UNLIMITED = "LogRateLimitIntervalSec=0"

RSS_LIMIT_KB = 20 * 1024
"""Of a systemd-docker that relays output: it keeps none of it."""


def raw_records(machine: Machine, **fields: str) -> list[dict[str, object]]:
    """Return the journal since the test began; a message that is not text is a list of bytes.

    Filtered here: systemd 252's journalctl leaves out the first match where it has a cursor and matches.
    """
    machine.run("journalctl --sync")
    output = machine.run(f"journalctl --all --output=json {shlex.quote(f'--after-cursor={machine.journal_cursor}')}")
    records = [json.loads(line) for line in output.splitlines()]
    return [record for record in records if fields.items() <= record.items()]


def messages(machine: Machine) -> list[object]:
    return [record["MESSAGE"] for record in raw_records(machine, SYSLOG_IDENTIFIER="web")]


def message_bytes(record: dict[str, object]) -> bytes:
    message = record["MESSAGE"]
    return bytes(message) if isinstance(message, list) else str(message).encode()


def test_odd_bytes_arrive_as_they_were_written(machine: Machine) -> None:
    command = r"printf 'nul\0after\n\377\376\n\033[1mbold\033[0m\nprogress 1\rprogress 2\r\nno end'"
    machine.install_unit("web.service", unit(command))
    machine.run("systemctl start web")
    wait_until(machine, "web", "inactive")

    records = raw_records(machine, SYSLOG_IDENTIFIER="web", _SYSTEMD_UNIT="web.service")

    assert [message_bytes(record) for record in records] == [
        b"nul", b"after", b"\xff\xfe", b"\x1b[1mbold\x1b[0m", b"progress 1\rprogress 2", b"no end",
    ]  # fmt: skip


def test_a_line_of_ten_megabytes_is_cut_by_journald_and_nowhere_kept(machine: Machine) -> None:
    command = "head -c 10000000 /dev/zero | tr '\\0' x; echo; echo behind; sleep 1000"
    machine.install_unit("web.service", unit(command, service=(UNLIMITED,)))
    machine.run("systemctl start web")
    newest = "journalctl --quiet --output=cat --lines=1 --unit=web --identifier=web"
    poll(lambda: machine.run(newest) == "behind", what="the last line", timeout_sec=60)

    peak_kb = int(machine.run(f"grep VmHWM /proc/{wrapper(machine)}/status").split()[1])
    sizes = [len(str(text)) for text in messages(machine)]

    assert sum(sizes) == 10_000_000 + len("behind")
    assert max(sizes) <= 48 * 1024
    assert peak_kb <= RSS_LIMIT_KB


def test_a_terminals_output_has_no_frames_and_no_carriage_returns_in_the_journal(machine: Machine) -> None:
    machine.install_unit("web.service", unit("echo out; echo err >&2; tty", options="--rm --tty --name web"))
    machine.run("systemctl start web")
    wait_until(machine, "web", "inactive")

    assert messages(machine) == ["out", "err", "/dev/pts/0"]


def test_priorities_are_the_units_to_choose(machine: Machine) -> None:
    command = "echo out; echo err >&2; echo '<2>critical'"
    machine.install_unit("web.service", unit(command, own="--log-priority=notice:warning"))
    machine.run("systemctl start web")
    wait_until(machine, "web", "inactive")

    records = raw_records(machine, SYSLOG_IDENTIFIER="web")

    assert {record["MESSAGE"]: record["PRIORITY"] for record in records} == {"out": "5", "err": "4", "critical": "2"}


def test_records_have_the_fields_of_dockers_driver(machine: Machine) -> None:
    command = "echo out; echo err >&2; head -c 40000 /dev/zero | tr '\\0' x; echo; printf end"
    machine.install_unit("web.service", unit(command, own="--journal=fields"))
    machine.run("docker run --rm --name driver --log-driver=journald busybox:musl echo out")
    machine.run("systemctl start web")
    wait_until(machine, "web", "inactive")

    drivers = raw_records(machine, CONTAINER_NAME="driver")[0]
    everything = raw_records(machine, CONTAINER_NAME="web", _SYSTEMD_UNIT="web.service")

    # The payload's two streams are two pipes: there is an order within each of them only.
    assert [record["MESSAGE"] for record in everything if record["PRIORITY"] == "3"] == ["err"]
    fields = [record for record in everything if record["PRIORITY"] == "6"]
    wanted = {name for name in drivers if name.startswith(("CONTAINER_", "IMAGE_")) and "_LOG_" not in name}
    assert wanted <= fields[0].keys()
    assert (fields[0]["MESSAGE"], fields[0]["IMAGE_NAME"]) == ("out", drivers["IMAGE_NAME"])
    parts = [record for record in fields if "CONTAINER_PARTIAL_ID" in record]
    assert [record["CONTAINER_PARTIAL_ORDINAL"] for record in parts] == ["1", "2", "3"]
    assert [record["CONTAINER_PARTIAL_LAST"] for record in parts] == ["false", "false", "true"]
    assert sum(len(str(record["MESSAGE"])) for record in parts) == 40_000
    assert fields[-1]["MESSAGE"] == "end"


SLOW = ("StandardOutput=file:/run/slow/pipe", "StandardError=journal")
"""Output to a named pipe, whose reader decides how fast it is read."""


def slow_unit(machine: Machine, command: str, own: str = "") -> None:
    machine.run("mkdir -p /run/slow; rm -f /run/slow/*; mkfifo /run/slow/pipe")
    # systemd's open(2) of the pipe waits for a reader.
    machine.run("systemd-run --quiet --unit=reader sh -c 'exec 3</run/slow/pipe; exec sleep 1000'")
    machine.install_unit("web.service", unit(command, own=own, service=SLOW))


@pytest.mark.timeout(400)
@pytest.mark.parametrize("megabytes", [200, pytest.param(1000, marks=pytest.mark.long)])
def test_a_slow_reader_slows_the_payload_and_costs_no_memory(machine: Machine, megabytes: int) -> None:
    slow_unit(machine, f"head -c {megabytes}000000 /dev/zero; touch /done; sleep 1000")
    machine.run("systemctl start web")
    reader = machine.show("reader", "MainPID")

    for _ in range(3):
        machine.run(f"head -c 1000000 /proc/{reader}/fd/3 >/run/slow/read")
        assert machine.attempt("docker exec web test -e /done").returncode == 1
    rest = machine.run(f"head -c {megabytes - 3}000000 /proc/{reader}/fd/3 | wc -c", timeout_sec=300)
    peak_kb = int(machine.run(f"grep VmHWM /proc/{wrapper(machine)}/status").split()[1])

    assert rest == f"{megabytes - 3}000000"
    assert peak_kb <= RSS_LIMIT_KB
    poll(lambda: machine.attempt("docker exec web test -e /done").returncode == 0, what="the payload to go on")
    machine.run("systemctl stop web reader; rm -r /run/slow")


def test_with_drop_the_payload_never_waits_and_the_loss_is_logged(machine: Machine) -> None:
    slow_unit(machine, "seq 1 2000000; touch /done; sleep 1000", own="--log-overflow=drop")
    machine.expect_journal(
        r"dropped \d+ lines \(\d+ bytes\) of the container's standard output: its reader is too slow"
    )
    machine.run("systemctl start web")
    reader = machine.show("reader", "MainPID")

    poll(lambda: machine.attempt("docker exec web test -e /done").returncode == 0, what="the payload's end")

    taken = machine.run(f"timeout 1 cat /proc/{reader}/fd/3 || true").splitlines()
    assert taken[:3] == ["1", "2", "3"]
    assert len(taken) < 100_000
    machine.run("systemctl stop web reader; rm -r /run/slow")


@pytest.mark.parametrize("own", ["--journal=stream", "--journal=fields"])
def test_journald_may_be_restarted(machine: Machine, own: str) -> None:
    machine.install_unit("web.service", unit("for i in $(seq 1 60); do echo $i; sleep 0.05; done", own=own))
    machine.run("systemctl start web; sleep 1; systemctl restart systemd-journald")
    wait_until(machine, "web", "inactive")

    lines = messages(machine)

    assert lines == [str(number) for number in range(1, 61)]


def test_output_to_a_stream_that_is_closed(machine: Machine) -> None:
    machine.install_unit(
        "web.service", unit("for i in 1 2 3; do echo $i; done; exit 3", service=("StandardOutput=null",))
    )
    machine.run("systemctl start web")
    wait_until(machine, "web", "failed")

    assert machine.show("web", "ExecMainStatus") == "3"
    machine.run("systemctl reset-failed web")
