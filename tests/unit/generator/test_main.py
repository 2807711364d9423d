"""The generator on load paths made from dicts: path below the root -> text, or Link(target)."""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from systemd_docker.generator import delegation, load_path, main
from systemd_docker.sd import unit_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    Tree = Mapping[str, str | bytes | "Link"]

ETC, RUN, LIB = "etc/systemd/system", "run/systemd/system", "usr/lib/systemd/system"
OUTPUT = "run/systemd/generator"
DIRECTORIES = (ETC, RUN, OUTPUT, LIB)
"""A load path, best first."""

OURS = "[Service]\nExecStart=/usr/local/bin/systemd-docker run --rm busybox\n"
OTHER = "[Service]\nExecStart=/usr/sbin/nginx\n"
DELEGATE = "[Service]\nDelegate=yes\n"
SUBGROUP = "DelegateSubgroup=supervisor\n"


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link; a target beginning with "/" is meant below the tree's root, but for /dev/null."""

    target: str


def make_tree(root: Path, tree: Tree) -> None:
    for name, content in tree.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        match content:
            case Link(target):
                absolute = target.startswith("/") and target != "/dev/null"
                path.symlink_to(root / target.lstrip("/") if absolute else target)
            case bytes():
                path.write_bytes(content)
            case str():
                path.write_text(content)


def generate(root: Path, systemd_version: int = 257) -> dict[str, str]:
    """Unit name -> text of the drop-in for Delegate= that the generator makes for it."""
    return made_by_name(root, delegation.DROP_IN, systemd_version)


def made_by_name(root: Path, drop_in: str, systemd_version: int = 257) -> dict[str, str]:
    """Unit name -> text of the drop-in of that name."""
    directories = [str(root / directory) for directory in DIRECTORIES]
    made = {file.path: file.text for file in main.generate(directories, systemd_version)}
    suffixes = tuple(f".d/{name}" for name in main.OWN_DROP_INS)
    assert all(path.endswith(suffixes) for path in made)
    suffix = f".d/{drop_in}"
    return {path.removesuffix(suffix): text for path, text in made.items() if path.endswith(suffix)}


def test_every_unit_that_runs_a_container_has_its_guard_delegated_or_not(tmp_path: Path) -> None:
    make_tree(tmp_path, {
        f"{ETC}/a.service": OURS,
        f"{ETC}/b.service": f"{OURS}Delegate=yes\n",
        f"{ETC}/c.service": OTHER,
        f"{ETC}/d@.service": OURS,
        f"{ETC}/d@1.service": Link("d@.service"),
    })  # fmt: skip

    made = made_by_name(tmp_path, delegation.GUARDS_DROP_IN)

    assert set(made) == {"a.service", "b.service", "d@.service"}
    assert set(made.values()) == {delegation.GUARDS_TEXT}


