"""A pull's progress: the sum of the lines that an engine sends about single layers. Pure: no I/O."""

from __future__ import annotations

from systemd_docker import jsonobj
from systemd_docker.frozen import frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.jsonobj import JsonObject

MAX_LAYERS = 1024
"""An image has at most 127 layers; lines about more of them are left out."""


@frozen
class PullProgress:
    """The state of a pull. Totals grow while the engine learns of more layers.

    current_bytes, total_bytes: downloaded, and to be downloaded as far as known; compressed.
    unpacked_bytes:             of the downloaded ones; together with current_bytes: whether anything moves.
    layers, layers_done:        known, and finished or present before.
    finished:                   the image is present; no report follows.
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
    """Adds up the lines about single layers; `POST /images/create`."""

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
            # An interrupted download begins anew; the sum does not go back for it.
            self._downloaded[layer] = max(before, current)
        elif status == "Extracting" and not jsonobj.get_or(line, "progressDetail.units", ""):
            self._unpacked[layer] = current
        elif status in _DOWNLOADED_STATUSES:
            self._downloaded[layer] = self._totals.get(layer, 0)
        if status in _DONE_STATUSES:
            self._done.add(layer)

    def progress(self) -> PullProgress:
        """Return the sum so far."""
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
"""Statuses of layers; other lines carry tags in their "id"."""
