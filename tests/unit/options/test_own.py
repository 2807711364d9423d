"""options.own: systemd-docker's own options, the old Go tool's among them; and both helps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from systemd_docker.errors import UsageError
from systemd_docker.options.flags import FLAGS
from systemd_docker.options.help import own_help, run_help
from systemd_docker.options.own import OWN_FLAGS, OwnOptions, parse_own

if TYPE_CHECKING:
    from collections.abc import Sequence

    from systemd_docker.options.pflag import Flag

DEFAULTS = OwnOptions(
    cgroups=(),
    logs=True,
    env=False,
    pid_file="",
    adopt="auto",
    main_pid="auto",
    exit_="same",
    sdnotify="conmon",
    watchdog="auto",
    health_on_failure="none",
    dry_run=False,
    print_="human",
    journal="stream",
    log_level="info",
    log_overflow="block",
    log_priority=(6, 3),
    replace=False,
    help=False,
    version=False,
)


def changed(argv: Sequence[str]) -> dict[str, object]:
    """The fields that differ from the defaults."""
    options, _ = parse_own(argv)
    values = {name: getattr(options, name) for name in OwnOptions.__match_args__}
    return {name: value for name, value in values.items() if value != getattr(DEFAULTS, name)}


def test_what_follows_belongs_to_the_subcommand() -> None:
    assert parse_own(["run", "--rm", "-n"]) == (DEFAULTS, ("run", "--rm", "-n"))
    assert parse_own(["--", "--odd"]) == (DEFAULTS, ("--odd",))
    assert parse_own([]) == (DEFAULTS, ())


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--cgroups", "name=systemd", "-c", "cpu", "run"], {"cgroups": ("name=systemd", "cpu")}),
        (["--cgroups=all", "run"], {"cgroups": ("all",)}),
        (["--logs=false", "run"], {"logs": False}),
        (["-l=false", "run"], {"logs": False}),
        (["-l", "run"], {}),
        (["--notify", "run"], {"sdnotify": "container"}),
        (["-n", "run"], {"sdnotify": "container"}),
        (["-n=false", "run"], {}),
        (["-n", "--sdnotify=ignore", "run"], {"sdnotify": "ignore"}),
        (["--sdnotify=ignore", "-n", "run"], {"sdnotify": "container"}),
        (["--env", "run"], {"env": True}),
        (["-e", "-n", "run"], {"env": True, "sdnotify": "container"}),
        (["-en", "run"], {"env": True, "sdnotify": "container"}),
        (["--pid-file", "/run/a.pid", "run"], {"pid_file": "/run/a.pid"}),
        (["-p", "./a", "run"], {"pid_file": "./a"}),
        (["-p/run/a", "run"], {"pid_file": "/run/a"}),
        (["--adopt=none", "run"], {"adopt": "none"}),
        (["--adopt=none", "--adopt", "parent", "run"], {"adopt": "parent"}),
        (["--journal=fields", "run"], {"journal": "fields"}),
        (["--log-overflow=drop", "run"], {"log_overflow": "drop"}),
        (["--log-priority=notice:warning", "run"], {"log_priority": (5, 4)}),
        (["--log-priority", "5", "run"], {"log_priority": (5, 5)}),
        (["--log-priority=7:debug", "run"], {"log_priority": (7, 7)}),
        (["--main-pid=wrapper", "run"], {"main_pid": "wrapper"}),
        (["--exit=code", "run"], {"exit_": "code"}),
        (
            ["--sdnotify=healthy", "--health-on-failure=kill", "run"],
            {"sdnotify": "healthy", "health_on_failure": "kill"},
        ),
        (["--watchdog", "engine", "run"], {"watchdog": "engine"}),
        (["--dry-run", "--print=api", "run"], {"dry_run": True, "print_": "api"}),
        (["--log-level=debug", "run"], {"log_level": "debug"}),
        (["-h"], {"help": True}),
        (["--version"], {"version": True}),
        (["-logs=false", "run"], {"logs": False}),
        (["-adopt=none", "run"], {"adopt": "none"}),
    ],
)
def test_own_options(argv: list[str], expected: dict[str, object] | None) -> None:
    try:
        assert changed(argv) == expected
    except UsageError:
        assert expected is None


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ["--adopt=mother", "run"],
            'invalid argument "mother" for --adopt: must be one of auto, parent, move, none',
        ),
        (["--exit=", "run"], 'invalid argument "" for --exit: must be one of same, code'),
        (["--fast", "run"], "unknown flag: --fast"),
        (["--pid-file"], "flag --pid-file needs an argument"),
    ],
)
def test_a_mistake_is_named(argv: list[str], message: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_own(argv)

    assert str(error.value) == message


@pytest.mark.parametrize(
    ("text", "flag"),
    [*((run_help(), flag) for flag in FLAGS), *((own_help(), flag) for flag in OWN_FLAGS)],
    ids=lambda value: getattr(value, "long", ""),
)
def test_the_help_shows_every_flag_that_is_not_hidden(text: str, flag: Flag) -> None:
    short = f"-{flag.short}, " if flag.short else ""
    shown = any(line.strip().startswith(f"{short}--{flag.long} {flag.kind}".strip()) for line in text.splitlines())

    assert shown == (not flag.same_as)


def test_the_help_fits_a_terminal() -> None:
    assert max(map(len, (run_help() + own_help()).splitlines())) <= 100
