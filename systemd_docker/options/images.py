"""Image references and platforms, checked and normalised as the docker CLI does before it asks the engine.

The grammar is the one of distribution's `reference` package, see docker-image-tag(1) "Description".
"""

from __future__ import annotations

from systemd_docker.errors import UsageError
from systemd_docker.options.quoting import quoted

_LOWER_HEX = frozenset("0123456789abcdef")
_LOWER = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_UPPER = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_ALPHANUMERIC = _LOWER | _UPPER
_DIGESTS = {"sha256": 64, "sha384": 96, "sha512": 128}
_MAX_NAME_CHARS = 255
_INVALID = "invalid reference format"


def check_reference(image: str) -> None:
    """Raise UsageError unless image is an ID, a digest, or a name with an optional tag and digest."""
    if (len(image) == 64 and _LOWER_HEX.issuperset(image)) or _is_digest(image):
        return
    domain, path = _split_domain(image)
    repository = path.partition(":")[0]
    if repository != repository.lower():
        raise UsageError(f"{_INVALID}: repository name ({repository}) must be lowercase")
    digest = path.partition("@")[2]
    if "@" in path and not _is_hex_digest(digest):
        raise UsageError(_INVALID)
    path, colon, tag = path.partition("@")[0].partition(":")
    if not (_is_domain(domain) and _is_path(path)) or (colon and not _is_tag(tag)):
        raise UsageError(_INVALID)
    if len(f"{domain}/{path}") > _MAX_NAME_CHARS:
        raise UsageError(f"repository name must not be more than {_MAX_NAME_CHARS} characters")
    if digest and not _is_digest(digest):
        known = digest.partition(":")[0] in _DIGESTS
        raise UsageError("invalid checksum digest length" if known else "unsupported digest algorithm")


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
    if not text or text[0] not in _LOWER or text[-1] not in _LOWER:
        return False
    separators = "".join(char if char not in _LOWER else " " for char in text).split()
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


_ARCHITECTURES = {
    "x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "i386": "386",
    "armv7l": "arm", "armv6l": "arm", "ppc64le": "ppc64le", "s390x": "s390x", "riscv64": "riscv64",
}  # fmt: skip
"""uname(2)'s words, and other spellings that the docker CLI knows, to Go's."""

_SYSTEMS = frozenset({
    "aix", "android", "darwin", "dragonfly", "freebsd", "hurd", "illumos", "ios", "js", "linux", "nacl",
    "netbsd", "openbsd", "plan9", "solaris", "windows", "zos",
})  # fmt: skip
_GO_ARCHITECTURES = frozenset({
    "386", "amd64", "amd64p32", "arm", "armbe", "arm64", "arm64be", "loong64", "mips", "mipsle", "mips64", "mips64le",
    "mips64p32", "mips64p32le", "ppc", "ppc64", "ppc64le", "riscv", "riscv64", "s390", "s390x", "sparc", "sparc64",
    "wasm",
})  # fmt: skip


def platform(text: str, machine: str) -> str:
    """ "linux/x86_64" -> "linux/amd64", "aarch64" -> "linux/arm64", "linux" -> "linux/" and this machine's.

    machine: uname(2)'s name of the machine the client runs on.
    """
    try:
        return _platform(text, machine)
    except UsageError as error:
        raise UsageError(f"error parsing specified platform: {error}: invalid argument") from None


def _platform(text: str, machine: str) -> str:
    if "*" in text:
        raise UsageError(f"{quoted(text)}: wildcards not yet supported")
    system, *rest = text.split("/")
    if len(rest) > 2:
        # The order of the docker CLI's complaints: the parts first, their number last.
        _check_parts(text, system, rest)
        raise UsageError(f"{quoted(text)}: cannot parse platform specifier")
    _check_parts(text, system, rest)
    name = _system(system.partition("(")[0])
    if not rest and name not in _SYSTEMS:
        return "/".join(("linux", *_architecture(system, "", text)))
    if not rest:
        architecture, variant = _normalised(_ARCHITECTURES.get(machine, machine), "")
        return f"{name}/{architecture}"
    architecture, variant = _normalised(rest[0], rest[1] if len(rest) == 2 else "")
    return "/".join(part for part in (name, architecture, variant) if part)


def _check_parts(text: str, system: str, rest: list[str]) -> None:
    name, bracket, version = system.partition("(")
    well_formed = not bracket or (version.endswith(")") and _is_word(version[:-1] or "x", "_.-"))
    if not (_is_word(name, "_-") and well_formed):
        pattern = r'"^([A-Za-z0-9_-]+)(?:\\(([A-Za-z0-9_.-]*)\\))?$"'
        raise UsageError(
            f"{quoted(system)} is an invalid OS component of {quoted(text)}: "
            f"OSAndVersion specifier component must match {pattern}"
        )
    for part in rest:
        if not _is_word(part, "_.-"):
            pattern = '"^[A-Za-z0-9_.-]+$"'
            raise UsageError(
                f"{quoted(part)} is an invalid component of {quoted(text)}: "
                f"platform specifier component must match {pattern}"
            )


def _is_word(text: str, marks: str) -> bool:
    return bool(text) and _ALPHANUMERIC.issuperset(text.translate({ord(mark): None for mark in marks}))


def _system(text: str) -> str:
    return {"macos": "darwin"}.get(text.lower(), text.lower())


def _architecture(word: str, variant: str, text: str) -> tuple[str, ...]:
    architecture, variant = _normalised(word, variant)
    if architecture not in _GO_ARCHITECTURES:
        raise UsageError(f"{quoted(text)}: unknown operating system or architecture")
    return (architecture, variant) if variant else (architecture,)


def _normalised(architecture: str, variant: str) -> tuple[str, str]:
    architecture, variant = architecture.lower(), variant.lower()
    match architecture:
        case "i386":
            return "386", ""
        case "x86_64" | "x86-64" | "amd64":
            return "amd64", "" if variant == "v1" else variant
        case "aarch64" | "arm64":
            return "arm64", "v8" if variant == "8" else variant
        case "armhf":
            return "arm", ""
        case "armel":
            return "arm", "v6"
        case "arm":
            return "arm", f"v{variant}" if variant in ("5", "6", "7", "8") else variant
    return architecture, variant
