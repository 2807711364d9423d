"""Names of images as a pull wants them, and what an engine says while it pulls. Pure: no I/O."""

from __future__ import annotations

from systemd_docker import jsonobj
from systemd_docker.frozen import frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.jsonobj import JsonObject

MAX_LAYERS = 1024
"""An image has at most 127 layers; what an engine says about more of them is not looked at."""


@frozen
class Reference:
    """An image's name as the engine's pull wants it.

    repository: with the registry in front, e.g. "docker.io/library/busybox", "127.0.0.1:5000/app".
    tag:        "latest" if none was given, or a digest, "sha256:…".
    """

    repository: str
    tag: str


def parse_reference(text: str) -> Reference:
    """ "busybox:musl" -> Reference("docker.io/library/busybox", "musl"); a digest wins over a tag.

    The rules are docker's, see "Canonical and familiar names" of the distribution reference grammar. Nothing is
    refused here: that is the engine's word to say.
    """
    name, _, digest = text.partition("@")
    path, _, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    return Reference(_with_registry(f"{path}/{last}" if path else last), digest or tag or "latest")


def _with_registry(name: str) -> str:
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        registry, path = first.replace("index.docker.io", "docker.io"), rest
    else:
        registry, path = "docker.io", name
    return f"{registry}/library/{path}" if registry == "docker.io" and "/" not in path else f"{registry}/{path}"


def is_image_id(text: str) -> bool:
    """64 hex digits, with or without "sha256:": names an image that is here or nowhere; no registry can be asked."""
    digits = text.removeprefix("sha256:")
    return len(digits) == 64 and not set(digits) - set("0123456789abcdef")


@frozen
class PullProgress:
    """How far a pull has come. Totals grow while the engine learns of more layers.

    current_bytes, total_bytes: downloaded, and to be downloaded as far as known; compressed.
    unpacked_bytes:             of the downloaded ones; together with current_bytes: whether anything moves.
    layers, layers_done:        known, and finished or already here.
    finished:                   the image is here; nothing comes after it.
    """

    current_bytes: int = 0
    total_bytes: int = 0
    unpacked_bytes: int = 0
    layers: int = 0
    layers_done: int = 0
    finished: bool = False

    def text(self, image: str) -> str:
        """ "Pulling nginx: 41% (12.3/30.1 MB)"; MB are 1000000 bytes, as docker counts them."""
        if self.finished:
            return f"Pulled {image}"
        if not self.total_bytes:
            return f"Pulling {image}"
        if self.current_bytes >= self.total_bytes:
            return f"Pulling {image}: unpacking ({self.layers_done}/{self.layers} layers)"
        percent = 100 * self.current_bytes // self.total_bytes
        return f"Pulling {image}: {percent}% ({self.current_bytes / 1e6:.1f}/{self.total_bytes / 1e6:.1f} MB)"


class Tally:
    """Adds up what an engine says about single layers; `POST /images/create`."""

    def __init__(self) -> None:
        self._downloaded: dict[str, int] = {}
        self._unpacked: dict[str, int] = {}
        self._totals: dict[str, int] = {}
        self._done: set[str] = set()

    def add(self, line: JsonObject) -> None:
        """One line: {"status": "Downloading", "id": "a1b2", "progressDetail": {"current": 1, "total": 9}}."""
        layer, status = jsonobj.get_or(line, "id", ""), jsonobj.get_or(line, "status", "")
        if status not in _LAYER_STATUSES or (layer not in self._downloaded and len(self._downloaded) >= MAX_LAYERS):
            return
        before = self._downloaded.setdefault(layer, 0)
        current, total = (jsonobj.get_or(line, f"progressDetail.{key}", 0) for key in ("current", "total"))
        if status == "Downloading":
            self._totals[layer] = max(total, current, self._totals.get(layer, 0))
            # An interrupted download begins anew; what is shown does not go back for it.
            self._downloaded[layer] = max(before, current)
        elif status == "Extracting" and not jsonobj.get_or(line, "progressDetail.units", ""):
            self._unpacked[layer] = current
        elif status in _DOWNLOADED_STATUSES:
            self._downloaded[layer] = self._totals.get(layer, 0)
        if status in _DONE_STATUSES:
            self._done.add(layer)

    def progress(self) -> PullProgress:
        """The sum so far."""
        return PullProgress(
            sum(self._downloaded.values()),
            sum(self._totals.values()),
            sum(self._unpacked.values()),
            len(self._downloaded),
            len(self._done),
        )


_DONE_STATUSES = frozenset({"Pull complete", "Already exists"})
_DOWNLOADED_STATUSES = _DONE_STATUSES | {"Download complete"}
_LAYER_STATUSES = _DOWNLOADED_STATUSES | {
    "Pulling fs layer", "Waiting", "Downloading", "Verifying Checksum", "Extracting"
}  # fmt: skip
"""What the engine says of a layer; its other lines carry tags in their "id"."""
