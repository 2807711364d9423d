"""Wait for the engine's word that the container has exited; `POST /containers/ID/wait`."""

from __future__ import annotations

import os
import select

from systemd_docker.engine.answers import exit_of
from systemd_docker.engine.http import Exchange
from systemd_docker.errors import EngineError
from systemd_docker.frozen import frozen
from systemd_docker.kernel.fd import NO_FD, Fd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from systemd_docker.kernel.loop import Loop


@frozen
class ExitWaitState:
    """The connection on which the engine will answer, and the bytes of its answer so far."""

    fd: Fd = NO_FD
    received: bytes = b""


class ExitWait:
    """Follow the engine's answer. Does not own the descriptor in its state.

    state: with what was received of the answer's head, which may come at any time before its body.
    is_busy: a part of the answer's body has come: the rest follows at once.
    """

    def __init__(
        self, loop: Loop, container: str, *, on_exit: Callable[[int], None], on_lost: Callable[[str], None]
    ) -> None:
        """container: its name, for errors. on_exit: called with the exit code. on_lost: called with the reason, where
        the engine will not answer.

        Exactly one of them is called, once for each follow(), unless close() comes first.
        """
        self.state = ExitWaitState()
        self.is_busy = False
        self._loop = loop
        self._request = f"POST /containers/{container}/wait"
        self._on_exit = on_exit
        self._on_lost = on_lost
        self._exchange: Exchange | None = None

    def follow(self, state: ExitWaitState) -> None:
        self.close()
        self.state = state
        self._loop.watch(state.fd, select.POLLIN, self._on_readable)

    def close(self) -> None:
        """Stop following; the descriptor stays open, and is the holder's."""
        if self.state.fd != NO_FD:
            self._loop.unwatch(self.state.fd)
        self._drop()
        self.state = ExitWaitState()

    def _on_readable(self) -> None:
        if self._exchange is None:
            # A descriptor of the exchange's own, which it closes.
            self._exchange = Exchange.resumed(os.dup(self.state.fd), self.state.received, self._request)
        exchange = self._exchange
        had_head = exchange.parser.head is not None
        try:
            exchange.advance()
            if not exchange.complete:
                self.is_busy = exchange.parser.head is None or had_head
                if not self.is_busy:
                    self._keep_head(exchange)
                return
            exit_code = exit_of(exchange)
        except (OSError, EngineError) as error:
            self.close()
            self._on_lost(str(error))
            return
        self.close()
        self._on_exit(exit_code)

    def _keep_head(self, exchange: Exchange) -> None:
        """The head alone is no news: the engine sends it as soon as it waits. It goes into the state."""
        fd, received = exchange.parts()
        os.close(fd)
        self.state = ExitWaitState(self.state.fd, received)
        self._exchange = None

    def _drop(self) -> None:
        if self._exchange is not None:
            self._exchange.close()
            self._exchange = None
        self.is_busy = False
