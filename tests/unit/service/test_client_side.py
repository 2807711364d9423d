"""docker's config.json: what is read, and the message where it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from systemd_docker.service.client_side import read_config
from systemd_docker.unit import read_unit


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({}, "/root/.docker/config.json"),
        ({"USER": "root"}, "/root/.docker/config.json"),
        ({"USER": "web", "HOME": "/srv/web"}, "/srv/web/.docker/config.json"),
        ({"USER": "nobody"}, ""),
        ({"USER": "nobody", "DOCKER_CONFIG": "/etc/docker-cli"}, "/etc/docker-cli/config.json"),
    ],
)
def test_the_file_is_the_one_of_the_units_user(environ: dict[str, str], path: str) -> None:
    assert read_unit(environ).docker_config_path == path


def test_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text('{"credsStore": "pass"}')

    assert read_config(str(file)) == {"credsStore": "pass"}


def test_no_file_is_no_configuration(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert read_config("") == read_config(str(tmp_path / "config.json")) == {}
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("content", "reason"), [(None, "Is a directory"), ("{", "not JSON"), ("[]", "an object")])
def test_an_unreadable_file_is_a_warning_with_a_remedy(
    content: str | None, reason: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.json"
    file.mkdir() if content is None else file.write_text(content)

    assert read_config(str(file)) == {}

    warning, hint = capfd.readouterr().err.splitlines()
    assert f"cannot read '{file}', continuing without its credentials and proxies: " in warning
    assert reason in warning
    assert "DOCKER_CONFIG=" in hint
