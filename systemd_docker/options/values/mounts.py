"""The little languages of --volume, --mount and --tmpfs."""

from __future__ import annotations

from systemd_docker.errors import UsageError
from systemd_docker.frozen import frozen
from systemd_docker.options.values import go_numbers, paths
from systemd_docker.options.values.csv import split_fields

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
    read:   raises UsageError or ValueError; bare means what the key stands for without "=".
    """

    name: str
    option: tuple[str, str]
    read: Callable[[str], JsonValue] = str
    bare: JsonValue = None
    appends: bool = False


def _octal(text: str) -> int:
    return go_numbers.natural(text, base=8, bits=32)


MOUNT_KEYS = (
    MountKey("type", ("", "Type"), str.lower),
    MountKey("source", ("", "Source")),
    MountKey("src", ("", "Source")),
    MountKey("target", ("", "Target")),
    MountKey("dst", ("", "Target")),
    MountKey("destination", ("", "Target")),
    MountKey("readonly", ("", "ReadOnly"), go_numbers.boolean, bare=True),
    MountKey("ro", ("", "ReadOnly"), go_numbers.boolean, bare=True),
    MountKey("consistency", ("", "Consistency"), str.lower),
    MountKey("bind-propagation", ("BindOptions", "Propagation"), str.lower),
    MountKey("bind-nonrecursive", ("BindOptions", "NonRecursive"), go_numbers.boolean, bare=True),
    MountKey("bind-recursive", ("BindOptions", "")),
    MountKey("volume-nocopy", ("VolumeOptions", "NoCopy"), go_numbers.boolean, bare=True),
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
"""Which type of mount may have the options; the docker CLI complains in this order."""

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
    for field in split_fields(text):
        _take(result, field)
    if not result["Type"]:
        raise UsageError("type is required")
    if not result.get("Target"):
        raise UsageError("target is required")
    for options, owner in _OWNERS.items():
        if options in result and result["Type"] != owner:
            raise UsageError(f"cannot mix '{owner}-*' options with mount type '{result['Type']}'")
    _check_recursion(result)
    return result


def _take(result: Mount, field: str) -> None:
    name, equals, text = field.partition("=")
    name = name.lower()
    key = _BY_NAME.get(name)
    if not equals and (key is None or key.bare is None):
        raise UsageError(f"invalid field '{field}' must be a key=value pair")
    if key is None:
        raise UsageError(f"unexpected key '{name}' in '{field}'")
    try:
        value = key.read(text) if equals else key.bare
    except UsageError:
        raise UsageError(f"invalid value for {name}: {text}") from None
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
        raise UsageError(
            f'invalid value for bind-recursive: {text} (must be "enabled", "disabled", "writable", or "readonly")'
        )
    return _RECURSION[text]


def _check_recursion(result: Mount) -> None:
    options = result.get("BindOptions")
    if not isinstance(options, dict):
        return
    for word in ("writable", "readonly"):
        if options.get(_RECURSION[word]) and not result.get("ReadOnly"):
            raise UsageError(f"option 'bind-recursive={word}' requires 'readonly' to be specified in conjunction")
    if options.get(_RECURSION["readonly"]) and options.get("Propagation") != "rprivate":
        raise UsageError(
            "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction"
        )


def check_api(mount: Mount, api: tuple[int, int]) -> None:
    """Refuse what an older engine would silently leave out of a bind mount."""
    options = mount.get("BindOptions")
    if not isinstance(options, dict):
        return
    if options.get("ReadOnlyForceRecursive") and api < (1, 44):
        raise UsageError("bind-recursive=readonly requires API v1.44 or later")
    if options.get("NonRecursive") and api < (1, 40):
        raise UsageError("bind-recursive=disabled requires API v1.40 or later")


def with_directory(mount: Mount, directory: str) -> Mount:
    """The same mount, with a source that starts with "." below directory."""
    source = mount.get("Source")
    if isinstance(source, str) and source.startswith("."):
        return mount | {"Source": paths.absolute(source, directory)}
    return mount


def volume(spec: str, directory: str) -> tuple[str, bool]:
    """What --volume asks for: (bind, True) for a source and a target, (target, False) for an anonymous volume.

    A source that starts with "." is below directory; everything else stays as typed, the options too: the engine
    judges them. A single letter in front of a ":" is a Windows drive to the docker CLI, so "a:/b" is anonymous.
    """
    if not spec:
        raise UsageError("invalid empty volume spec")
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
            raise UsageError(f"invalid spec: {spec}: empty section between colons")
        if len(parts) == 2 and char:
            raise UsageError(f"invalid spec: {spec}: too many colons")
        parts.append(section)
        section = ""
    return parts


def tmpfs(text: str) -> tuple[str, str]:
    """ "/run:size=64m" -> ("/run", "size=64m"); the engine judges the options."""
    path, _, options = text.partition(":")
    return path, options
