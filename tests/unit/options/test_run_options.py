"""options.run_options: where flags end, how a value is spelled, what the old tool's unit files may say."""

from __future__ import annotations

import pytest

from systemd_docker.errors import UsageError
from systemd_docker.options.flags import FLAGS
from systemd_docker.options.run_options import parse_run


def test_the_command_is_never_looked_at() -> None:
    options = parse_run(["--rm", "busybox", "--rm", "--", "-x"])

    assert options.image == "busybox"
    assert options.command == ("--rm", "--", "-x")
    assert options.all("rm") == (True,)


def test_two_dashes_end_the_flags() -> None:
    assert parse_run(["--rm", "--", "-x", "--"]).image == "-x"


@pytest.mark.parametrize(
    ("argv", "long", "values"),
    [
        (["--name", "-x", "i"], "name", ("-x",)),
        (["--name=a=b", "i"], "name", ("a=b",)),
        (["-eA=1", "-e=B=2", "-e", "C=3", "i"], "env", ("A=1", "B=2", "C=3")),
        (["-e==A", "i"], "env", None),
        (["-dit", "i"], "tty", (True,)),
        (["-it=false", "i"], "tty", (False,)),
        (["-dp80:80", "i"], "publish", ("80:80",)),
        (["-dp", "80:80", "i"], "publish", ("80:80",)),
        (["--rm=0", "--rm", "i"], "rm", (False, True)),
        (["--net", "a", "--network", "b", "i"], "network", 2),
        (["--dns-opt", "a", "--dns-option=b", "i"], "dns-option", ("a", "b")),
    ],
)
def test_a_flag_can_be_spelled_in_all_of_dockers_ways(argv: list[str], long: str, values: object) -> None:
    try:
        found = parse_run(argv).all(long)
    except UsageError:
        assert values is None
    else:
        assert values in (found, len(found))


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "'systemd-docker run' needs an image"),
        (["--rm"], "'systemd-docker run' needs an image"),
        (["--rm", "--"], "'systemd-docker run' needs an image"),
        (["--fast", "i"], "unknown flag: --fast"),
        (["-dx", "i"], "unknown flag: -x in -dx"),
        (["---rm", "i"], "---rm is not a flag"),
        (["--=x", "i"], "--=x is not a flag"),
        (["--name"], "flag --name needs an argument"),
        (["-de"], "flag -e needs an argument"),
        (
            ["--rm=maybe", "i"],
            'invalid argument "maybe" for --rm: must be true or false',
        ),
        (["-m", "x", "i"], 'invalid argument "x" for --memory: not a size'),
        (["--net", "a=b", "i"], 'invalid argument "a=b" for --net: unknown key "a"'),
    ],
)
def test_a_mistake_is_named(argv: list[str], message: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_run(argv)

    assert str(error.value) == message


@pytest.mark.parametrize(
    ("argv", "long", "text"),
    [
        (["-rm", "i"], "rm", "True"),
        (["-name", "x", "i"], "name", "x"),
        (["-name=x", "i"], "name", "x"),
        (["-net=host", "i"], "network", None),
        (["-tty", "i"], "tty", "True"),
        (["-restart=no", "i"], "restart", "no"),
    ],
)
def test_one_dash_is_enough_where_docker_would_stop(argv: list[str], long: str, text: str | None) -> None:
    options = parse_run(argv)

    assert options.image == "i"
    assert options.given(long)
    assert text in (None, options.text(long))


@pytest.mark.parametrize(
    ("word", "long", "value"),
    [
        ("-env", "env", "nv"),
        ("-host", "hostname", "ost"),
        ("-publish", "publish", "ublish"),
        ("-help", "hostname", "elp"),
    ],
)
def test_a_cluster_that_docker_accepts_keeps_dockers_meaning(word: str, long: str, value: str) -> None:
    assert parse_run([word, "i"]).all(long) == (value,)


def test_help_needs_no_image() -> None:
    assert parse_run(["--help"]).switch("help")
    assert parse_run(["--name", "x", "--help", "i"]).switch("help")
    assert not parse_run(["--help=false", "i"]).switch("help")
    assert not parse_run(["i", "--help"]).switch("help")


def test_a_flag_that_is_not_used_has_its_default() -> None:
    options = parse_run(["i"])

    assert not options.given("pull")
    assert options.text("pull") == "missing"
    assert options.text("name") == ""
    assert options.switch("sig-proxy")
    assert not options.switch("rm")
    assert options.all("env") == ()


def test_the_table_has_all_of_docker_s_flags_once() -> None:
    longs = [flag.long for flag in FLAGS]
    shorts = [flag.short for flag in FLAGS if flag.short]

    assert len(longs) == len(set(longs)) == 107
    assert longs == sorted(longs)
    assert "".join(sorted(shorts)) == "Pacdehilmpqtuvw"
