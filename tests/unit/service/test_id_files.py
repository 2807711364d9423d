from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from systemd_docker.errors import Error
from systemd_docker.service import id_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ID = "4f" * 32
OTHER_ID = "5e" * 32


def never(container_id: str) -> bool:
    raise AssertionError(f"nothing names {container_id}")


@contextlib.contextmanager
def full_after(size: int) -> Iterator[None]:
    """No file of this process gets longer than so many bytes, as on a full disk: EFBIG instead of ENOSPC."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def write_cid(path: Path, undo: ExitStack, is_obsolete: Callable[[str], bool] = never) -> None:
    id_files.reserve_cid_file(str(path), undo, is_obsolete).write(ID)


def write_pid(path: Path, undo: ExitStack) -> None:
    id_files.write_pid_file(str(path), 42, undo)


def test_a_cid_file_stays_and_goes_only_with_a_start_that_fails(tmp_path: Path) -> None:
    path = tmp_path / "cid"
    with ExitStack() as undo:
        write_cid(path, undo)
        undo.pop_all()
    assert path.read_text() == ID
    path.unlink()

    with ExitStack() as undo:
        write_cid(path, undo)

    assert not list(tmp_path.iterdir())


def test_a_pid_file_is_replaced_whole_and_goes_with_a_start_that_fails(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text("another, longer text")
    with ExitStack() as undo:
        write_pid(path, undo)
        assert path.read_text() == "42"
        id_files.replace_pid_file(str(path), 43)
        assert path.read_text() == "43"
        id_files.replace_pid_file(str(path), 42)

    assert not list(tmp_path.iterdir())


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """Another file of root's, which a user with access to the directory would like to see overwritten."""
    (tmp_path / "etc").mkdir()
    path = tmp_path / "etc/precious"
    path.write_text("precious")
    return path


@pytest.mark.parametrize("name", ["pid", "pid.{}"])
@pytest.mark.parametrize("plant", [os.symlink, os.link])
def test_a_planted_link_leads_no_pid_anywhere(
    plant: Callable[[Path, Path], None], name: str, precious: Path, tmp_path: Path
) -> None:
    """At the file's own name, or at one that can be guessed."""
    (tmp_path / "run").mkdir()
    plant(precious, tmp_path / "run" / name.format(os.getpid()))
    with ExitStack() as undo:
        write_pid(tmp_path / "run/pid", undo)

        assert (tmp_path / "run/pid").read_text() == "42"
        assert not (tmp_path / "run/pid").is_symlink()
        assert precious.read_text() == "precious"
    assert precious.read_text() == "precious"
    assert not (tmp_path / "run/pid").exists()


@pytest.mark.parametrize("plant", [os.symlink, os.link])
def test_a_planted_link_leads_no_id_anywhere(
    plant: Callable[[Path, Path], None], precious: Path, tmp_path: Path
) -> None:
    """Neither before the file is made, nor between making and writing it."""
    path = tmp_path / "cid"
    plant(precious, path)
    with ExitStack() as undo, pytest.raises(Error, match="exists"):
        write_cid(path, undo, lambda _: True)
    path.unlink()

    with ExitStack() as undo:
        file = id_files.reserve_cid_file(str(path), undo, never)
        path.unlink()
        plant(precious, path)
        file.write(ID)

    assert precious.read_text() == "precious"
    assert path.exists(), "it is not what this start has made"


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_file_is_neither_read_nor_removed(make: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "there"
    make(path)

    with ExitStack() as undo, pytest.raises(Error, match="exists"):
        write_cid(path, undo, lambda _: True)
    id_files.remove_pid_file(str(path), 42)

    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_in_the_place_of_a_pid_file_is_an_error_that_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "pid").mkdir()

    with ExitStack() as undo, pytest.raises(Error, match=r"cannot write the PID file '.*pid': Is a directory"):
        write_pid(tmp_path / "pid", undo)

    assert list(tmp_path.iterdir()) == [tmp_path / "pid"]


@pytest.mark.parametrize("write", [write_cid, write_pid])
@pytest.mark.parametrize("size", [0, 1])
def test_a_full_disk_leaves_nothing(write: Callable[[Path, ExitStack], None], size: int, tmp_path: Path) -> None:
    with (
        ExitStack() as undo,
        full_after(size),
        pytest.raises(Error, match=r"write the .* file '.*there': File too"),
    ):
        write(tmp_path / "there", undo)

    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_pid_that_was_there(tmp_path: Path) -> None:
    (tmp_path / "pid").write_text("42")

    with full_after(1), pytest.raises(Error):
        id_files.replace_pid_file(str(tmp_path / "pid"), 43)

    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("pid", "42")]


def test_a_pid_of_another_start_stays(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    with ExitStack() as undo:
        write_pid(path, undo)
        path.write_text("43")

    assert path.read_text() == "43"


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with ExitStack() as undo, pytest.raises(Error, match=r"PID file '.*nowhere/pid': No such file or directory"):
        write_pid(tmp_path / "nowhere/pid", undo)
    with ExitStack() as undo, pytest.raises(Error, match=r"ID file '.*nowhere/cid': No such file or directory"):
        write_cid(tmp_path / "nowhere/cid", undo)


@pytest.mark.parametrize("is_obsolete", [True, False])
def test_the_file_of_a_container_that_is_not_needed_is_replaced(tmp_path: Path, *, is_obsolete: bool) -> None:
    path = tmp_path / "cid"
    path.write_text(OTHER_ID)
    asked: list[str] = []

    def decide(container_id: str) -> bool:
        asked.append(container_id)
        return is_obsolete

    hint = ""
    with ExitStack() as undo:
        try:
            write_cid(path, undo, decide)
        except Error as refused:
            hint = refused.hint
        undo.pop_all()

    assert asked == [OTHER_ID]
    assert path.read_text() == (ID if is_obsolete else OTHER_ID)
    assert is_obsolete != (f"ExecStartPre=rm -f {path}" in hint)


def test_a_file_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "cid").write_text("precious")

    with ExitStack() as undo, pytest.raises(Error, match="exists"):
        write_cid(tmp_path / "cid", undo)

    assert (tmp_path / "cid").read_text() == "precious"


RESERVES = """
import sys
from systemd_docker.service import id_files
from contextlib import ExitStack
undo = ExitStack()
id_files.reserve_cid_file(sys.argv[1], undo, bool)
print("reserved", flush=True)
sys.stdin.read()
"""


def test_an_empty_file_belongs_to_a_start_for_as_long_as_that_lives(tmp_path: Path) -> None:
    path = tmp_path / "cid"
    home = Path(__file__).parents[3]
    command = [sys.executable, "-c", RESERVES, str(path)]
    with subprocess.Popen(command, cwd=home, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"reserved\n"
        with ExitStack() as undo, pytest.raises(Error, match="exists"):
            write_cid(path, undo)
        other.kill()
    assert path.read_text() == ""

    with ExitStack() as undo:
        write_cid(path, undo)
        undo.pop_all()

    assert path.read_text() == ID
