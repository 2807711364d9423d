from __future__ import annotations

import os
from pathlib import Path

import pytest

from systemd_docker import unit
from systemd_docker.frozen import replace

MOUNTINFO = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"


def fake_proc(directory: Path, cgroup_text: str, mountinfo: str = MOUNTINFO) -> str:
    (directory / "self").mkdir()
    (directory / "self/mountinfo").write_text(mountinfo)
    (directory / "self/cgroup").write_text(cgroup_text)
    return str(directory)


@pytest.mark.parametrize(
    ("path", "name", "service"),
    [
        ("/system.slice/web.service", "web.service", "/system.slice/web.service"),
        ("/system.slice/web.service/supervisor", "web.service", "/system.slice/web.service"),
        (
            "/user.slice/user-1.slice/user@1.service/app.slice/web.service/supervisor",
            "web.service",
            "/user.slice/user-1.slice/user@1.service/app.slice/web.service",
        ),
        ("/system.slice/_cpu.service", "cpu.service", "/system.slice/_cpu.service"),
        ("/system.slice/docker@a\\x2db.service", "docker@a\\x2db.service", "/system.slice/docker@a\\x2db.service"),
        ("/user.slice/user-0.slice/session-1.scope", "", ""),
        ("/user.slice/user-1.slice/user@1.service/app.slice/vte-spawn-1.scope", "", ""),
        ("/user.slice/user-1.slice/user@1.service/tmux-spawn-1.scope", "", ""),
        ("/system.slice/containerd.service/kubepods-x.slice/cri-1.scope", "", ""),
        ("/system.slice/web:blue.service", "web:blue.service", "/system.slice/web:blue.service"),
        (f"/system.slice/{'w' * 247}.service", f"{'w' * 247}.service", f"/system.slice/{'w' * 247}.service"),
        ("/", "", ""),
    ],
)
def test_the_service_is_the_last_component_that_is_one(path: str, name: str, service: str) -> None:
    assert unit.service_of(path) == (name, service)


def test_everything_is_read_once(tmp_path: Path) -> None:
    environ = {
        "INVOCATION_ID": "0123456789abcdef0123456789abcdef",
        "NOTIFY_SOCKET": "/run/systemd/notify",
        "WATCHDOG_USEC": "2000000",
        "WATCHDOG_PID": str(os.getpid()),
        "RUNTIME_DIRECTORY": "/run/web:/run/other",
        "DOCKER_CONFIG": "/etc/docker-cli",
    }

    context = unit.read_unit(environ, fake_proc(tmp_path, "0::/system.slice/web.service/supervisor\n"))

    assert context.name == "web.service"
    assert context.cgroup is not None
    assert context.cgroup.path == "/system.slice/web.service"
    assert context.unified
    assert not context.is_user
    assert context.watchdog_usec == 2_000_000
    assert context.runtime_directory == "/run/web"
    assert context.docker_config_path == "/etc/docker-cli/config.json"
    assert context.engine_address == "unix:///var/run/docker.sock"


@pytest.mark.parametrize(
    ("mounted", "unified", "is_v1_alone"),
    [(("cgroup2",), True, False), (("cgroup",), False, True), (("cgroup", "cgroup2"), False, False)],
)
@pytest.mark.parametrize("is_systemds", [True, False], ids=["systemd's", "another's"])
def test_who_keeps_the_unit_in_which_tree(
    tmp_path: Path, mounted: tuple[str, ...], *, unified: bool, is_v1_alone: bool, is_systemds: bool
) -> None:
    options = {"cgroup": "rw,name=systemd", "cgroup2": "rw"}
    mountinfo = "".join(f"31 30 0:2 / {tmp_path}/{kind} rw - {kind} none {options[kind]}\n" for kind in mounted)
    proc = fake_proc(tmp_path, "1:name=systemd:/web.service\n0::/web.service\n", mountinfo)
    if is_systemds:
        (tmp_path / "cgroup2/web.service").mkdir(parents=True)

    context = unit.read_unit({}, proc)

    assert context.unified is unified
    assert context.is_v1_alone is (is_v1_alone or (not unified and not is_systemds))


@pytest.mark.parametrize("environ", [{}, {"XDG_RUNTIME_DIR": "/run/user/0"}], ids=["bare", "login"])
def test_a_shell_of_roots_is_no_service(tmp_path: Path, environ: dict[str, str]) -> None:
    context = unit.read_unit(environ, fake_proc(tmp_path, "0::/user.slice/user-0.slice/session-1.scope\n"))

    assert context.name == ""
    assert context.cgroup is None
    assert context.runtime_directory == ("/run" if os.geteuid() == 0 else environ.get("XDG_RUNTIME_DIR", "/run"))


def test_a_users_unit_has_the_users_runtime_directory(tmp_path: Path) -> None:
    proc = fake_proc(tmp_path, "0::/user.slice/user-1.slice/user@1.service/app.slice/web.service\n")

    assert unit.read_unit({"XDG_RUNTIME_DIR": "/run/user/1"}, proc).runtime_directory == "/run/user/1"


