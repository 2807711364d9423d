"""Requests to the engine while the container runs: sent now, answered when the event loop comes to it."""

from __future__ import annotations

from systemd_docker import log
from systemd_docker.engine.answers import failure_of
from systemd_docker.engine.client import Engine
from systemd_docker.engine.http import never_wait
from systemd_docker.errors import Error
from systemd_docker.frozen import frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from systemd_docker.engine.http import Exchange
    from systemd_docker.kernel.loop import Loop, Timer

    Then = Callable[[Exchange | None], None]

HARMLESS_STATUSES = (304, 404, 409)
"""The request was met already, the container is gone, or it does not run any more."""

ANSWER_TIMEOUT_SEC = 30
"""How long the engine may take for a request that it only has to pass on."""

MAX_OPEN = 32
"""Requests under way at once. An engine that hangs does not make systemd-docker run out of descriptors."""


@frozen
class EngineAddress:
    """The engine's socket, and the API version that both sides speak."""

    socket_path: str = ""
    api: tuple[int, int] = (0, 0)


def engine_at(address: EngineAddress) -> Engine:
    """Return the engine, to be asked from the event loop."""
    return Engine(address.socket_path, address.api, never_wait)


class Follower:
    """Advance one exchange on the event loop until it is done, fails, or takes too long. Owns it until close()."""

    def __init__(self, loop: Loop, exchange: Exchange, limit_sec: float) -> None:
        self._loop = loop
        self.exchange = exchange
        self._on_done: Callable[[], None] = lambda: None
        self._on_failed: Callable[[str], None] = lambda reason: None
        self._is_done: Callable[[Exchange], bool] = lambda exchange: exchange.complete
        self._timer: Timer | None = loop.after(limit_sec, lambda: self._fail(f"no answer within {limit_sec:g} s"))

    def follow(
        self,
        is_done: Callable[[Exchange], bool],
        on_done: Callable[[], None],
        on_failed: Callable[[str], None],
    ) -> None:
        """Call exactly one of on_done and on_failed, with the reason, unless close() comes first.

        After on_failed the exchange is closed; after on_done it is the owner's to close() or to take apart.
        """
        self._is_done, self._on_done, self._on_failed = is_done, on_done, on_failed
        self._watch()

    def close(self) -> None:
        """Forget the exchange. Closing it twice is fine."""
        self.release()
        self.exchange.close()

    def release(self) -> None:
        """Stop following; the exchange stays open and is the caller's."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._loop.unwatch(self.exchange.fileno())

    def _watch(self) -> None:
        self._loop.watch(self.exchange.fileno(), self.exchange.events, self._advance)

    def _advance(self) -> None:
        try:
            self.exchange.advance()
        except OSError as error:
            self._fail(str(error))
            return
        if self._is_done(self.exchange):
            self.release()
            self._on_done()
        else:
            self._watch()

    def _fail(self, reason: str) -> None:
        self.close()
        self._on_failed(reason)


class EngineRequests:
    """The requests that the engine has not answered yet; owns them until close().

    engine: for exchanges that the caller owns and follows.
    """

    def __init__(self, loop: Loop, address: EngineAddress) -> None:
        self.engine = engine_at(address)
        self._loop = loop
        self._open: list[Follower] = []

    @property
    def are_open(self) -> bool:
        """Return whether an answer is still to come."""
        return bool(self._open)

    def send(
        self,
        what: str,
        ask: Callable[[Engine], Exchange],
        then: Then | None = None,
        limit_sec: float = ANSWER_TIMEOUT_SEC,
    ) -> bool:
        """Send one request and follow its answer; return False where the engine cannot be asked.

        what: for the log, where the request fails: "cannot pass signal 1 on to container 'web'".
        then: called with the complete exchange of a request that succeeded, or with None where it did not.
        """
        if len(self._open) >= MAX_OPEN:
            log.warning(f"{what}: the engine has not answered {MAX_OPEN} earlier requests")
            return False
        try:
            exchange = ask(self.engine)
        except Error as error:
            log.warning(f"{what}: {error}")
            return False
        follower = Follower(self._loop, exchange, limit_sec)
        self._open.append(follower)

        def on_done() -> None:
            failure = failure_of(exchange)
            if failure is not None and failure.http_status not in HARMLESS_STATUSES:
                log.warning(f"{what}: {failure}")
            end(exchange if failure is None else None)

        def on_failed(reason: str) -> None:
            log.warning(f"{what}: {reason}")
            end(None)

        def end(answer: Exchange | None) -> None:
            self._open.remove(follower)
            if then is not None:
                then(answer)
            follower.close()

        follower.follow(lambda exchange: exchange.complete, on_done, on_failed)
        return True

    def close(self) -> None:
        """Forget every request; none is answered any more."""
        for follower in self._open:
            follower.close()
        self._open.clear()
