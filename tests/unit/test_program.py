"""The program as one file: a process keeps the one that it was started from, whatever is installed meanwhile."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from systemd_docker import program
from systemd_docker.commands import installed_files, program_archive
from systemd_docker.commands.installed_files import ARCHIVE

MAIN = """
import os, sys
from systemd_docker import program
from systemd_docker.parts import early

def main():
    print(early.VERSION, program.held_fd() > 2, os.environ.get("AGAIN", "first"), *sys.argv[1:], flush=True)
    for line in sys.stdin:
        match line.strip():
            case "again":
                program.execute_again({**os.environ, "AGAIN": "again"})
            case "late":
                from systemd_docker.parts import late
                print(late.VERSION, flush=True)
            case "unchanged":
                print(program.is_unchanged(), flush=True)
            case "spawn":
                child = "import sys; sys.path[:] = sys.argv[1:]; from systemd_docker.parts import late; late.say()"
                fd = program.held_fd()
                argv = [sys.executable, "-IS", "-c", child, *sys.path]
                os.waitpid(os.posix_spawn(argv[0], argv, {}, file_actions=[(os.POSIX_SPAWN_DUP2, fd, fd)]), 0)
            case "name":
                print(open("/proc/self/comm").read().strip(), flush=True)
            case "fail":
                try:
                    early.fail()
                except ValueError:
                    import traceback
                    print(ascii(traceback.format_exc()), flush=True)

if __name__ == "__main__":
    main()
"""

EARLY = """
VERSION = "{version}"
def fail():
    raise ValueError("of version {version}")
