from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from systemd_docker.sd import notify


@pytest.mark.parametrize(
    ("assignments", "text"),
    [
        ({"READY": "1", "STATUS": "up"}, "READY=1\nSTATUS=up"),
        ({"STATUS": "two\nlines"}, "STATUS=two lines"),
        ({}, ""),
    ],
)
def test_encode_keeps_one_assignment_a_line(assignments: dict[str, str], text: str) -> None:
    assert notify.encode(assignments) == text


@pytest.mark.parametrize(
    ("datagram", "assignments"),
    [
        (b"READY=1\nSTATUS=a=b\n", {"READY": "1", "STATUS": "a=b"}),
        (b"nonsense\nREADY=1", {"READY": "1"}),
        (b"STATUS=\xff", {"STATUS": "\N{REPLACEMENT CHARACTER}"}),
        (b"", {}),
    ],
)
def test_decode_drops_what_is_no_assignment(datagram: bytes, assignments: dict[str, str]) -> None:
    assert notify.decode(datagram) == assignments


def test_without_a_manager_messages_go_nowhere_and_a_barrier_is_down() -> None:
    notifier = notify.Notifier("")

    notifier.notify(READY=1)
    notifier.notify_plain(EXTEND_TIMEOUT_USEC=1)
    notifier.notify_text({"STATUS": "läuft"})
    barrier = notifier.start_barrier()

    poll = select.poll()
    poll.register(barrier, 0)
    assert poll.poll(0) == [(barrier, select.POLLHUP)]
    os.close(barrier)


SENDER = """
import sys
from systemd_docker.sd.notify import Notifier
notifier = Notifier(sys.argv[1])
notifier.notify(MAINPID=41, READY=1)
notifier.notify_text({"STATUS": "läuft — gut"})
notifier.notify_plain(EXTEND_TIMEOUT_USEC=30)
import os
barrier = notifier.start_barrier()
os.read(barrier, 1)
print("passed")
"""


def test_a_manager_gets_ready_status_and_a_barrier_it_can_let_down(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        with subprocess.Popen(
            [sys.executable, "-c", SENDER, path], env={"NOTIFY_SOCKET": path}, stdout=subprocess.PIPE, text=True
        ) as sender:
            assert manager.recv(4096) == b"MAINPID=41\nREADY=1"
            assert manager.recv(4096).decode() == "STATUS=läuft — gut"
            assert manager.recv(4096) == b"EXTEND_TIMEOUT_USEC=30"
            data, fds, _flags, _address = socket.recv_fds(manager, 4096, 4)
            assert data == b"BARRIER=1"
            assert sender.poll() is None
            for fd in fds:
                os.close(fd)
            assert sender.communicate()[0] == "passed\n"


@pytest.fixture
def listener_path(tmp_path: Path) -> str:
    return str(tmp_path / "notify")


def test_a_listener_gets_lines_fds_and_the_senders_pid(listener_path: str) -> None:
    listener = notify.Listener(listener_path)
    reader, writer = os.pipe()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as payload:
        payload.connect(listener_path)
        socket.send_fds(payload, [b"FDSTORE=1\nFDNAME=x\n"], [writer])

    message = listener.receive()

    assert message is not None
    assert message.lines == (b"FDSTORE=1", b"FDNAME=x")
    assert message.pid == os.getpid()
    assert len(message.fds) == 1
    assert not os.get_inheritable(message.fds[0])
    assert listener.receive() is None
    for fd in (*message.fds, reader, writer):
        os.close(fd)
    listener.close()


def test_a_message_that_is_too_long_has_no_lines(listener_path: str) -> None:
    listener = notify.Listener(listener_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as payload:
        payload.sendto(b"STATUS=" + b"x" * notify.MAX_DATAGRAM_BYTES, listener_path)

    message = listener.receive()

    assert message is not None
    assert message.lines == ()
    listener.close()


def test_every_user_may_write_to_a_listener(listener_path: str) -> None:
    listener = notify.Listener(listener_path)

    assert os.stat(listener_path).st_mode & 0o777 == 0o666
    listener.close()


@pytest.mark.parametrize(
    ("path", "reason"), [("/nonexistent/notify", "No such file"), (f"/{'x' * 120}", "File name too long")]
)
@pytest.mark.parametrize("call", ["notify(READY=1)", "notify_plain(EXTEND_TIMEOUT_USEC=1)"])
def test_a_failure_has_a_reason_and_the_sockets_path(path: str, reason: str, call: str) -> None:
    script = f"import sys\nfrom systemd_docker.sd.notify import Notifier\nNotifier(sys.argv[1]).{call}"

    sender = subprocess.run(
        [sys.executable, "-c", script, path], env={"NOTIFY_SOCKET": path}, capture_output=True, text=True, check=False
    )

    assert reason in sender.stderr.splitlines()[-1]
    assert repr(path) in sender.stderr.splitlines()[-1]


def test_a_listener_whose_path_is_too_long_has_a_reason_and_the_path() -> None:
    with pytest.raises(OSError, match=r"File name too long: '/xxx") as caught:
        notify.Listener(f"/{'x' * 120}")

    assert caught.value.errno
