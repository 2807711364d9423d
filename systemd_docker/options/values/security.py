"""--security-opt, --cap-add and --cap-drop, as the engine wants them."""

from __future__ import annotations

from systemd_docker.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

UNCONFINED_PATHS = "systempaths=unconfined"
"""Never sent: it becomes empty lists of masked and read-only paths."""


def security_opt(text: str, read_file: Callable[[str], bytes]) -> str:
    """Return a --security-opt as the engine wants it: the file of seccomp=FILE becomes compact JSON."""
    name, separator, value = text.partition("=")
    if name == "no-new-privileges":
        return text
    if not separator:
        name, _, value = text.partition(":")
    if not value:
        raise UsageError(f"--security-opt={text} has no value")
    if name != "seccomp" or value in ("builtin", "unconfined"):
        return text
    return f"seccomp={_profile(value, read_file)}"


def _profile(file: str, read_file: Callable[[str], bytes]) -> str:
    try:
        content = read_file(file)
    except OSError as error:
        raise UsageError(f"cannot read the seccomp profile '{file}': {error.strerror}") from error
    try:
        return _compact(content.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the seccomp profile '{file}' is not JSON: {error}") from None


def _compact(text: str) -> str:
    """Return the same JSON without blanks between its tokens; numbers and escapes stay as written."""
    import json  # only command lines with a profile pay for it

    json.loads(text, parse_constant=_refuse_constant)
    pieces = text.split('"')
    compact, in_string = [], False
    for index, piece in enumerate(pieces):
        compact.append(piece if in_string else "".join(piece.split()))
        backslashes = len(piece) - len(piece.rstrip("\\"))
        escaped = in_string and backslashes % 2 == 1
        in_string = in_string if escaped or index == len(pieces) - 1 else not in_string
    return '"'.join(compact)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no value")


def capabilities(names: Iterable[str]) -> list[str]:
    """("net_admin", "CAP_CHOWN", "all") -> ["ALL", "CAP_CHOWN", "CAP_NET_ADMIN"]: sorted, each once."""
    upper = {name.upper() for name in names}
    return sorted({name if name == "ALL" or name.startswith("CAP_") else f"CAP_{name}" for name in upper})
