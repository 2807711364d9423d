"""Variables and labels: --env, --env-file, --label, --label-file, and the proxies of docker's config.json."""

from __future__ import annotations

from systemd_docker.errors import UsageError
from systemd_docker.options.values.go_quoting import BLANKS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from systemd_docker.jsonobj import JsonObject, JsonValue

_MAX_LINE_BYTES = 64 * 1024
_PROXIES = {
    "HTTP_PROXY": "httpProxy",
    "HTTPS_PROXY": "httpsProxy",
    "FTP_PROXY": "ftpProxy",
    "NO_PROXY": "noProxy",
    "ALL_PROXY": "allProxy",
}


def assignment(text: str) -> str:
    """docker-run's --env: "A=b", or "A" for the value that the client's own environment has."""
    if not text.partition("=")[0]:
        raise UsageError(f"invalid environment variable: {text}")
    return text


def label(text: str) -> str:
    name = text.partition("=")[0].lstrip(" \t")
    if not name:
        raise UsageError(f"invalid label '{text}': empty name")
    if any(blank in name for blank in " \t"):
        raise UsageError(f"label '{name}' contains whitespaces")
    return text


def pair(text: str) -> tuple[str, str]:
    """ "a=b" -> ("a", "b"); "a" -> ("a", "")."""
    name, _, value = text.partition("=")
    return name, value


def sysctl(text: str) -> tuple[str, str]:
    """Only what the kernel keeps per namespace, see docker-run(1)."""
    name, equals, value = text.partition("=")
    if not equals or not (name in _SYSCTLS or name.startswith(("net.", "fs.mqueue."))):
        raise UsageError(f"sysctl '{text}' is not allowed")
    return name, value


_SYSCTLS = frozenset({
    "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem",
    "kernel.shmall", "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced",
})  # fmt: skip


def variables(
    assignments: Iterable[str],
    files: Iterable[str],
    proxies: Mapping[str, str],
    environ: Mapping[str, str],
    read_file: Callable[[str], bytes],
) -> list[str]:
    """Config.Env: what the files say, in order and with repetitions; then --env, where a later name replaces.

    A bare name is looked up in environ; where that has none, it is left out of a file, and sent as it is for --env:
    there it removes the image's variable.
    """
    given: dict[str, str] = {}
    for text in assignments:
        name, equals, _ = text.partition("=")
        given[name] = text if equals or name not in environ else f"{name}={environ[name]}"
    for name, value in proxies.items():
        given.setdefault(name, f"{name}={value}")
    return [*(line for file in files for line in file_lines(file, read_file, environ)), *given.values()]


def labels(texts: Iterable[str], files: Iterable[str], read_file: Callable[[str], bytes]) -> dict[str, JsonValue]:
    """Config.Labels: the files first, a later name replaces; a bare name is left out of a file."""
    lines = [*(line for file in files for line in file_lines(file, read_file, {})), *texts]
    return dict(map(pair, lines))


def proxies(config: JsonObject, host: str) -> dict[str, str]:
    """The variables that docker's config.json wants in every container, in upper and lower case.

    host: the engine's address as $DOCKER_HOST spells it; without an entry of its own "default" holds.
    """
    table = config.get("proxies")
    entries = table if isinstance(table, dict) else {}
    entry = entries.get(host, entries.get("default"))
    if not isinstance(entry, dict):
        return {}
    values = {name: entry.get(key) for name, key in _PROXIES.items()}
    found = {name: value for name, value in values.items() if isinstance(value, str) and value}
    return found | {name.lower(): value for name, value in found.items()}


def file_lines(file: str, read_file: Callable[[str], bytes], environ: Mapping[str, str]) -> Iterator[str]:
    """The assignments of an --env-file or --label-file; bare names are completed from environ or left out."""
    try:
        content = read_file(file)
    except IsADirectoryError:
        raise UsageError(f"cannot read '{file}': it is a directory") from None
    except OSError as error:
        raise UsageError(f"cannot read '{file}': {error.strerror}") from error
    try:
        yield from _assignments(content, environ)
    except UsageError as error:
        raise UsageError(f"in '{file}': {error}") from None


def _assignments(content: bytes, environ: Mapping[str, str]) -> Iterator[str]:
    lines = content.split(b"\n")
    for number, raw in enumerate(lines if lines[-1] else lines[:-1], start=1):
        line = _decoded(raw, number).lstrip(BLANKS)
        if not line or line.startswith("#"):
            continue
        name, equals, _ = line.partition("=")
        if not name:
            raise UsageError(f"no variable name on line '{line}'")
        if any(blank in name for blank in " \t"):
            raise UsageError(f"variable '{name}' contains whitespaces")
        if equals:
            yield line
        elif name in environ:
            yield f"{name}={environ[name]}"


def _decoded(raw: bytes, number: int) -> str:
    if len(raw) >= _MAX_LINE_BYTES:
        raise UsageError(f"line {number} is longer than {_MAX_LINE_BYTES} bytes")
    raw = raw.removesuffix(b"\r")
    try:
        line = raw.decode()
    except UnicodeDecodeError:
        raise UsageError(f"line {number} is not UTF-8") from None
    return line.removeprefix("\ufeff") if number == 1 else line
