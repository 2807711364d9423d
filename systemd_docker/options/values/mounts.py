"""The values of --volume, --mount and --tmpfs."""

from __future__ import annotations

from systemd_docker.errors import UsageError
from systemd_docker.frozen import frozen
from systemd_docker.options.values import go_numbers, paths
from systemd_docker.options.values.csv import split_fields
from systemd_docker.options.values.go_quoting import BLANKS, quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from systemd_docker.jsonobj import JsonValue

    Mount = dict[str, JsonValue]


@frozen
class MountKey:
    """One key of --mount.

    option: where its value goes in the engine's Mount, e.g. ("BindOptions", "Propagation"); ("", "Source") for the
            mount itself.
    read:   raises UsageError. bare: the value of the key without "="; None where it needs one.
    """

    name: str
    option: tuple[str, str]
    read: Callable[[str], JsonValue] = str
    bare: JsonValue = None
    appends: bool = False


def _octal(text: str) -> int:
    return go_numbers.natural(text, base=8, bits=32)


def _boolean(text: str) -> bool:
    if text not in ("1", "true", "0", "false"):
        raise UsageError("not a boolean")
    return text in ("1", "true")


MOUNT_KEYS = (
    MountKey("type", ("", "Type"), str.lower),
    MountKey("source", ("", "Source")),
    MountKey("src", ("", "Source")),
    MountKey("target", ("", "Target")),
    MountKey("dst", ("", "Target")),
    MountKey("destination", ("", "Target")),
    MountKey("readonly", ("", "ReadOnly"), _boolean, bare=True),
    MountKey("ro", ("", "ReadOnly"), _boolean, bare=True),
    MountKey("consistency", ("", "Consistency"), str.lower),
    MountKey("bind-propagation", ("BindOptions", "Propagation"), str.lower),
    MountKey("bind-recursive", ("BindOptions", "")),
    MountKey("bind-create-src", ("BindOptions", "CreateMountpoint"), _boolean, bare=True),
    MountKey("volume-nocopy", ("VolumeOptions", "NoCopy"), _boolean, bare=True),
    MountKey("volume-subpath", ("VolumeOptions", "Subpath")),
    MountKey("volume-label", ("VolumeOptions", "Labels"), appends=True),
    MountKey("volume-driver", ("VolumeOptions", "DriverConfig.Name")),
    MountKey("volume-opt", ("VolumeOptions", "DriverConfig.Options"), appends=True),
    MountKey("image-subpath", ("ImageOptions", "Subpath")),
    MountKey("tmpfs-size", ("TmpfsOptions", "SizeBytes"), go_numbers.size_bytes),
    MountKey("tmpfs-mode", ("TmpfsOptions", "Mode"), _octal),
)

_BY_NAME = {key.name: key for key in MOUNT_KEYS}

_OWNERS = {"VolumeOptions": "volume", "ImageOptions": "image", "BindOptions": "bind", "TmpfsOptions": "tmpfs"}
"""The type of mount that may have the options."""

_RECURSION = {
    "enabled": "",
    "disabled": "NonRecursive",
    "writable": "ReadOnlyNonRecursive",
    "readonly": "ReadOnlyForceRecursive",
}


def mount(text: str) -> Mount:
    """ "type=bind,src=/a,dst=/b,ro" -> {"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": True}.

    The source is as typed; with_directory() makes it absolute. See Mount in `POST /containers/create`.
    """
    result: Mount = {"Type": "volume"}
    for field in split_fields(text.strip(BLANKS)):
        _take(result, field)
    if not result.get("Target"):
        raise UsageError("option 'target' is missing")
    for options, owner in _OWNERS.items():
        if options in result and result["Type"] != owner:
            raise UsageError(f"options {owner}-* need type={owner}, not type={result['Type']}")
    _check_recursion(result)
    return result


