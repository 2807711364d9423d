"""Checks of flags together: those of the docker CLI, and those that only a service needs. Each raises UsageError."""

from __future__ import annotations

from systemd_docker.errors import UsageError
from systemd_docker.options.values import go_numbers, mounts, networks, paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from systemd_docker.options.client import Client
    from systemd_docker.options.run_options import RunOptions
    from systemd_docker.options.values.mounts import Mount

_PULL_POLICIES = ("always", "missing", "never")

_NO_TRUST = frozenset({"", "0", "f", "F", "false", "FALSE", "False"})
"""Values of $DOCKER_CONTENT_TRUST that the docker CLI does not take for "yes"."""

_IGNORED_BELOW = (
    ("VolumeOptions", "Subpath", (1, 45), "volume-subpath"),
    ("ImageOptions", "Subpath", (1, 48), "image-subpath"),
)
"""Options of a mount that an older engine would silently leave out: it would mount all of the volume."""

_GW_PRIORITY_API = (1, 48)


def support(options: RunOptions, client: Client) -> None:
    """Refuse flags that need a newer engine, or one of another operating system."""
    complaints: dict[str, str] = {}
    for flag, _ in options.values:
        if flag.api > client.api:
            complaints[flag.long] = _too_old(f"--{flag.long}", flag.api, client.api)
        elif flag.system and flag.system != client.engine_os:
            complaints[flag.long] = (
                f"--{flag.long} needs an engine on {flag.system}, this one runs on {client.engine_os}"
            )
    if complaints:
        raise UsageError("\n".join(complaint for _, complaint in sorted(complaints.items())))


def _too_old(what: str, needed: tuple[int, int], spoken: tuple[int, int]) -> str:
    return f"{what} needs an engine with API {needed[0]}.{needed[1]}, this one has {spoken[0]}.{spoken[1]}"


def pull(options: RunOptions) -> None:
    policy = options.text("pull")
    if policy and policy not in _PULL_POLICIES:
        raise UsageError(f"--pull={policy} must be one of {', '.join(_PULL_POLICIES)}")


def swappiness(options: RunOptions) -> None:
    swappiness = options.number("memory-swappiness") if options.given("memory-swappiness") else -1
    if not -1 <= swappiness <= 100:
        raise UsageError(f"--memory-swappiness={swappiness} must be from 0 to 100")


def removal(options: RunOptions) -> None:
    if options.switch("rm") and restart_policy(options.text("restart"))[0] not in ("", "no"):
        raise UsageError("--restart conflicts with --rm")


def service(options: RunOptions, client: Client, mounted: Iterable[Mount]) -> None:
    """Refuse flags that have no meaning in a service, and settings that an older engine would silently leave out."""
    restart = options.text("restart")
    if restart_policy(restart)[0] not in ("", "no"):
        raise UsageError(
            f"--restart={restart} is refused: systemd restarts a service",
            hint="Use Restart= in the unit.",
        )
    if options.switch("interactive") and not client.stdin_usable:
        raise UsageError(
            "--interactive is refused: standard input is not connected",
            hint="Leave -i out, or connect standard input with StandardInput= in the unit.",
        )
    for mount in mounted:
        for group, key, api, name in _IGNORED_BELOW:
            if isinstance(inner := mount.get(group), dict) and key in inner and client.api < api:
                raise UsageError(_too_old(name, api, client.api))
    for network in options.all("network"):
        if isinstance(network, networks.Network) and network.gw_priority and client.api < _GW_PRIORITY_API:
            raise UsageError(_too_old("gw-priority", _GW_PRIORITY_API, client.api))


def streams(options: RunOptions, client: Client) -> None:
    detached = options.switch("detach")
    if detached and options.given("attach"):
        raise UsageError("--attach conflicts with --detach")
    attach_stdin = options.switch("interactive") or "stdin" in options.texts("attach")
    if attach_stdin and options.switch("tty") and not detached and not client.stdin_terminal:
        raise UsageError(
            "--tty and --interactive need a terminal as standard input",
            hint="Set StandardInput=tty and TTYPath= in the unit, or leave one of the two out.",
        )


def cidfile(options: RunOptions, client: Client, *, may_exist: bool) -> None:
    """Refuse a file that cannot be made. may_exist: the start judges the container that one names."""
    file = options.text("cidfile")
    if not file:
        return
    if not may_exist and _missing(file, client) is None:
        raise UsageError(f"--cidfile={file} exists: another container may use it, else remove the file")
    if (reason := _missing(paths.parent(file), client)) is not None:
        raise UsageError(f"cannot create --cidfile={file}: {reason}")


def _missing(path: str, client: Client) -> str | None:
    """Return the reason why a path does not exist; None if it does."""
    try:
        client.read_file(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        return error.strerror or ""
    except OSError:
        pass  # a directory, or unreadable: it exists
    return None


def trust(options: RunOptions, client: Client) -> None:
    wanted = client.environ.get("DOCKER_CONTENT_TRUST", "") not in _NO_TRUST
    if options.given("disable-content-trust"):
        wanted = not options.switch("disable-content-trust")
    if wanted:
        raise UsageError(
            "content trust is not supported: systemd-docker verifies no signatures",
            hint="Name the image by its digest, IMAGE@sha256:….",
        )


def fields(options: RunOptions, client: Client, mounted: Iterable[Mount]) -> None:
    """Refuse settings that an older engine would silently leave out, as the docker CLI does."""
    asked = [network for network in options.all("network") if isinstance(network, networks.Network)]
    if options.text("mac-address") or any(network.mac_address for network in asked):
        needed = networks.MAC_ADDRESS_API
        if client.api < needed:
            raise UsageError(_too_old("a MAC address", needed, client.api))
    for mount in mounted:
        mounts.check_api(mount, client.api)


def restart_policy(text: str) -> tuple[str, int]:
    """ "on-failure:3" -> ("on-failure", 3)."""
    name, colon, count = text.partition(":")
    if colon and not name:
        raise UsageError(f"--restart={text} names no policy")
    if not count:
        return name, 0
    try:
        return name, go_numbers.integer(count, base=10)
    except UsageError:
        raise UsageError(f"--restart={text}: the number of retries is not a number") from None