LOAD_PATHS: Mapping[str, tuple[Tree, set[str]]] = {
    "a service that runs systemd-docker": ({f"{ETC}/a.service": OURS}, {"a.service"}),
    "in every directory": (
        {f"{ETC}/a.service": OURS, f"{RUN}/b.service": OURS, f"{LIB}/c.service": OURS, f"{OUTPUT}/d.service": OURS},
        {"a.service", "b.service", "c.service", "d.service"},
    ),
    "a service that runs something else": ({f"{ETC}/a.service": OTHER}, set()),
    "only services": ({f"{ETC}/a.timer": OURS, f"{ETC}/service": OURS, f"{ETC}/a.service.bak": OURS}, set()),
    "names that units cannot have": ({f"{ETC}/a b.service": OURS}, set()),
    "a better file hides the others": ({f"{ETC}/a.service": OTHER, f"{LIB}/a.service": OURS}, set()),
    "masked by a link": ({f"{ETC}/a.service": Link("/dev/null"), f"{LIB}/a.service": OURS}, set()),
    "masked by an empty file": ({f"{ETC}/a.service": "", f"{LIB}/a.service": OURS}, set()),
    "masked, with a drop-in": (
        {f"{ETC}/a.service": Link("/dev/null"), f"{ETC}/a.service.d/x.conf": OURS, f"{LIB}/a.service": OURS},
        set(),
    ),
    "Delegate= in the unit": ({f"{ETC}/a.service": f"{OURS}Delegate=yes\n"}, set()),
    "Delegate=no in the unit": ({f"{ETC}/a.service": f"{OURS}Delegate=no\n"}, set()),
    "Delegate= with controllers": ({f"{ETC}/a.service": f"{OURS}Delegate=cpu memory\n"}, set()),
    "Delegate= without a value": ({f"{ETC}/a.service": f"{OURS}Delegate=\n"}, set()),
    "Delegate= in another section": ({f"{ETC}/a.service": f"{OURS}[X-Other]\nDelegate=yes\n"}, {"a.service"}),
    "Delegate= in a comment": ({f"{ETC}/a.service": f"{OURS}#Delegate=yes\n"}, {"a.service"}),
    "Delegate= in a drop-in": ({f"{LIB}/a.service": OURS, f"{ETC}/a.service.d/x.conf": DELEGATE}, set()),
    "Delegate= in a drop-in for a prefix": (
        {f"{ETC}/a-b.service": OURS, f"{ETC}/a-.service.d/x.conf": DELEGATE},
        set(),
    ),
    "Delegate= in a drop-in for all services": (
        {f"{ETC}/a.service": OURS, f"{RUN}/service.d/x.conf": DELEGATE},
        set(),
    ),
    "Delegate= in a drop-in of another unit": (
        {f"{ETC}/a.service": OURS, f"{ETC}/b.service.d/x.conf": DELEGATE},
        {"a.service"},
    ),
    "Delegate= in a drop-in that is masked": (
        {
            f"{ETC}/a.service": OURS,
            f"{ETC}/a.service.d/x.conf": Link("/dev/null"),
            f"{LIB}/a.service.d/x.conf": DELEGATE,
        },
        {"a.service"},
    ),
    "Delegate= in what is no drop-in": (
        {f"{ETC}/a.service": OURS, f"{ETC}/a.service.d/.x.conf": DELEGATE, f"{ETC}/a.service.d/x.conf~": DELEGATE},
        {"a.service"},
    ),
    "our own drop-in of an earlier run": (
        {f"{ETC}/a.service": OURS, f"{OUTPUT}/a.service.d/{delegation.DROP_IN}": DELEGATE},
        {"a.service"},
    ),
    "ExecStart= comes from a drop-in": (
        {f"{LIB}/a.service": OTHER, f"{ETC}/a.service.d/x.conf": OURS.replace("ExecStart", "ExecStart=\nExecStart")},
        {"a.service"},
    ),
    "ExecStart= is reset by a drop-in": (
        {f"{LIB}/a.service": OURS, f"{ETC}/a.service.d/x.conf": "[Service]\nExecStart=\nExecStart=/bin/true\n"},
        set(),
    ),
    "drop-ins are read by name, not by directory": (
        {
            f"{LIB}/a.service": OTHER,
            f"{LIB}/a.service.d/20-ours.conf": OURS,
            f"{ETC}/a.service.d/10-reset.conf": "[Service]\nExecStart=\n",
            f"{RUN}/service.d/15-other.conf": OTHER,
        },
        {"a.service"},
    ),
    "drop-ins without a unit": ({f"{ETC}/a.service.d/x.conf": OURS}, set()),
    "ExecStart= for a prefix": (
        {
            f"{LIB}/a-b.service": "[Service]\n",
            f"{LIB}/a-b-c.service": "[Service]\n",
            f"{LIB}/ab.service": "[Service]\n",
        }
        | {f"{ETC}/a-.service.d/x.conf": OURS},
        {"a-b.service", "a-b-c.service"},
    ),
    "a template": ({f"{LIB}/a@.service": OURS}, {"a@.service"}),
    "an instance with a file of its own": ({f"{LIB}/a@.service": OTHER, f"{ETC}/a@b.service": OURS}, {"a@b.service"}),
    "an instance with drop-ins of its own": (
        {f"{LIB}/a@.service": OTHER, f"{ETC}/a@b.service.d/x.conf": OURS},
        {"a@b.service"},
    ),
    "an instance whose template has our drop-in": (
        {f"{LIB}/a@.service": OURS, f"{ETC}/a@b.service.d/x.conf": "[Service]\nNice=5\n"},
        {"a@.service"},
    ),
    "Delegate= for a template": ({f"{LIB}/a@.service": OURS, f"{ETC}/a@.service.d/x.conf": DELEGATE}, set()),
    "Delegate= for a template counts for its instance": (
        {f"{LIB}/a@.service": OTHER, f"{ETC}/a@b.service": OURS, f"{ETC}/a@.service.d/x.conf": DELEGATE},
        set(),
    ),
    "an enabled instance": (
        {f"{LIB}/a@.service": OURS, f"{ETC}/multi-user.target.wants/a@b.service": Link(f"/{LIB}/a@.service")},
        {"a@.service"},
    ),
    "an instance that links to its template": (
        {f"{LIB}/a@.service": OURS, f"{ETC}/a@b.service": Link(f"/{LIB}/a@.service")},
        {"a@.service"},
    ),
    "an alias is no unit of its own": (
        {f"{LIB}/a.service": OURS, f"{ETC}/b.service": Link("a.service")},
        {"a.service"},
    ),
    "an alias of an alias": (
        {
            f"{LIB}/a.service": OURS,
            f"{ETC}/b.service": Link("c.service"),
            f"{ETC}/c.service": Link(f"/{LIB}/a.service"),
        },
        {"a.service"},
    ),
    "Delegate= in a drop-in of an alias": (
        {f"{LIB}/a.service": OURS, f"{ETC}/b.service": Link("a.service"), f"{ETC}/b.service.d/x.conf": DELEGATE},
        set(),
    ),
    "aliases that go in circles": (
        {f"{ETC}/a.service": Link("b.service"), f"{ETC}/b.service": Link("a.service"), f"{ETC}/c.service": OURS},
        {"c.service"},
    ),
    "an alias of what is not there": ({f"{ETC}/a.service": Link("b.service")}, set()),
    "a unit linked from elsewhere": (
        {"opt/x.service": OURS, f"{ETC}/a.service": Link("/opt/x.service")},
        {"a.service"},
    ),
    "a link to nowhere": ({f"{ETC}/a.service": Link("/opt/x.service"), f"{ETC}/b.service": OURS}, {"b.service"}),
    "a directory of that name": ({f"{ETC}/a.service/x": "", f"{ETC}/b.service": OURS}, {"b.service"}),
    "bytes that are no text": ({f"{ETC}/a.service": b"\xff\xfe[\n" + OURS.encode() + b"\0\xff="}, {"a.service"}),
}


