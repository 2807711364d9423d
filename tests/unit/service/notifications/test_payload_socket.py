"""service.notifications.payload_socket: a directory for each service, and none for services that were killed."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from contextlib import ExitStack
from pathlib import Path

import pytest

from systemd_docker.errors import Error
from systemd_docker.service.notifications.payload_socket import make_payload_socket, remove_stale


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    return tmp_path / "systemd-docker"


def make(directory: Path, cleanup: ExitStack) -> None:
    made = make_payload_socket(str(directory), cleanup)
    assert made.listener.fileno() >= 0


def killed(directory: Path) -> None:
    """Leave what a service leaves whose systemd-docker was killed."""
    (directory / "n").mkdir(parents=True)
    directory.parent.chmod(0o700)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(directory / "n/notify"))


def test_any_user_of_the_container_can_send_and_no_other_user_of_the_host(parent: Path) -> None:
    with ExitStack() as cleanup:
        make(parent / "a", cleanup)

        assert stat.S_IMODE(parent.stat().st_mode) == 0o700
        assert stat.S_IMODE((parent / "a").stat().st_mode) == 0o700
        assert stat.S_IMODE((parent / "a/n").stat().st_mode) == 0o755
        assert stat.S_IMODE((parent / "a/n/notify").stat().st_mode) == 0o666
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as payload:
            payload.sendto(b"READY=1", str(parent / "a/n/notify"))

    assert not parent.exists(), "nothing stays behind"


def test_services_do_not_disturb_each_other(parent: Path) -> None:
    with ExitStack() as first, ExitStack() as second:
        make(parent / "a", first)
        make(parent / "b", second)
        second.close()

        assert [path.name for path in parent.iterdir()] == ["a"]
        assert (parent / "a/n/notify").is_socket()


def test_a_start_removes_what_a_killed_service_has_left_and_nothing_else(parent: Path) -> None:
    killed(parent / "old")
    (parent / "file").write_text("somebody's")
    with ExitStack() as cleanup:
        make(parent / "new", cleanup)

        assert sorted(path.name for path in parent.iterdir()) == ["file", "new"]
    assert (parent / "file").read_text() == "somebody's"


def test_leftovers_are_removed_without_a_start_too(parent: Path) -> None:
    killed(parent / "old")

    remove_stale(str(parent))
    remove_stale(str(parent))

    assert not parent.exists()


def test_a_directory_in_use_is_not_removed(parent: Path) -> None:
    killed(parent / "live")
    lock = os.open(parent / "live", os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)

    remove_stale(str(parent))

    assert (parent / "live/n/notify").is_socket()
    os.close(lock)


def test_the_same_directory_again_is_an_error_that_leaves_the_first_alone(parent: Path) -> None:
    with ExitStack() as first, ExitStack() as second:
        make(parent / "a", first)
        with pytest.raises(FileExistsError):
            make(parent / "a", second)
        second.close()

        assert (parent / "a/n/notify").is_socket()


def test_a_link_that_was_planted_is_not_followed(parent: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    parent.symlink_to(elsewhere)

    with ExitStack() as cleanup, pytest.raises(Error, match="not a directory that only this user can write to"):
        make(parent / "a", cleanup)

    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "writable"])
def test_a_common_directory_of_others_is_refused(kind: str, parent: Path) -> None:
    if kind == "file":
        parent.write_text("")
    else:
        parent.mkdir()
        parent.chmod(0o777)

    with ExitStack() as cleanup, pytest.raises(Error, match="not a directory that only this user can write to"):
        make(parent / "a", cleanup)


def test_a_directory_may_be_longer_than_the_path_of_a_socket(parent: Path) -> None:
    with ExitStack() as cleanup:
        make(parent / ("x:" * 120), cleanup)

        assert (parent / ("x:" * 120) / "n/notify").is_socket()

    assert not parent.exists()


def test_a_name_that_no_directory_can_have_is_named(parent: Path) -> None:
    with ExitStack() as cleanup, pytest.raises(OSError, match=r"File name too long.*xxx") as caught:
        make(parent / ("x" * 256), cleanup)

    assert caught.value.errno
    assert not parent.exists()