def test_no_cgroup_filesystem_is_no_service(tmp_path: Path) -> None:
    assert unit.read_unit({}, str(tmp_path)).name == ""


@pytest.mark.parametrize("environ", [{"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "5", "WATCHDOG_PID": "1"}, {}])
def test_a_watchdog_that_is_not_ours_is_none(environ: dict[str, str], tmp_path: Path) -> None:
    assert unit.read_unit(environ, str(tmp_path)).watchdog_usec == 0


def test_a_users_unit_has_the_users_engine_where_there_is_one(tmp_path: Path) -> None:
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    users = replace(unit.read_unit(environ), is_user=True)
    assert users.engine_address == "unix:///var/run/docker.sock"

    (tmp_path / "docker.sock").touch()

    assert users.engine_address == f"unix://{tmp_path}/docker.sock"
    assert replace(users, is_user=False).engine_address == "unix:///var/run/docker.sock"
    named = replace(users, environ={**environ, "DOCKER_HOST": "unix:///run/other.sock"})
    assert named.engine_address == "unix:///run/other.sock"


def test_a_shell_in_a_terminal_of_a_desktop_session_is_no_service(tmp_path: Path) -> None:
    path = "/user.slice/user-1000.slice/user@1000.service/app.slice/vte-spawn-1.scope"

    context = unit.read_unit({}, fake_proc(tmp_path, f"0::{path}\n"))

    assert (context.name, context.cgroup, context.is_user) == ("", None, True)


def test_a_user_without_a_runtime_directory_has_the_systems_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "None").mkdir()
    (tmp_path / "None/docker.sock").touch()

    users = replace(unit.read_unit({}, str(tmp_path)), is_user=True)

    assert users.engine_address == "unix:///var/run/docker.sock"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("web", "web.service"),
        ("web.service", "web.service"),
        ("docker@redis-7.2", "docker@redis-7.2.service"),
        ("web.timer", "web.timer"),
        ("a.b.c", "a.b.c.service"),
    ],
)
def test_only_a_units_type_is_a_suffix(text: str, name: str) -> None:
    assert unit.unit_name(text) == name


def test_another_unit_has_nothing_of_the_calling_one_but_its_manager(tmp_path: Path) -> None:
    environ = {"INVOCATION_ID": "mine", "NOTIFY_SOCKET": "/run/n", "WATCHDOG_USEC": "5", "DOCKER_HOST": "unix:///x"}
    mine = unit.read_unit(environ, fake_proc(tmp_path, "0::/system.slice/web.service\n"))

    other = unit.other_unit(mine, "db.service", "its")

    assert (other.name, other.invocation_id, other.cgroup) == ("db.service", "its", None)
    assert (other.notify_socket, other.watchdog_usec, other.is_delegated) == ("", 0, False)
    assert (other.is_user, other.engine_address) == (mine.is_user, mine.engine_address)


HIDDEN = {"INVOCATION_ID": "0123456789abcdef0123456789abcdef"}


@pytest.mark.parametrize(
    ("path", "has_subgroup", "seen"),
    [("/", False, "/"), ("/", True, "/.."), ("/supervisor", True, "/"), ("/supervisor", False, "/")],
    ids=["unit's own", "subgroup's namespace", "in the subgroup", "swept"],
)
def test_a_unit_in_a_cgroup_namespace_has_the_name_that_systemd_reports(
    path: str, seen: str, tmp_path: Path, *, has_subgroup: bool
) -> None:
    hidden = unit.read_unit(HIDDEN, fake_proc(tmp_path, f"0::{path}\n"))

    found = unit.revealed(hidden, "web.service", "/system.slice/web.service", has_subgroup=has_subgroup)

    assert (hidden.is_hidden, hidden.name) == (True, "")
    assert (found.is_hidden, found.name, found.engine_path) == (False, "web.service", "/system.slice/web.service")
    assert found.cgroup is not None
    assert (found.cgroup.path, found.is_in_namespace, found.can_sweep) == (seen, True, seen == "/")


@pytest.mark.parametrize("name", ["", "session-1.scope", "user.slice"])
def test_a_process_that_is_in_no_service_for_systemd_is_in_none(name: str, tmp_path: Path) -> None:
    hidden = unit.read_unit(HIDDEN, fake_proc(tmp_path, "0::/\n"))

    assert unit.revealed(hidden, name, "/x", has_subgroup=False).cgroup is None


@pytest.mark.parametrize(
    ("environ", "path"), [({}, "/"), (HIDDEN, "/user.slice/user-0.slice/session-1.scope"), (HIDDEN, "/a.slice/b")]
)
def test_a_process_without_an_invocation_or_in_a_slice_is_not_hidden(
    environ: dict[str, str], path: str, tmp_path: Path
) -> None:
    assert not unit.read_unit(environ, fake_proc(tmp_path, f"0::{path}\n")).is_hidden