@pytest.mark.parametrize(("tree", "expected"), LOAD_PATHS.values(), ids=LOAD_PATHS)
def test_who_gets_a_drop_in(tree: Tree, expected: set[str], tmp_path: Path) -> None:
    make_tree(tmp_path, tree)

    assert set(generate(tmp_path)) == expected


@pytest.mark.parametrize(
    ("name", "levels"),
    [
        ("a", "a"),
        ("a-b-c", "a-b-c a-b- a-"),
        ("a-", "a-"),
        ("-a", "-a -"),
        ("a@", "a@"),
        ("a-b@", "a-b@ a- a-@"),
        ("a@b-c", "a@b-c a@"),
        ("a-b-c@i", "a-b-c@i a-b-c@ a-b- a- a-b-@i a-b-@ a-@i a-@"),
    ],
)
def test_drop_in_directories_of_a_name(name: str, levels: str) -> None:
    expected = [f"{level}.service" for level in levels.split()]

    assert list(load_path.drop_in_levels(f"{name}.service")) == expected


@pytest.mark.parametrize(
    "command",
    [
        "systemd-docker run x",
        '"/opt/a b/systemd-docker" run x',
        "-/usr/bin/systemd-docker run x",
        "@/usr/bin/systemd-docker argv0 run x",
        "+-:/usr/bin/systemd-docker run x",
        "/usr/bin/systemd-docker --cgroups name=systemd --logs=false run x",
        "/usr/bin/systemd-docker $OPTIONS run x",
        "/usr/bin/systemd-docker \\\n  run x",
        "/bin/true ; /usr/bin/systemd-docker run x",
        "/usr/bin/env A=b systemd-docker run x",
        "/usr/bin/nice -n 5 /usr/bin/systemd-docker run x",
        "/usr/bin/env nice sh -c 'systemd-docker run x'",
        "/bin/sh -c 'systemd-docker run x'",
        "/bin/sh -ec 'cd / && A=b exec /usr/bin/systemd-docker run x'",
        "/bin/bash -lc 'if test -e /x; then systemd-docker run x; fi'",
        "/bin/sh -c 'for i in 1; do systemd-docker run x sh -c \"a; b\"; done'",
        "/bin/sh -c 'ip=$$(hostname -i); systemd-docker run -e IP=$$ip x'",
    ],
)
def test_command_lines_that_run_a_container(command: str) -> None:
    unit = unit_file.parse(f"[Service]\nExecStart={command}\n")

    assert delegation.drop_in(unit, 252) == delegation.TEXT


