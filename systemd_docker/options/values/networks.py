"""--network in both its forms, and the endpoints that it, --ip, --link and their like make together."""

from __future__ import annotations

from systemd_docker.errors import UsageError
from systemd_docker.frozen import frozen, replace
from systemd_docker.options.values import addresses, go_numbers
from systemd_docker.options.values.csv import split_fields
from systemd_docker.options.values.go_quoting import BLANKS, quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from systemd_docker.jsonobj import JsonValue

_WORD = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz")
_BUILT_IN = frozenset({"default", "bridge", "host", "none"})
MAC_ADDRESS_API = (1, 44)


@frozen
class Network:
    """One use of --network."""

    name: str
    aliases: tuple[str, ...] = ()
    ip: str = ""
    ip6: str = ""
    mac_address: str = ""
    link_local_ips: tuple[str, ...] = ()
    driver_opts: tuple[tuple[str, str], ...] = ()
    gw_priority: int = 0
    links: tuple[str, ...] = ()


def network(text: str) -> Network:
    """ "backend", or "name=backend,alias=db,ip=10.0.0.5": whatever holds a letter, a "=" and a letter is long."""
    if not any(text[at] == "=" and {text[at - 1], *text[at + 1 : at + 2]} <= _WORD for at in range(1, len(text) - 1)):
        return Network(text)
    result = Network("")
    for field in split_fields(text):
        result = _with_field(result, field)
    if not result.name:
        raise UsageError("no name")
    return result


def _with_field(result: Network, field: str) -> Network:
    # Lower-cased as a whole: names, aliases and driver options too.
    name, equals, value = field.lower().partition("=")
    if not equals or not name:
        raise UsageError(f"{quoted(field)} is not KEY=VALUE")
    name, value = name.strip(BLANKS), value.strip(BLANKS)
    match name:
        case "name":
            return replace(result, name=value)
        case "ip":
            return replace(result, ip=addresses.ip_text(value))
        case "ip6":
            return replace(result, ip6=addresses.ip_text(value))
        case "mac-address":
            return replace(result, mac_address=addresses.mac_address(value))
        case "alias":
            return replace(result, aliases=(*result.aliases, value))
        case "link-local-ip":
            return replace(result, link_local_ips=(*result.link_local_ips, addresses.ip_text(value)))
        case "driver-opt":
            return replace(result, driver_opts=(*result.driver_opts, _driver_opt(value)))
        case "gw-priority":
            return replace(result, gw_priority=_priority(value))
    raise UsageError(f"unknown key {quoted(name)}")


def _driver_opt(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError(f"driver-opt={text} is not KEY=VALUE")
    return key.strip(BLANKS), value.strip(BLANKS)


def _priority(text: str) -> int:
    try:
        return go_numbers.integer(text, base=10)
    except UsageError as error:
        raise UsageError(f"invalid gw-priority: {error}") from None


def is_user_defined(name: str) -> bool:
    return name not in _BUILT_IN and name != "container" and not name.startswith("container:")


def endpoints(networks: Sequence[Network], flags: Network) -> dict[str, JsonValue]:
    """NetworkingConfig.EndpointsConfig for the networks in order of use.

    flags: what --network-alias, --link, --ip, --ip6, --mac-address and --link-local-ip say; they belong to the first
           network. A lone network without any setting has no entry: the engine makes it from NetworkMode.
    """
    if not networks:
        return {"default": _endpoint(_merged(Network("default"), flags))}
    result: dict[str, JsonValue] = {}
    for index, item in enumerate(networks):
        endpoint = _endpoint(_merged(item, flags) if index == 0 else item)
        if item.name in result:
            raise UsageError(f"network {quoted(item.name)} is given twice")
        if endpoint or len(networks) > 1:
            result[item.name] = endpoint
    if len({is_user_defined(item.name) for item in networks}) > 1:
        raise UsageError("a user-defined network and one of the engine's own cannot be combined")
    return result


def _merged(item: Network, flags: Network) -> Network:
    for own, other, flag, what in (
        (item.aliases, flags.aliases, "--network-alias", "alias"),
        (item.ip, flags.ip, "--ip", "IPv4 address"),
        (item.ip6, flags.ip6, "--ip6", "IPv6 address"),
        (item.mac_address, flags.mac_address, "--mac-address", "MAC address"),
        (item.link_local_ips, flags.link_local_ips, "--link-local-ip", "link-local IP addresses"),
    ):
        if own and other:
            raise UsageError(f"{flag} conflicts with the {what} in --network")
    return replace(
        item,
        aliases=item.aliases or flags.aliases,
        ip=item.ip or flags.ip,
        ip6=item.ip6 or flags.ip6,
        mac_address=item.mac_address or flags.mac_address,
        link_local_ips=item.link_local_ips or flags.link_local_ips,
        # On the default bridge a link is the container's own business (HostConfig.Links), not the endpoint's.
        links=flags.links if is_user_defined(item.name) else (),
    )


def _endpoint(item: Network) -> dict[str, JsonValue]:
    if not item.name.strip(BLANKS):
        raise UsageError("a network needs a name")
    if item.aliases and not is_user_defined(item.name):
        raise UsageError("only a user-defined network can have aliases")
    ipam: dict[str, JsonValue] = {
        "IPv4Address": item.ip,
        "IPv6Address": item.ip6,
        "LinkLocalIPs": list(item.link_local_ips),
    }
    endpoint: dict[str, JsonValue] = {
        "Aliases": list(item.aliases),
        "Links": list(item.links),
        "DriverOpts": dict(item.driver_opts),
        "MacAddress": item.mac_address,
        "GwPriority": item.gw_priority,
        "IPAMConfig": {key: value for key, value in ipam.items() if value},
    }
    return {key: value for key, value in endpoint.items() if value}
