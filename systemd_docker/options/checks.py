"""What is refused, although every flag for itself is well written: the docker CLI's checks, and a service's own.

Each check raises UsageError or returns nothing. request.py says in which order they come.
"""

from __future__ import annotations

from systemd_docker.errors import UsageError
from systemd_docker.options.values import go_numbers, mounts, networks, paths
from systemd_docker.options.values.go_quoting import quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from systemd_docker.options.create_request import Client
    from systemd_docker.options.run_options import RunOptions
    from systemd_docker.options.values.mounts import Mount

_PULL_POLICIES = ("always", "missing", "never")

_NO_TRUST = frozenset({"", "0", "f", "F", "false", "FALSE", "False"})
"""All that $DOCKER_CONTENT_TRUST can say to the docker CLI and not be taken for a yes."""

_IGNORED_BELOW = (
    ("VolumeOptions", "Subpath", (1, 45), "volume-subpath"),
    ("ImageOptions", "Subpath", (1, 48), "image-subpath"),
)
"""Options of a mount that an older engine would silently leave out: it would mount all of the volume."""

_GW_PRIORITY_API = (1, 48)


def support(options: RunOptions, client: Client) -> None:
    """Flags that the engine is too old for, or of another system."""
    complaints: dict[str, str] = {}
    for flag, _ in options.values:
        if flag.api > client.api:
            complaints[flag.long] = _too_old(f"--{flag.long}", flag.api, client.api)
        elif flag.system and flag.system != client.engine_os:
            complaints[flag.long] = (
                f"{quoted(f'--{flag.long}')} is only supported on a Docker daemon running on {flag.system}, "
                f"but the Docker daemon is running on {client.engine_os}"
            )
    if complaints:
        raise UsageError("\n".join(complaint for _, complaint in sorted(complaints.items())))


def _too_old(what: str, needed: tuple[int, int], spoken: tuple[int, int]) -> str:
    return (
        f"{quoted(what)} requires API version {needed[0]}.{needed[1]}, "
        f"but the Docker daemon API version is {spoken[0]}.{spoken[1]}"
    )


def pull(options: RunOptions) -> None:
    policy = options.text("pull")
    if policy and policy not in _PULL_POLICIES:
        always, missing, never = map(quoted, _PULL_POLICIES)
        raise UsageError(f"invalid pull option: '{policy}': must be one of {always}, {missing} or {never}")


def swappiness(options: RunOptions) -> None:
    swappiness = options.number("memory-swappiness") if options.given("memory-swappiness") else -1
    if not -1 <= swappiness <= 100:
        raise UsageError(f"invalid value: {swappiness}. Valid memory swappiness range is 0-100")


def removal(options: RunOptions) -> None:
    if options.switch("rm") and restart_policy(options.text("restart"))[0] not in ("", "no"):
        raise UsageError("conflicting options: cannot specify both --restart and --rm")


def service(options: RunOptions, client: Client, mounted: Iterable[Mount]) -> None:
    """What makes no sense in a service, or would be lost on the way to an older engine."""
    restart = options.text("restart")
    if restart_policy(restart)[0] not in ("", "no"):
        raise UsageError(
            f"--restart={restart} is refused: the service manager is what restarts a service",
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
        raise UsageError("conflicting options: cannot specify both --attach and --detach")
    attach_stdin = options.switch("interactive") or "stdin" in options.texts("attach")
    if attach_stdin and options.switch("tty") and not detached and not client.stdin_terminal:
        raise UsageError("the input device is not a TTY")


def cidfile(options: RunOptions, client: Client, *, may_exist: bool) -> None:
    """Refuse a file that cannot be made. may_exist: the start judges the container that one names."""
    file = options.text("cidfile")
    if not file:
        return
    if not may_exist and _missing(file, client) is None:
        raise UsageError(f"container ID file found, make sure the other container isn't running or delete {file}")
    if (reason := _missing(paths.parent(file), client)) is not None:
        raise UsageError(f"failed to create the container ID file: open {file}: {reason}")


def _missing(path: str, client: Client) -> str | None:
    """Why there is nothing at a path; None if there is."""
    try:
        client.read_file(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        return (error.strerror or "").lower()
    except OSError:
        pass  # a directory, or not ours to read: it is there
    return None


def trust(options: RunOptions, client: Client) -> None:
    wanted = client.environ.get("DOCKER_CONTENT_TRUST", "") not in _NO_TRUST
    if options.given("disable-content-trust"):
        wanted = not options.switch("disable-content-trust")
    if wanted:
        raise UsageError(
            "content trust is not supported: nobody here verifies the image's signature",
            hint="Name the image by its digest, IMAGE@sha256:….",
        )


def fields(options: RunOptions, client: Client, mounted: Iterable[Mount]) -> None:
    """What the docker CLI's library refuses to send to an older engine."""
    asked = [network for network in options.all("network") if isinstance(network, networks.Network)]
    if options.text("mac-address") or any(network.mac_address for network in asked):
        needed = networks.MAC_ADDRESS_API
        if client.api < needed:
            raise UsageError(_too_old("specify mac-address per network", needed, client.api))
    for mount in mounted:
        mounts.check_api(mount, client.api)


def restart_policy(text: str) -> tuple[str, int]:
    """ "on-failure:3" -> ("on-failure", 3)."""
    name, colon, count = text.partition(":")
    if colon and not name:
        raise UsageError("invalid restart policy format: no policy provided before colon")
    if not count:
        return name, 0
    try:
        return name, go_numbers.integer(count, base=10)
    except UsageError:
        raise UsageError("invalid restart policy format: maximum retry count must be an integer") from None