@pytest.mark.parametrize(
    "command",
    [
        "",
        "/usr/bin/systemd-docker check",
        "/usr/bin/systemd-docker-generator run",
        "/usr/bin/not-systemd-docker run",
        "/usr/bin/docker run phlax/systemd-docker run",
        "/bin/echo systemd-docker run",
        "/bin/sh -c 'echo systemd-docker run'",
        "/bin/sh systemd-docker run",
        "/bin/sh -c",
        "/bin/sh -c ''",
        "/usr/bin/env",
        "systemd-docker run 'x",
        "- systemd-docker run",
    ],
)
def test_command_lines_that_run_none(command: str) -> None:
    unit = unit_file.parse(f"[Service]\nExecStart={command}\nExecStartPre=/usr/bin/systemd-docker run x\n")

    assert delegation.drop_in(unit, 252) == ""


@pytest.mark.parametrize(
    ("unit", "systemd_version", "subgroup"),
    [
        (OURS, 0, False),
        (OURS, 253, False),
        (OURS, 254, True),
        (OURS, 262, True),
        (f"{OURS}DelegateSubgroup=mine\n", 257, False),
    ],
)
def test_a_subgroup_where_systemd_knows_it(unit: str, systemd_version: int, subgroup: bool) -> None:  # noqa: FBT001
    text = delegation.drop_in(unit_file.parse(unit), systemd_version)

    assert unit_file.parse(text).values("Service", "Delegate") == ("yes",)
    assert text.endswith(SUBGROUP) == subgroup


def test_the_units_we_install_need_no_drop_in() -> None:
    units = Path(__file__).parents[3] / "units"

    for path in units.glob("*.service"):
        unit = unit_file.parse(path.read_text())
        assert delegation.runs_container(unit) is (path.name != "systemd-docker-guards.service"), path.name
        assert delegation.drop_in(unit, 257) == "", path.name


