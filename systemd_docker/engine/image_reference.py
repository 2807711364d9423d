"""The grammar of image references: what the docker CLI checks before it asks the engine, and what a pull asks for.

It is the one of distribution's `reference` package, see docker-image-tag(1) "Description". Pure.
"""

from __future__ import annotations

from systemd_docker.errors import UsageError
from systemd_docker.frozen import frozen

_LOWER_HEX = frozenset("0123456789abcdef")
_LOWER = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_UPPER = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_ALPHANUMERIC = _LOWER | _UPPER
_DIGESTS = {"sha256": 64, "sha384": 96, "sha512": 128}
_MAX_NAME_CHARS = 255
_INVALID = "not of the form NAME[:TAG][@DIGEST]"

_EXAMPLE = "An image is named like nginx:1, or registry.example.org:5000/team/web@sha256:…."

_UNSET = (
    "A variable that is not set, such as ${IMAGE}, leaves an empty word: see EnvironmentFile= in systemd.exec(5)."
)


@frozen
class Reference:
    """An image's name as the engine's pull wants it.

    repository: with the registry in front, e.g. "docker.io/library/busybox", "127.0.0.1:5000/app".
    tag:        "latest" if none was given, or a digest, "sha256:…".
    """

    repository: str
    tag: str


def parse_reference(image: str) -> Reference:
    """ "busybox:musl" -> Reference("docker.io/library/busybox", "musl"); a digest wins over a tag."""
    name, _, digest = image.partition("@")
    path, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    return Reference("/".join(_split_domain(f"{path}{slash}{last}")), digest or tag or "latest")


def is_image_id(text: str) -> bool:
    """Check for 64 hex digits, with or without "sha256:": the id of an image, which no registry knows."""
    return _is_digest(f"sha256:{text.removeprefix('sha256:')}")


def check_reference(image: str) -> None:
    """Raise UsageError unless image is an ID, a digest, or a name with an optional tag and digest."""
    if not image:
        raise UsageError("the name of the image is empty", hint=_UNSET)
    if fault := _fault(image):
        raise UsageError(f"invalid image reference '{image}': {fault}", hint=_EXAMPLE)


def _fault(image: str) -> str:
    if (len(image) == 64 and _LOWER_HEX.issuperset(image)) or _is_digest(image):
        return ""
    domain, path = _split_domain(image)
    repository = path.partition(":")[0]
    if repository != repository.lower():
        return "the name must be lowercase"
    if not _is_reference(domain, path):
        lower = _is_reference(domain.lower(), path.lower())
        return "the name must be lowercase" if lower else _INVALID
    name, at, digest = path.partition("@")
    if len(f"{domain}/{name.partition(':')[0]}") > _MAX_NAME_CHARS:
        return f"the name has more than {_MAX_NAME_CHARS} characters"
    return _digest_fault(digest) if at else ""


def _is_reference(domain: str, text: str) -> bool:
    name, at, digest = text.partition("@")
    path, colon, tag = name.partition(":")
    # What looks like a domain but is none may still be the first part of the path.
    named = (_is_domain(domain) or _is_component(domain)) and _is_path(path)
    return named and (not colon or _is_tag(tag)) and (not at or _is_hex_digest(digest))


def _split_domain(image: str) -> tuple[str, str]:
    """ "busybox" -> ("docker.io", "library/busybox"); "localhost/app" -> ("localhost", "app")."""
    first, slash, rest = image.partition("/")
    if not slash or not (set(".:") & set(first) or first == "localhost" or first != first.lower()):
        first, rest = "docker.io", image
    elif first == "index.docker.io":
        first = "docker.io"
    return first, f"library/{rest}" if first == "docker.io" and "/" not in rest else rest


def _is_domain(text: str) -> bool:
    host, colon, port = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    if not colon:
        host = text
    if colon and not (port.isascii() and port.isdigit()):
        return False
    if host.startswith("[") and host.endswith("]"):
        return bool(host[1:-1]) and set(host[1:-1]) <= _LOWER_HEX | set("ABCDEF:")
    return all(
        part and _ALPHANUMERIC.issuperset(part.replace("-", "")) and part[0] != "-" and part[-1] != "-"
        for part in host.split(".")
    )


def _is_path(text: str) -> bool:
    return all(_is_component(component) for component in text.split("/"))


def _is_component(text: str) -> bool:
    """Letters and digits, with one ".", one "_", "__" or any number of "-" between them."""
    if not text or text[0] not in _LOWER or text[-1] not in _LOWER or not set(text) <= _LOWER | set("._-"):
        return False
    separators = "".join(" " if char in _LOWER else char for char in text).split()
    return all(separator in (".", "_", "__") or not separator.strip("-") for separator in separators)


def _is_tag(text: str) -> bool:
    return 0 < len(text) <= 128 and text[0] not in ".-" and _ALPHANUMERIC.issuperset(text.translate(_NO_TAG_MARKS))


_NO_TAG_MARKS = {ord(char): None for char in "_.-"}


def _is_hex_digest(text: str) -> bool:
    """A digest as far as the grammar goes: an algorithm's name and at least 32 hexadecimal digits."""
    algorithm, colon, digits = text.partition(":")
    parts = algorithm.translate({ord(char): "." for char in "-_+"}).split(".")
    named = all(part and part[0].isalpha() and _ALPHANUMERIC.issuperset(part) for part in parts)
    return bool(colon) and named and len(digits) >= 32 and set(digits) <= _LOWER_HEX | set("ABCDEF")


def _is_digest(text: str) -> bool:
    algorithm, _, digits = text.partition(":")
    return len(digits) == _DIGESTS.get(algorithm, -1) and _LOWER_HEX.issuperset(digits)


def _digest_fault(text: str) -> str:
    algorithm, _, digits = text.partition(":")
    if algorithm not in _DIGESTS:
        return f"unknown digest algorithm '{algorithm}', must be one of {', '.join(_DIGESTS)}"
    if len(digits) != _DIGESTS[algorithm] or not _LOWER_HEX.issuperset(digits):
        return f"a {algorithm} digest has {_DIGESTS[algorithm]} lowercase hex digits"
    return ""
