from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING

import pytest

from systemd_docker.kernel import inotify

if TYPE_CHECKING:
    from pathlib import Path


def is_readable(fd: int) -> bool:
    return bool(select.select([fd], [], [], 0)[0])


def test_a_new_file_makes_the_watch_readable(tmp_path: Path) -> None:
    fd = inotify.watch(str(tmp_path), inotify.IN_CREATE)
    try:
        assert not is_readable(fd)

        (tmp_path / "docker.sock").touch()

        assert is_readable(fd)
        assert not os.get_inheritable(fd)
    finally:
        os.close(fd)


def test_a_path_that_is_not_there_leaves_no_descriptor(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="inotify_add_watch"):
        inotify.watch(str(tmp_path / "nowhere"), inotify.IN_CREATE)