def test_other_drop_ins_are_read_later_and_win() -> None:
    assert min("00-a.conf", "10-a.conf", "A.conf", "_.conf", delegation.DROP_IN) == delegation.DROP_IN


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary())
def test_no_bytes_make_it_fail(tmp_path: Path, garbage: bytes) -> None:
    unit = tmp_path / ETC / "a.service"
    unit.parent.mkdir(parents=True, exist_ok=True)
    unit.write_bytes(OURS.encode() + garbage)

    assert set(generate(tmp_path)) <= {"a.service"}


def test_a_fifo_does_not_block_and_a_huge_file_is_not_read(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make_tree(tmp_path, {f"{ETC}/b.service": OURS, f"{ETC}/huge.service": OURS})
    os.mkfifo(tmp_path / ETC / "a.service")
    os.truncate(tmp_path / ETC / "huge.service", load_path.UNIT_SIZE_MAX + 1)

    assert set(generate(tmp_path)) == {"b.service"}
    assert capfd.readouterr().err.endswith("huge.service', as if it were empty: File too large\n")


def test_files_are_written_below_the_normal_directory(tmp_path: Path) -> None:
    make_tree(tmp_path, {f"{ETC}/a.service": OURS})
    made = main.generate([str(tmp_path / ETC)], 0)

    assert main.write(made, str(tmp_path)) == 0

    path = tmp_path / "a.service.d" / delegation.DROP_IN
    assert path.read_text() == delegation.TEXT
    assert stat.S_IMODE(path.stat().st_mode) & 0o444 == 0o444


def test_one_file_that_cannot_be_written_does_not_stop_the_others(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.service.d").touch()
    one, other = (main.GeneratedFile(f"{name}.service.d/x.conf", "") for name in "ab")

    assert main.write([one, other], str(tmp_path)) == 0
    assert main.write([one], str(tmp_path)) == 1

    assert (tmp_path / "b.service.d/x.conf").exists()
    assert "a.service.d/x.conf: " in capfd.readouterr().err


def test_a_dry_run_shows_and_writes_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make_tree(tmp_path, {f"{OUTPUT}/a.service": OURS})

    assert main.main(["--dry-run", str(tmp_path / OUTPUT)]) == 0

    assert f"# a.service.d/{delegation.DROP_IN}\n{delegation.TEXT}" in capfd.readouterr().out
    assert os.listdir(tmp_path / OUTPUT) == ["a.service"]


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["--help"], ["a", "b", "c", "d"]])
def test_a_wrong_command_line(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main.main(["--dry-run", *arguments]) == 1

    assert "usage: systemd-docker-generator" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("content", "version"),
    [
        (b"\0libsystemd-shared-252.so\0", 252),
        (b"\0libsystemd-shared-254.5-1.fc39.so\0", 254),
        (b"\0libsystemd-shared-x.so\0", 0),
        (b"libsystemd-shared-", 0),
        (b"#!/bin/sh\n", 0),
        (None, 0),
    ],
)
def test_the_version_of_a_service_manager(content: bytes | None, version: int, tmp_path: Path) -> None:
    executable = tmp_path / "systemd"
    if content is not None:
        executable.write_bytes(content)

    assert main.systemd_version(str(executable)) == version


def test_the_import_set_is_small() -> None:
    """Every reload of the system waits for it."""
    program = (
        f"import sys; sys.path.append({str(Path(__file__).parents[3])!r});"
        "import systemd_docker.generator.main; print(*sys.modules)"
    )

    with os.popen(f'{sys.executable} -IS -c "{program}"') as output:
        modules = set(output.read().split())

    assert modules.isdisjoint({"re", "json", "socket", "dataclasses", "pathlib", "typing", "subprocess", "enum"})
    assert {name for name in modules if name.startswith("systemd_docker.")} == {
        "systemd_docker.log",
        "systemd_docker.generator",
        "systemd_docker.generator.delegation",
        "systemd_docker.generator.load_path",
        "systemd_docker.generator.main",
        "systemd_docker.frozen",
        "systemd_docker.sd",
        "systemd_docker.sd.unit_file",
    }
