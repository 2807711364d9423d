"""service.output.open_sinks: descriptors for the container's output that change nothing for their other holders."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from systemd_docker.frozen import replace
from systemd_docker.sd import journal
from systemd_docker.service.output.open_sinks import open_sink, open_sinks
from systemd_docker.unit import read_unit

PRIORITIES = (6, 3)


def blocks(fd: int) -> bool:
    return not fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK


@contextmanager
def closed(*fds: int) -> Iterator[None]:
    try:
        yield
    finally:
        for fd in fds:
            os.close(fd)


def test_a_pipe_is_opened_again_and_blocks_its_other_writers_as_before() -> None:
    reader, writer = os.pipe()
    sink = open_sink(writer)

    with closed(reader, writer, sink):
        assert blocks(writer)
        assert not blocks(sink)
        os.write(sink, b"x")
        assert os.read(reader, 2) == b"x"


def test_a_socket_stays_the_same_open_file() -> None:
    ours, theirs = socket.socketpair()
    sink = open_sink(theirs.fileno())

    with closed(sink), ours, theirs:
        assert blocks(sink)
        os.write(sink, b"x")
        assert ours.recv(2) == b"x"


def test_a_file_is_written_on_where_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "log"
    file = os.open(path, os.O_WRONLY | os.O_CREAT)
    os.write(file, b"before ")
    sink = open_sink(file)

    with closed(file, sink):
        os.write(sink, b"after")
        assert path.read_bytes() == b"before after"


def test_a_device_that_cannot_be_opened_again_is_written_to_as_it_is(tmp_path: Path) -> None:
    """A FIFO without a reader: opening it for writing without blocking fails."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(path, os.O_WRONLY)
    os.close(reader)
    sink = open_sink(writer)

    with closed(writer, sink):
        assert blocks(sink)
        assert os.path.samestat(os.fstat(sink), os.fstat(writer))


def test_a_closed_stream_is_an_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)

    with pytest.raises(OSError, match="Bad file descriptor"):
        open_sink(writer)


@pytest.mark.skipif(os.path.exists(journal.NATIVE_SOCKET), reason="needs a machine without journald")
@pytest.mark.parametrize(("as_records", "path"), [(True, journal.NATIVE_SOCKET), (False, journal.STREAM_SOCKET)])
def test_a_journald_that_is_away_is_an_error_that_names_its_socket(path: str, *, as_records: bool) -> None:
    unit = replace(read_unit({}), stdout_is_journal=True, stderr_is_journal=True)

    with pytest.raises(FileNotFoundError) as raised:
        open_sinks(unit, "web", PRIORITIES, as_records=as_records)

    assert raised.value.errno == errno.ENOENT
    assert raised.value.filename == path
