"""Requests to the engine that go on while the container runs: sent now, answered when the loop comes to it.

A service that rests asks for nothing, so the engine's client is imported with the first request: see
service.supervise.reexec.
"""

from __future__ import annotations

from systemd_docker import log
from systemd_docker.errors import Error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from systemd_docker.engine.client import Engine
    from systemd_docker.engine.http import Exchange
    from systemd_docker.kernel.loop import Loop

    Then = Callable[[Exchange | None], None]

HARMLESS_STATUSES = (304, 404, 409)
"""It is as asked for already, there is no such container any more, or it does not run any more."""


class Requests:
    """What the engine has been asked and has not answered yet; owns the exchanges until close()."""

    def __init__(self, loop: Loop, socket_path: str, api: tuple[int, int]) -> None:
        """socket_path, api: the engine's."""
        self._loop = loop
        self._socket_path = socket_path
        self._api = api
        self._exchanges: list[Exchange] = []

    @property
    def are_open(self) -> bool:
        """Whether an answer is still to come."""
        return bool(self._exchanges)

    def send(self, what: str, ask: Callable[[Engine], Exchange], then: Then | None = None) -> bool:
        """Send one request and follow its answer; False where the engine cannot be asked.

        what: for the log, where it fails: "the engine does not pass a signal on".
        then: gets the complete exchange of a request that succeeded, or None where it did not.
        """
        from systemd_docker.engine.client import Engine
        from systemd_docker.engine.http import never_wait

        try:
            exchange = ask(Engine(self._socket_path, self._api, never_wait))
        except Error as error:
            log.warning(f"{error}, ignoring")
            return False
        self._exchanges.append(exchange)
        self._follow(exchange, what, then)
        return True

    def close(self) -> None:
        for exchange in list(self._exchanges):
            self._forget(exchange)

    def _follow(self, exchange: Exchange, what: str, then: Then | None) -> None:
        """Advance the exchange when it is ready, until its answer is complete."""

        def advance() -> None:
            from systemd_docker.engine.answers import failure_of

            try:
                exchange.advance()
            except OSError as error:
                log.debug(f"the engine went away while it was asked: {error}")
                self._end(exchange, then, succeeded=False)
                return
            if not exchange.complete:
                self._follow(exchange, what, then)
                return
            failure = failure_of(exchange)
            if failure is not None and failure.http_status not in HARMLESS_STATUSES:
                log.warning(f"{what}, ignoring: {failure}")
            self._end(exchange, then, succeeded=failure is None)

        self._loop.watch(exchange.fileno(), exchange.events, advance)

    def _end(self, exchange: Exchange, then: Then | None, *, succeeded: bool) -> None:
        self._forget(exchange)
        if then is not None:
            then(exchange if succeeded else None)

    def _forget(self, exchange: Exchange) -> None:
        self._loop.unwatch(exchange.fileno())
        exchange.close()
        self._exchanges.remove(exchange)
