"""--publish and --expose."""

from __future__ import annotations

from systemd_docker.errors import UsageError
from systemd_docker.frozen import frozen
from systemd_docker.options.values import addresses, go_numbers
from systemd_docker.options.values.go_quoting import quoted

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
            raise UsageError(f"--expose={spec}: ports of the host are published with --publish")
        protocol, port = _split_protocol(spec)
        first, last = _checked_range(port)
        yield from (f"{number}/{protocol}" for number in range(first, last + 1))


def _plain(spec: str) -> str:
    if "=" not in spec:
        return spec
    named = {"protocol": "tcp", "published": "", "target": ""}
    for field in spec.split(","):
        name, equals, value = field.partition("=")
        if not equals or not name:
            raise UsageError(f"{quoted(field)} is not NAME=VALUE in --publish")
        named[name] = value
    return f"{named['published']}:{named['target']}/{named['protocol']}"


def _parse(spec: str) -> Iterator[Binding]:
    *before, container = spec.split(":")
    host_port = before.pop() if before else ""
    ip = _ip(":".join(before))
    protocol, port = _split_protocol(container)
    if not port:
        raise UsageError(f"--publish={spec} names no port of the container")
    first, last = _checked_range(port)
    host_first, host_last = _checked_range(host_port) if host_port else (0, last - first)
    if last - first != host_last - host_first and first != last:
        raise UsageError(f"port ranges of different lengths: {host_port} and {port}")
    if protocol not in _PROTOCOLS:
        raise UsageError(f"unknown protocol {quoted(protocol)} in --publish={spec}")
    for offset in range(last - first + 1):
        host = str(host_first + offset) if host_port else ""
        if host and first == last and host_first != host_last:
            host = f"{host_first}-{host_last}"
        yield Binding(f"{first + offset}/{protocol}", ip, host)


def _ip(text: str) -> str:
    ip = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if ip and addresses.packed_ip_or_none(ip) is None:
        raise UsageError(f"{quoted(text)} is not an IP address")
    return ip


def _split_protocol(text: str) -> tuple[str, str]:
    """ "80/UDP" -> ("udp", "80"); "80" and "80/" are tcp."""
    port, _, protocol = text.partition("/")
    return (protocol.lower() or "tcp") if port else "", port


def _checked_range(text: str) -> tuple[int, int]:
    try:
        return _port_range(text)
    except UsageError as error:
        raise UsageError(f"{quoted(text)} is not a port or a range of ports: {error}") from None


def _port_range(text: str) -> tuple[int, int]:
    """ "80" -> (80, 80), "80-82" -> (80, 82)."""
    first, dash, last = text.partition("-")
    begin, end = (go_numbers.natural(part, base=10, bits=16) for part in (first, last if dash else first))
    if end < begin:
        raise UsageError("it ends before it begins")
    return begin, end
