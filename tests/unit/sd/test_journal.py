from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from systemd_docker.sd import journal


def test_only_the_stream_that_the_variable_names_is_the_journal(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    try:
        status = os.fstat(writer)
        named = f"{status.st_dev}:{status.st_ino}"

        assert journal.is_stream(writer, named)
        assert not journal.is_stream(writer, "")
        assert not journal.is_stream(writer, "1:2")
    finally:
        os.close(reader)
        os.close(writer)
    assert not journal.is_stream(writer, named)


def test_records_go_to_journalds_socket(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journald:
        journald.bind(str(tmp_path / "socket"))

        fd = journal.open_records(str(tmp_path / "socket"))

        assert not os.get_inheritable(fd)
        assert not os.get_blocking(fd)
        os.write(fd, b"MESSAGE=hello\n")
        os.close(fd)
        assert journald.recv(100) == b"MESSAGE=hello\n"


@pytest.mark.parametrize(
    ("name", "number"), [("none", errno.ENOENT), ("n" * 200, errno.ENAMETOOLONG)], ids=["no journald", "too long"]
)
def test_an_error_names_the_socket(name: str, number: int, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=os.strerror(number)) as raised:
        journal.open_records(str(tmp_path / name))

    assert (raised.value.errno, raised.value.filename) == (number, str(tmp_path / name))


@pytest.mark.skipif(os.path.exists(journal.STREAM_SOCKET), reason="this host has a journald")
def test_a_stream_without_journald_is_an_error_that_names_the_socket() -> None:
    with pytest.raises(FileNotFoundError) as raised:
        journal.open_stream("web", 6, level_prefix=True)

    assert raised.value.filename == journal.STREAM_SOCKET
