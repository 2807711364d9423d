"""options.create_request: where a service asks for something else than docker would, and what it does not ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from systemd_docker.errors import UsageError
from systemd_docker.frozen import replace
from systemd_docker.options.client import Client
from systemd_docker.options.create_request import CreateRequest, create_request
from systemd_docker.options.run_options import parse_run

if TYPE_CHECKING:
    from collections.abc import Sequence


def no_file(name: str) -> bytes:
    raise FileNotFoundError(2, "No such file or directory", name)


CLIENT = Client({}, "/srv", no_file, {}, (1, 50), "/run/docker.sock")


def asked(argv: Sequence[str], client: Client = CLIENT, *, plain: bool = False) -> CreateRequest:
    return create_request(parse_run(argv), client, plain=plain)


def host_config(request: CreateRequest) -> dict[str, object]:
    host_config = request.body["HostConfig"]
    assert isinstance(host_config, dict)
    return dict(host_config)


def test_a_short_command_line_makes_a_short_request() -> None:
    request = asked(["--name", "web", "-p", "80:8080", "nginx", "-g", "daemon off;"])

    assert request == CreateRequest(
        "web",
        "",
        {
            "Image": "nginx",
            "Cmd": ["-g", "daemon off;"],
            "AttachStdin": False,
            "AttachStdout": True,
            "AttachStderr": True,
            "StdinOnce": False,
            "ExposedPorts": {"8080/tcp": {}},
            "HostConfig": {
                "NetworkMode": "default",
                "PortBindings": {"8080/tcp": [{"HostIp": "", "HostPort": "80"}]},
                "RestartPolicy": {"Name": "no"},
            },
            "NetworkingConfig": {"EndpointsConfig": {"default": {}}},
        },
    )


def test_removal_is_ours_and_not_the_engine_s() -> None:
    assert "AutoRemove" not in host_config(asked(["--rm", "i"]))
    assert host_config(asked(["--rm", "i"], plain=True))["AutoRemove"] is True


@pytest.mark.parametrize("policy", ["always", "on-failure:3", "unless-stopped"])
def test_restarting_is_the_service_managers(policy: str) -> None:
    with pytest.raises(UsageError, match=f"^--restart={policy} is refused") as error:
        asked(["--restart", policy, "i"])

    assert "Restart=" in error.value.hint
    assert host_config(asked(["--restart", policy, "i"], plain=True))["RestartPolicy"] != {"Name": "no"}


@pytest.mark.parametrize("policy", ["no", "no:0", ""])
def test_not_to_restart_may_be_said(policy: str) -> None:
    assert host_config(asked([f"--restart={policy}", "i"]))["RestartPolicy"] == {"Name": "no"}


def test_detaching_means_nothing() -> None:
    assert asked(["-d", "i"]) == asked(["i"])
    assert asked(["-d", "i"], plain=True).body["AttachStdout"] is False


def test_standard_input_must_be_one() -> None:
    with pytest.raises(UsageError, match=r"^--interactive is refused") as error:
        asked(["-i", "i"])

    assert "StandardInput=" in error.value.hint
    assert asked(["-i", "i"], replace(CLIENT, stdin_usable=True)).body["OpenStdin"] is True


def test_a_terminal_is_needed_for_standard_input_on_one() -> None:
    with pytest.raises(UsageError, match=r"^--tty and --interactive need a terminal"):
        asked(["-it", "i"], replace(CLIENT, stdin_usable=True))

    request = asked(["-it", "i"], replace(CLIENT, stdin_usable=True, stdin_terminal=True, terminal_size=(24, 80)))

    assert request.body["Tty"] is True
    assert host_config(request)["ConsoleSize"] == [24, 80]


@pytest.mark.parametrize(
    ("argv", "api", "message"),
    [
        (["--annotation", "a=b", "i"], (1, 42), "--annotation needs an engine with API 1.43"),
        (["--cgroupns", "host", "i"], (1, 40), "--cgroupns needs an engine with API 1.41"),
        (["--health-start-interval", "1s", "i"], (1, 43), "--health-start-interval needs an engine with API 1.44"),
        (
            ["--mount", "type=volume,dst=/a,volume-subpath=b", "i"],
            (1, 44),
            "volume-subpath needs an engine with API 1.45",
        ),
        (
            ["--mount", "type=image,dst=/a,image-subpath=b", "i"],
            (1, 47),
            "image-subpath needs an engine with API 1.48",
        ),
        (["--network", "name=a,gw-priority=1", "i"], (1, 47), "gw-priority needs an engine with API 1.48"),
    ],
)
def test_what_an_older_engine_would_leave_out_is_refused(argv: list[str], api: tuple[int, int], message: str) -> None:
    client = replace(CLIENT, api=api)

    with pytest.raises(UsageError) as error:
        asked(argv, client)

    assert str(error.value) == f"{message}, this one has {api[0]}.{api[1]}"
    assert asked(argv, replace(client, api=(api[0], api[1] + 1))).body


def test_signatures_that_nobody_would_verify_are_refused() -> None:
    with pytest.raises(UsageError, match=r"^content trust is not supported"):
        asked(["--disable-content-trust=false", "i"], plain=True)
    with pytest.raises(UsageError, match=r"^content trust is not supported"):
        asked(["i"], replace(CLIENT, environ={"DOCKER_CONTENT_TRUST": "1"}))

    assert asked(["--disable-content-trust", "i"], replace(CLIENT, environ={"DOCKER_CONTENT_TRUST": "1"})).body


def test_windows_flags_are_for_windows_engines() -> None:
    with pytest.raises(UsageError, match=r"^--cpu-count needs an engine on windows, this one runs on linux$"):
        asked(["--cpu-count", "2", "i"])

    assert host_config(asked(["--cpu-count", "2", "i"], replace(CLIENT, engine_os="windows")))["CpuCount"] == 2


def test_unconfined_system_paths_are_empty_lists_and_not_absent_ones() -> None:
    made = host_config(asked(["--security-opt", "systempaths=unconfined", "i"]))

    assert made["MaskedPaths"] == made["ReadonlyPaths"] == []
    assert "SecurityOpt" not in made


def test_relative_sources_are_below_the_current_directory() -> None:
    made = host_config(asked(["-v", "./a:/b", "--mount", "type=bind,src=../c,dst=/d", "i"]))

    assert made["Binds"] == ["/srv/a:/b"]
    assert made["Mounts"] == [{"Type": "bind", "Source": "/c", "Target": "/d"}]
