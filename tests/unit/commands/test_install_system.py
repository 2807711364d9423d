"""What install-system puts below a root, and that it takes away what it put there, and nothing else."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import sdnotify

from systemd_docker import __version__
from systemd_docker.commands import install_system, installed_files
from systemd_docker.commands.installed_files import Environment
from systemd_docker.errors import UsageError

CHECKOUT = Path(__file__).parents[3]

EVERYTHING = {
    "etc/systemd/docker/hello-world.conf": 0o644,
    "usr/local/bin/systemd-docker": 0o755,
    "usr/local/bin/systemd-docker-runc": 0o755,
    "usr/local/lib/systemd-docker/program.zip": 0o644,
    "usr/local/lib/systemd/system-generators/systemd-docker-generator": 0o755,
    "usr/local/lib/systemd/system/docker@.service": 0o644,
    "usr/local/lib/systemd/system/hello-world.service": 0o644,
    "usr/local/lib/systemd/system/systemd-docker-guards.service": 0o644,
}
"""All files but the manual pages, with their modes."""

CONFIGURATION = "etc/systemd/docker/hello-world.conf"


def install(root: Path, *options: str) -> None:
    assert install_system.main([f"--root={root}", *options]) == 0


def files(root: Path) -> dict[str, int]:
    """Path below root -> permission bits, but for manual pages."""
    paths = [path for path in root.rglob("*") if path.is_file() and "man" not in path.parts]
    return {str(path.relative_to(root)): stat.S_IMODE(path.stat().st_mode) for path in paths}


def test_everything_is_in_the_directories_that_systemd_looks_into(tmp_path: Path) -> None:
    install(tmp_path)

    assert files(tmp_path) == EVERYTHING


def test_a_checkout_has_no_manual_pages_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(tmp_path)

    assert not (tmp_path / "usr/local/share/man").exists()
    assert "warning: no manual pages: " in capsys.readouterr().err


def test_a_second_installation_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(tmp_path)
    before = {path: path.stat().st_ino for path in tmp_path.rglob("*")}
    capsys.readouterr()

    install(tmp_path)

    assert {path: path.stat().st_ino for path in tmp_path.rglob("*")} == before
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()} == {"unchanged", "kept"}


def test_an_upgrade_leaves_a_running_program_its_file(tmp_path: Path) -> None:
    archive = tmp_path / "usr/local/lib/systemd-docker/program.zip"
    install(tmp_path)
    content = archive.read_bytes()
    archive.write_bytes(b"of another version")

    with archive.open("rb") as held:
        install(tmp_path)

        assert archive.read_bytes() == content
        assert held.read() == b"of another version"


def test_a_file_that_was_changed_is_written_anew(tmp_path: Path) -> None:
    launcher = tmp_path / "usr/local/bin/systemd-docker"
    install(tmp_path)
    installed = launcher.read_text()
    launcher.write_text("tampered with")
    launcher.chmod(0o600)

    install(tmp_path)

    assert launcher.read_text() == installed
    assert files(tmp_path) == EVERYTHING


def test_the_administrators_configuration_stays(tmp_path: Path) -> None:
    configuration = tmp_path / CONFIGURATION
    configuration.parent.mkdir(parents=True)
    configuration.write_text("IMAGE=mine\n")

    install(tmp_path)
    assert configuration.read_text() == "IMAGE=mine\n"

    install(tmp_path, "--uninstall")
    assert files(tmp_path) == {CONFIGURATION: 0o644}


def test_uninstall_leaves_other_peoples_files_alone(tmp_path: Path) -> None:
    other = tmp_path / "usr/local/lib/systemd/system/other.service"
    other.parent.mkdir(parents=True)
    other.touch(0o644)
    install(tmp_path)

    install(tmp_path, "--uninstall")

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [other]
    assert not (tmp_path / "usr/local/lib/systemd/system-generators").exists()
    assert not (tmp_path / "etc/systemd").exists()


def test_an_enabled_unit_stays_enabled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wants = tmp_path / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True)
    (wants / "hello-world.service").symlink_to("/usr/local/lib/systemd/system/hello-world.service")
    (wants / "other.service").symlink_to("/usr/local/lib/systemd/system/other.service")

    install(tmp_path)
    install(tmp_path, "--uninstall")

    assert (wants / "hello-world.service").is_symlink()
    lines = [line for line in capsys.readouterr().out.splitlines() if "/etc/systemd/system/" in line]
    link = "/etc/systemd/system/multi-user.target.wants/hello-world.service"
    assert lines == [f"kept       {link}, by which that unit was enabled"]


def test_another_prefix_is_in_the_units_too(tmp_path: Path) -> None:
    install(tmp_path, "--prefix=/usr")

    unit = (tmp_path / "usr/lib/systemd/system/hello-world.service").read_text()

    assert "ExecStart=/usr/bin/systemd-docker run" in unit
    assert (tmp_path / "usr/bin/systemd-docker").exists()


def test_a_prefix_that_systemd_does_not_read_is_doubted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(tmp_path, "--prefix=/opt/x")

    assert "not below /opt/x" in capsys.readouterr().err


def test_a_foreign_owner_of_the_code_is_doubted(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to give a directory away")
    (tmp_path / "lib").mkdir()
    os.chown(tmp_path / "lib", 4711, 4711)

    doubts = list(install_system.doubts(Environment("/python", ("/lib",)), tmp_path, Path("/usr")))

    assert doubts == ["services will run code from /lib, which belongs to user 4711"]


def test_an_interrupted_write_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "usr/local/bin/systemd-docker"
    target.mkdir(parents=True)  # rename(2) refuses to put a file over a directory

    with pytest.raises(OSError, match="systemd-docker"):
        install(tmp_path)

    assert [path.name for path in target.parent.iterdir()] == [target.name]


def runnable(root: Path, path: str) -> Path:
    """A copy of a launcher below root that finds its archive without chroot(2)."""
    copy = root / Path(path).name
    copy.write_text((root / path).read_text().replace("'/usr/local/lib/", f"'{root}/usr/local/lib/"))
    copy.chmod(0o755)
    return copy


def test_launchers_run_without_site_and_from_anywhere(tmp_path: Path) -> None:
    install(tmp_path)
    launcher = runnable(tmp_path, "usr/local/lib/systemd/system-generators/systemd-docker-generator")
    (tmp_path / "systemd_docker.py").write_text("raise SystemExit('imported from the working directory')")
    output = tmp_path / "generator"
    output.mkdir()

    result = subprocess.run(
        [launcher, "--dry-run", output],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        check=False,
    )

    assert (result.returncode, result.stderr) == (0, b"")


def test_the_launcher_starts_the_command_line(tmp_path: Path) -> None:
    install(tmp_path)

    result = subprocess.run(
        [runnable(tmp_path, "usr/local/bin/systemd-docker"), "--version"], capture_output=True, check=True
    )

    assert result.stdout.decode() == f"systemd-docker {__version__}\n"


def test_what_is_installed_can_install_and_uninstall_itself(tmp_path: Path) -> None:
    install(tmp_path)
    launcher = runnable(tmp_path, "usr/local/bin/systemd-docker")
    archive = tmp_path / "usr/local/lib/systemd-docker/program.zip"
    content = archive.read_bytes()
    other = tmp_path / "other"

    subprocess.run([launcher, "install-system", f"--root={other}"], capture_output=True, check=True)
    subprocess.run([launcher, "install-system", f"--root={tmp_path}", "--uninstall"], capture_output=True, check=True)

    assert (other / "usr/local/lib/systemd-docker/program.zip").read_bytes() == content
    assert files(other) == EVERYTHING
    assert not (tmp_path / "usr/local/lib/systemd-docker").exists()


def test_a_launcher_finds_every_dependency(tmp_path: Path) -> None:
    install(tmp_path)
    launcher = runnable(tmp_path, "usr/local/bin/systemd-docker").read_text()
    shebang, rest = launcher.split("\n", 1)
    program = rest.split("from systemd_docker.__main__")[0] + (
        "import docker, sdnotify, systemd._daemon, systemd_docker\n"
        "assert sys.flags.isolated and sys.flags.no_site and sys.flags.utf8_mode"
    )

    result = subprocess.run([*shebang.removeprefix("#!").split(), "-c", program], capture_output=True, check=False)

    assert (result.returncode, result.stderr) == (0, b"")


def test_paths_inside_files_are_those_of_the_root(tmp_path: Path) -> None:
    """An environment that lives below the root, as in an image that is being made."""
    site = tmp_path / "opt/venv/lib/site-packages"
    shutil.copytree(
        CHECKOUT / "systemd_docker", site / "systemd_docker", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copytree(CHECKOUT / "units", site / "systemd_docker/resources/units")
    (site / "systemd_docker/resources/man/systemd-docker.1").write_text(".TH X 1\n")
    shutil.copytree(Path(sdnotify.__file__).parent, site / "sdnotify", ignore=shutil.ignore_patterns("__pycache__"))
    program = (
        f"import sys; sys.path.insert(0, {str(site)!r});"
        "from systemd_docker.commands.install_system import main;"
        f"sys.exit(main(['--root={tmp_path}']))"
    )

    subprocess.run([sys.executable, "-c", program], stdout=subprocess.DEVNULL, check=True)

    launcher = (tmp_path / "usr/local/bin/systemd-docker").read_text()
    assert "*['/opt/venv/lib/site-packages', " in launcher
    assert "os.open('/usr/local/lib/systemd-docker/program.zip'" in launcher
    assert (tmp_path / "usr/local/lib/systemd/system/docker@.service").exists()
    assert (tmp_path / "usr/local/share/man/man1/systemd-docker.1").read_text() == ".TH X 1\n"
    (cache,) = (site / "sdnotify/__pycache__").glob("__init__.*.pyc")
    assert b"/opt/venv/lib/site-packages/sdnotify/__init__.py" in cache.read_bytes()
    assert str(tmp_path).encode() not in cache.read_bytes()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--uninstal", "unrecognized arguments: --uninstal"),
        ("--prefix", "argument --prefix: expected one argument"),
        ("everything", "unrecognized arguments: everything"),
    ],
)
def test_wrong_options_are_usage_errors(option: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        install_system.main([option])
    assert caught.value.hint == "See 'systemd-docker install-system --help'."


def test_a_module_that_is_missing_is_named() -> None:
    with pytest.raises(UsageError, match="cannot find the module 'systemd_docker_no_such_module'"):
        installed_files.module_home("systemd_docker_no_such_module")


@pytest.mark.parametrize(
    ("exec_start", "runs"),
    [
        ("{ path=/usr/local/bin/systemd-docker ; argv[]=/usr/local/bin/systemd-docker run web ; pid=1 }", True),
        ("{ path=systemd-docker ; argv[]=systemd-docker run web ; pid=1 }", True),
        ("{ path=/bin/sh ; argv[]=/bin/sh -c exec /usr/local/bin/systemd-docker run web ; pid=1 }", True),
        ("{ path=/opt/bin/systemd-docker ; argv[]=/opt/bin/systemd-docker run web ; pid=1 }", False),
        ("", False),
    ],
)
def test_a_unit_that_runs_the_program_is_known_by_its_command(exec_start: str, *, runs: bool) -> None:
    assert install_system.runs_program(exec_start, Path("/usr/local")) is runs
