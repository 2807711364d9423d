"""Addresses and names of hosts: --dns, --dns-search, --add-host, --mac-address."""

from __future__ import annotations

from systemd_docker.errors import UsageError
from systemd_docker.options.values.go_quoting import BLANKS, quoted

_HEX = frozenset("0123456789abcdef")
_MAX_DOMAIN_CHARS = 254


def packed_ip_or_none(text: str) -> bytes | None:
    """Return four or sixteen bytes; None for other text. No zone, no leading zeros, as Go's net.ParseIP."""
    import socket  # only the few command lines that hold an address pay for it here

    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
    except (OSError, ValueError):
        return None


def ip_text(text: str) -> str:
    """ " ::FFFF:1.2.3.4" -> "1.2.3.4", "2001:DB8::0001" -> "2001:db8::1"; docker-run's --dns."""
    packed = packed_ip_or_none(text.strip(BLANKS))
    if packed is None:
        raise UsageError(f"{quoted(text)} is not an IP address")
    if packed[:12] == bytes(10) + b"\xff\xff":
        packed = packed[12:]
    return ".".join(map(str, packed)) if len(packed) == 4 else _ip6_text(packed)


def _ip6_text(packed: bytes) -> str:
    # Not inet_ntop(3): it writes ::1.2.3.4 where Go, and so the engine, has ::102:304.
    groups = [packed[at] << 8 | packed[at + 1] for at in range(0, 16, 2)]
    start, length = max(((at, _zeros(groups, at)) for at in range(8)), key=lambda run: (run[1], -run[0]))
    if length < 2:
        return ":".join(f"{group:x}" for group in groups)
    before, after = groups[:start], groups[start + length :]
    return "::".join(":".join(f"{group:x}" for group in part) for part in (before, after))


def _zeros(groups: list[int], start: int) -> int:
    return next((at - start for at in range(start, 8) if groups[at]), 8 - start)


def ip_or_empty(text: str) -> str:
    """As ip_text(), or "" for no address: docker-run's --ip and --ip6."""
    return ip_text(text) if text else ""


def mac_address(text: str) -> str:
    """ "92-D0-C6-0A-29-33", "92d0.c60a.2933" -> "92:d0:c6:0a:29:33"; 6, 8 or 20 bytes, as Go's net.ParseMAC."""
    bare = text.strip(BLANKS).lower()
    separator, width = (".", 4) if "." in bare else ("-" if bare[2:3] == "-" else ":", 2)
    groups = bare.split(separator)
    if len(groups) * width not in (12, 16, 40) or not all(
        len(group) == width and _HEX.issuperset(group) for group in groups
    ):
        raise UsageError(f"{quoted(text)} is not a MAC address")
    digits = "".join(groups)
    return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))


def search_domain(text: str) -> str:
    """ "example.org." -> "example.org"; "." alone stands for no search domain at all."""
    import re  # as rare as the flag

    domain = text.strip(" ")
    if domain == ".":
        return domain
    label = ":?(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"  # the colons are the docker CLI's, by mistake
    match = re.fullmatch(rf"(:?{label}(?::?\.{label})*)\.?[ \t\n\f\r]*", domain)
    if match is None or not re.search("[a-zA-Z]", domain) or len(match[1]) > _MAX_DOMAIN_CHARS:
        raise UsageError(f"{quoted(domain)} is not a domain")
    return match[1]


def extra_host(text: str) -> str:
    """ "db=[::1]" -> "db:::1"; "gw:host-gateway" stays. The first "=" separates, else the first ":"."""
    name, separator, address = text.partition("=" if "=" in text else ":")
    if not separator or not name or ":" in name:
        raise UsageError(f"{quoted(text)} is not NAME:ADDRESS")
    if address == "host-gateway":
        return f"{name}:{address}"
    if len(address) > 2 and address[0] == "[" and address[-1] == "]":
        address = address[1:-1]
    if packed_ip_or_none(address.strip(BLANKS)) is None:
        raise UsageError(f"{quoted(address)} is not an IP address")
    return f"{name}:{address}"