"""


class Package:
    """A package of a few modules that is built and started as systemd-docker is."""

    def __init__(self, directory: Path) -> None:
        self.folder = directory / "source" / "systemd_docker"
        self.archive = directory / ARCHIVE
        self.launcher = directory / "systemd-docker"
        self._parts = self.folder / "parts"
        self._parts.mkdir(parents=True)
        for package in (self.folder, self._parts):
            (package / "__init__.py").touch()
        shutil.copy(program.__file__, self.folder)
        (self.folder / "__main__.py").write_text(MAIN)
        self.archive.parent.mkdir(parents=True)

    def write(self, version: str) -> None:
        (self._parts / "early.py").write_text(EARLY.format(version=version))
        (self._parts / "late.py").write_text(f"VERSION = {version!r}\ndef say(): print(VERSION)\n")

    def install(self, version: str) -> None:
        self.write(version)
        new = self.archive.with_name("new")
        new.write_bytes(program_archive.build(self.folder, {}))
        new.rename(self.archive)
        self.launcher.write_text(
            installed_files.LAUNCHER.format(
                python=sys.executable, archive=str(self.archive), import_path=[], module="systemd_docker.__main__"
            )
        )
        self.launcher.chmod(0o755)

    def uninstall(self) -> None:
        self.archive.unlink()
        self.launcher.unlink()
        shutil.rmtree(self.folder)

    def start(self) -> Process:
        return Process([str(self.launcher), "a", "b c"])


class Process:
    """A process that says one line, and one more for each line that it is told."""

    def __init__(self, argv: list[str], directory: Path | None = None) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(argv, cwd=directory, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        self.greeting = self._line()

    def ask(self, line: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self._line()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def end(self) -> str:
        """What it has written to standard error."""
        return self.process.communicate(timeout=10)[1]


@pytest.fixture
def package(tmp_path: Path) -> Package:
    package = Package(tmp_path)
    package.install("1")
    return package


def test_the_same_sources_make_the_same_archive(package: Package) -> None:
    first = package.archive.read_bytes()
    for path in package.folder.rglob("*.py"):
        os.utime(path, (1, 1))

    assert program_archive.build(package.folder, {}) == first


def test_what_is_built_is_a_zip_archive_with_sources_and_resources(package: Package, tmp_path: Path) -> None:
    path = tmp_path / "program.zip"
    path.write_bytes(program_archive.build(package.folder, {"resources/units/x.service": b"[Unit]\n"}))

    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.read("systemd_docker/__main__.py").decode() == MAIN
        assert archive.read("systemd_docker/resources/units/x.service") == b"[Unit]\n"


@pytest.mark.parametrize("again", [0, 1, 3], ids="executed again {} times".format)
@pytest.mark.parametrize("change", ["upgrade", "removal"])
def test_a_process_keeps_the_program_that_it_was_started_from(package: Package, change: str, again: int) -> None:
    process = package.start()
    assert process.greeting == "1 True first a b c"

    package.install("2") if change == "upgrade" else package.uninstall()
    for _ in range(again):
        assert process.ask("again") == "1 True again a b c"

    assert process.ask("late") == "1"
    assert process.ask("unchanged") == "True"
    assert process.end() == ""


def test_a_child_that_inherits_the_archive_finds_the_same_modules(package: Package) -> None:
    process = package.start()
    package.install("2")

    assert process.ask("spawn") == "1"
    assert process.end() == ""


def test_the_process_is_named_after_the_program(package: Package) -> None:
    process = package.start()
    assert process.ask("name") == "systemd-docker"
    assert process.ask("again")

    command_line = Path(f"/proc/{process.process.pid}/cmdline").read_text().split("\0")

    assert process.ask("name") == "systemd-docker"
    assert "-Xsystemd-docker" in command_line
    assert process.end() == ""


def test_a_process_whose_proc_is_read_only_runs_on(package: Package) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to mount")
    script = 'mount --bind /proc /proc && mount -o remount,bind,ro /proc && exec "$0"'
    process = Process(["unshare", "--mount", "sh", "-c", script, str(package.launcher)])

    assert process.ask("again") == "1 True again"
    assert process.ask("late") == "1"
    assert process.end() == ""


def test_no_descriptor_is_left_open(package: Package) -> None:
    process = package.start()
    descriptors = Path(f"/proc/{process.process.pid}/fd")
    before = {path.name for path in descriptors.iterdir()}

    process.ask("again")

    assert {path.name for path in descriptors.iterdir()} == before
    assert process.end() == ""


def test_a_traceback_shows_the_lines_of_the_version_that_runs(package: Package) -> None:
    process = package.start()
    package.install("2")

    assert 'raise ValueError("of version 1")' in process.ask("fail")
    assert process.end() == ""


def test_a_standard_stream_that_is_closed_does_not_become_the_archive(package: Package) -> None:
    argv = ["sh", "-c", f"exec {package.launcher} x <&-; "]

    result = subprocess.run(argv, capture_output=True, text=True, check=False)

    assert result.stdout == "1 True first x\n"


def test_another_python_runs_the_source(package: Package) -> None:
    """The magic number that stands in each compiled module is another one."""
    entries = {}
    with zipfile.ZipFile(package.archive) as archive:
        for info in archive.infolist():
            data = archive.read(info)
            entries[info.filename] = b"\0\0\r\n" + data[4:] if info.filename.endswith(".pyc") else data
    with zipfile.ZipFile(package.archive, "w") as archive:
        for name, data in entries.items():
            archive.writestr(zipfile.ZipInfo(name), data)

    process = package.start()

    assert process.greeting == "1 True first a b c"
    package.install("2")
    assert process.ask("again") == "1 True again a b c"
    assert process.ask("late") == "1"
    assert process.end() == ""


class FromFolder:
    """A process that runs from a folder, as `python3 -m systemd_docker` does."""

    def __init__(self, package: Package) -> None:
        self.folder = package.folder
        self.process = Process([sys.executable, "-B", "-m", "systemd_docker"], package.folder.parent)


def _edit(folder: Path) -> None:
    (folder / "parts" / "late.py").write_text("VERSION = 'edited'\n")


def _replace(folder: Path) -> None:
    (folder / "new").touch()
    (folder / "new").rename(folder / "parts" / "late.py")


def _remove_module(folder: Path) -> None:
    (folder / "parts" / "late.py").unlink()


def _add_module(folder: Path) -> None:
    (folder / "parts" / "another.py").touch()


def _replace_dependency(folder: Path) -> None:
    (folder / "new").touch()
    (folder / "new").rename(folder / "__init__.py")


CHANGES = [_edit, _replace, _remove_module, _add_module, shutil.rmtree]


@pytest.mark.parametrize("change", CHANGES)
def test_a_folder_that_was_changed_is_not_the_same_program(package: Package, change: object) -> None:
    running = FromFolder(package)
    assert running.process.greeting == "1 False first"
    assert running.process.ask("unchanged") == "True"

    assert callable(change)
    change(running.folder)

    assert running.process.ask("unchanged") == "False"
    assert running.process.end() == ""


def test_a_folder_that_got_caches_is_the_same_program(package: Package) -> None:
    running = FromFolder(package)

    (running.folder / "__pycache__").mkdir()
    (running.folder / "__pycache__" / "late.cpython-311.pyc").touch()

    assert running.process.ask("unchanged") == "True"
    assert running.process.end() == ""


@pytest.fixture
def dependency(package: Package) -> Path:
    directory = package.folder.parent / "sdnotify"
    directory.mkdir()
    (directory / "__init__.py").touch()
    return directory


@pytest.mark.parametrize("change", [_replace_dependency, shutil.rmtree])
def test_a_dependency_that_was_changed_is_not_the_same_program(
    package: Package, dependency: Path, change: object
) -> None:
    running = FromFolder(package)
    assert running.process.ask("unchanged") == "True"

    assert callable(change)
    change(dependency)

    assert running.process.ask("unchanged") == "False"
    assert running.process.end() == ""


def test_a_dependency_that_got_caches_is_the_same_program(package: Package, dependency: Path) -> None:
    running = FromFolder(package)

    (dependency / "__pycache__").mkdir()

    assert running.process.ask("unchanged") == "True"
    assert running.process.end() == ""
