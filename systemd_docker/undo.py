"""What has to be taken back if a step fails: contextlib.ExitStack as far as a start needs it.

contextlib imports collections and functools, with what those import: 3 ms of CPU of every start, measured with
Debian 13's Python 3.13, and nothing else on the way of a start needs them.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self


class Undo:
    """Calls that are due when it is closed, the last one first; each of them, even if one raises."""

    def __init__(self) -> None:
        self._calls: list[Callable[[], object]] = []

    def callback(self, call: Callable[..., object], *args: object) -> None:
        self._calls.append(lambda: call(*args))

    def pop_all(self) -> Undo:
        """The calls as another's: this one has nothing to do any more."""
        other = Undo()
        other._calls, self._calls = self._calls, []
        return other

    def close(self) -> None:
        if self._calls:
            try:
                self._calls.pop()()
            finally:
                self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
