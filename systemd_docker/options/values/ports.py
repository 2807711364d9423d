"""--publish and --expose."""

from __future__ import annotations

from systemd_docker.errors import UsageError
from systemd_docker.frozen import frozen
from systemd_docker.options.values import addresses, go_numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from systemd_docker.jsonobj import JsonValue

_PROTOCOLS = ("tcp", "udp", "sctp")


@frozen
class Binding:
    """One port of the container, e.g. "80/tcp", and where it is reached; host_port "" lets the engine choose."""

    port: str
    host_ip: str
    host_port: str


def bindings(specs: Iterable[str]) -> tuple[Binding, ...]:
    """All of --publish: "[ip:][host-port[-end]:]port[-end][/protocol]", or "target=80,published=8080"."""
    plain = [_plain(spec) for spec in specs]
    return tuple(binding for spec in plain for binding in _parse(spec))


def port_bindings(published: Sequence[Binding]) -> dict[str, JsonValue]:
    """HostConfig.PortBindings; a port that is bound twice has two entries."""
    result: dict[str, list[JsonValue]] = {}
    for binding in published:
        entry: JsonValue = {"HostIp": binding.host_ip, "HostPort": binding.host_port}
        result.setdefault(binding.port, []).append(entry)
    return dict(result.items())


def exposed(specs: Iterable[str]) -> Iterator[str]:
    """ "8000-8001/udp" -> "8000/udp", "8001/udp"; the engine judges the protocol."""
    for spec in specs:
        if ":" in spec:
            raise UsageError(f"invalid port format for --expose: {spec}")
        protocol, port = _split_protocol(spec)
        try:
            first, last = _port_range(port)
        except UsageError as error:
            raise UsageError(f"invalid range format for --expose: {spec}, error: {error}") from None
        yield from (f"{number}/{protocol}" for number in range(first, last + 1))


def _plain(spec: str) -> str:
    if "=" not in spec:
        return spec
    named = {"protocol": "tcp", "published": "", "target": ""}
    for field in spec.split(","):
        name, equals, value = field.partition("=")
        if not equals or not name:
            raise UsageError(f"invalid publish opts format (should be name=value but got '{field}')")
        named[name] = value
    return f"{named['published']}:{named['target']}/{named['protocol']}"


def _parse(spec: str) -> Iterator[Binding]:
    *before, container = spec.split(":")
    host_port = before.pop() if before else ""
    ip = _ip(":".join(before))
    protocol, port = _split_protocol(container)
    if not port:
        raise UsageError(f"no port specified: {spec}<empty>")
    first, last = _checked_range(port, "containerPort")
    host_first, host_last = _checked_range(host_port, "hostPort") if host_port else (0, last - first)
    if last - first != host_last - host_first and first != last:
        raise UsageError(f"invalid ranges specified for container and host Ports: {port} and {host_port}")
    if protocol.lower() not in _PROTOCOLS:
        raise UsageError(f"invalid proto: {protocol}")
    for offset in range(last - first + 1):
        host = str(host_first + offset) if host_port else ""
        if host and first == last and host_first != host_last:
            host = f"{host_first}-{host_last}"
        yield Binding(f"{first + offset}/{protocol.lower()}", ip, host)


def _ip(text: str) -> str:
    ip = _without_brackets(text) if text.startswith("[") else text
    if ip and addresses.packed_ip_or_none(ip) is None:
        raise UsageError(f"invalid IP address: {ip}")
    return ip


def _without_brackets(text: str) -> str:
    end = text.find("]")
    reason = ""
    if end == -1:
        reason = "missing ']' in address"
    elif end + 1 < len(text):
        reason = "too many colons in address" if text[end + 1] == ":" else "missing port in address"
    elif "[" in text[1:]:
        reason = "unexpected '[' in address"
    if reason:
        raise UsageError(f"invalid IP address {text}: address {text}:: {reason}")
    return text[1:end]


def _split_protocol(text: str) -> tuple[str, str]:
    """ "80/udp" -> ("udp", "80"); "80" and "80/" are tcp."""
    port, *protocols = text.split("/")
    if not port:
        return "", ""
    return (protocols[0] if protocols and protocols[0] else "tcp"), port


def _checked_range(text: str, what: str) -> tuple[int, int]:
    try:
        return _port_range(text)
    except UsageError:
        raise UsageError(f"invalid {what}: {text}") from None


def _port_range(text: str) -> tuple[int, int]:
    """ "80" -> (80, 80), "80-82" -> (80, 82); what follows a second "-" is not looked at."""
    if not text:
        raise UsageError("empty string specified for ports")
    ends = [go_numbers.natural(part, base=10, bits=16) for part in text.split("-")[:2]]
    if ends[-1] < ends[0]:
        raise UsageError(f"invalid range specified for port: {text}")
    return ends[0], ends[-1]
