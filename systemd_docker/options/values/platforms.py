"""Platforms, "linux/arm64/v8", normalised as the docker CLI does before it asks the engine."""

from __future__ import annotations

from systemd_docker.errors import UsageError
from systemd_docker.options.values.go_quoting import quoted

_ALPHANUMERIC = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
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


def platform(text: str) -> str:
    """ "linux/x86_64" -> "linux/amd64", "aarch64" -> "linux/arm64", "linux" -> "linux/" and this machine's."""
    try:
        return _platform(text)
    except UsageError as error:
        raise UsageError(f"invalid platform {quoted(text)}: {error}") from None


def _platform(text: str) -> str:
    if "*" in text:
        raise UsageError("wildcards are not supported")
    system, *rest = text.split("/")
    if len(rest) > 2:
        raise UsageError("it has more than three parts")
    _check_parts(system, rest)
    name = _system(system.partition("(")[0])
    if not rest and name not in _SYSTEMS:
        return "/".join(("linux", *_architecture(system, "")))
    if not rest:
        return f"{name}/{_machine()}"
    architecture, variant = _normalised(rest[0], rest[1] if len(rest) == 2 else "")
    return "/".join(part for part in (name, architecture, variant) if part)


def _machine() -> str:
    import os  # as rare as a platform without an architecture

    machine = os.uname().machine
    return _ARCHITECTURES.get(machine, machine)


def _check_parts(system: str, rest: list[str]) -> None:
    name, bracket, version = system.partition("(")
    well_formed = not bracket or (version.endswith(")") and _is_word(version[:-1] or "x", "_.-"))
    if not (_is_word(name, "_-") and well_formed):
        raise UsageError(f"{quoted(system)} is no operating system")
    for part in rest:
        if not _is_word(part, "_.-"):
            raise UsageError(f"{quoted(part)} is no architecture or variant")


def _is_word(text: str, marks: str) -> bool:
    return bool(text) and _ALPHANUMERIC.issuperset(text.translate({ord(mark): None for mark in marks}))


def _system(text: str) -> str:
    return {"macos": "darwin"}.get(text.lower(), text.lower())


def _architecture(word: str, variant: str) -> tuple[str, ...]:
    architecture, variant = _normalised(word, variant)
    if architecture not in _GO_ARCHITECTURES:
        raise UsageError("unknown operating system or architecture")
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
