"""plan.environment: what --env hands on."""

from __future__ import annotations

import pytest

from systemd_docker.plan.environment import HOST_ONLY, handed_on


@pytest.mark.parametrize("name", sorted(HOST_ONLY))
def test_a_promise_of_the_hosts_is_not_handed_on(name: str) -> None:
    assert HOST_ONLY[name]
    assert handed_on({name: "x", "GREETING": "hello"}) == ("GREETING=hello",)


@pytest.mark.parametrize("name", ["LISTEN_LATER", "WATCHDOG_LATER", "MEMORY_PRESSURE_LATER"])
def test_what_systemd_adds_to_a_family_is_not_handed_on_either(name: str) -> None:
    assert handed_on({name: "x"}) == ()


@pytest.mark.parametrize("name", ["LANG", "INVOCATION_ID", "TZ", "HOMEPAGE", "PATH_INFO", "EXIT_CODES"])
def test_everything_else_is_handed_on_as_it_is(name: str) -> None:
    assert handed_on({name: "a=b c", "GREETING": ""}) == (f"{name}=a=b c", "GREETING=")