def _take(result: Mount, field: str) -> None:
    name, equals, text = field.partition("=")
    if name != name.strip(BLANKS) or text != text.strip(BLANKS):
        raise UsageError(f"white space around a word of {quoted(field)}")
    name = name.lower()
    if name == "bind-nonrecursive":
        raise UsageError("bind-nonrecursive is no longer supported, use bind-recursive=disabled")
    key = _BY_NAME.get(name)
    if key is None:
        raise UsageError(f"unknown option '{name}'")
    if not text and (equals or key.bare is None):
        raise UsageError(f"option '{name}' needs a value")
    try:
        value = key.read(text) if equals else key.bare
    except UsageError:
        raise UsageError(f"invalid value for option '{name}': {quoted(text)}") from None
    options, inner = key.option
    if name == "bind-recursive":
        inner, value = _recursion(text), True
    if inner:
        _store(_sub_object(result, options) if options else result, inner, value, appends=key.appends)


def _sub_object(parent: Mount, name: str) -> Mount:
    child = parent.setdefault(name, {})
    assert isinstance(child, dict)
    return child


def _store(target: Mount, path: str, value: JsonValue, *, appends: bool) -> None:
    *parents, name = path.split(".")
    for parent in parents:
        target = _sub_object(target, parent)
    if not appends:
        target[name] = value
        return
    key, _, text = str(value).partition("=")
    pairs = _sub_object(target, name)
    if key:
        pairs[key] = text


def _recursion(text: str) -> str:
    """The bind option that a word stands for; "" for the default."""
    if text not in _RECURSION:
        raise UsageError(f"bind-recursive must be one of {', '.join(_RECURSION)}")
    return _RECURSION[text]


def _check_recursion(result: Mount) -> None:
    options = result.get("BindOptions")
    if not isinstance(options, dict):
        return
    for word in ("writable", "readonly"):
        if options.get(_RECURSION[word]) and not result.get("ReadOnly"):
            raise UsageError(f"bind-recursive={word} needs readonly beside it")
    if options.get(_RECURSION["readonly"]) and options.get("Propagation") != "rprivate":
        raise UsageError("bind-recursive=readonly needs bind-propagation=rprivate beside it")


def check_api(mount: Mount, api: tuple[int, int]) -> None:
    """Refuse what an older engine would silently leave out of a bind mount."""
    options = mount.get("BindOptions")
    if not isinstance(options, dict):
        return
    if options.get("ReadOnlyForceRecursive") and api < (1, 44):
        raise UsageError("bind-recursive=readonly needs an engine with API version 1.44 or newer")
    if options.get("NonRecursive") and api < (1, 40):
        raise UsageError("bind-recursive=disabled needs an engine with API version 1.40 or newer")


def with_directory(mount: Mount, directory: str) -> Mount:
    """Return the same mount, with a source that starts with "." below directory."""
    source = mount.get("Source")
    if isinstance(source, str) and source.startswith("."):
        return mount | {"Source": paths.absolute(source, directory)}
    return mount


def volume(spec: str, directory: str) -> tuple[str, bool]:
    """Return (bind, True) for a --volume with a source and a target, (target, False) for an anonymous volume.

    A source that starts with "." is below directory; everything else stays as typed, the options too: the engine
    judges them. A single letter in front of a ":" is a Windows drive to the docker CLI, so "a:/b" is anonymous.
    """
    if not spec:
        raise UsageError("it is empty")
    if len(spec.encode("utf-8", "surrogateescape")) <= 2:
        return spec, False
    parts = list(_sections(spec))
    if len(parts) == 1:
        return spec, False
    source, _, rest = spec.partition(":")
    return (f"{paths.absolute(source, directory)}:{rest}" if source.startswith(".") else spec), True


def _sections(spec: str) -> Iterable[str]:
    """The parts between the colons, at most three of them."""
    parts: list[str] = []
    section = ""
    for char in [*spec, ""]:
        if char and (char != ":" or (len(section) == 1 and section.isalpha())):
            section += char
            continue
        if not section:
            raise UsageError("nothing between two colons")
        if len(parts) == 2 and char:
            raise UsageError("too many colons")
        parts.append(section)
        section = ""
    return parts


def tmpfs(text: str) -> tuple[str, str]:
    """ "/run:size=64m" -> ("/run", "size=64m"); the engine judges the options."""
    path, _, options = text.partition(":")
    return path, options
