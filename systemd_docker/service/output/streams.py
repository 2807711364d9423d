"""The output and input of one running container, through every stream that carries them in turn."""

from __future__ import annotations

from systemd_docker.engine.multiplex import BEGINNING
from systemd_docker.frozen import replace
from systemd_docker.kernel.fd import NO_FD, Fd, close_fd
from systemd_docker.service.output.relay import Relay
from systemd_docker.service.output.sinks import make_sinks
from systemd_docker.service.output.stdin import Input

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from systemd_docker.kernel.loop import Loop
    from systemd_docker.service.output.log_resume import Plain
    from systemd_docker.service.output.state import OutputState


class Streams:
    """Relays output, where it is relayed, and passes input on, where there is any; close() them.

    state: the descriptors, which belong to the service's state, and where the output stood when the stream began.
    """

    def __init__(self, loop: Loop, state: OutputState, *, on_finished: Callable[[], None]) -> None:
        """on_finished: called when a stream has ended and everything of it is written."""
        self.state = state
        self._relay: Relay | None = None
        if state.sinks.stdout_fd != NO_FD:
            self._relay = Relay(loop, make_sinks(loop, state), on_finished=on_finished)
        self._input = Input(loop, state.stdin_fd) if state.stdin_fd != NO_FD else None

    @property
    def has_ended(self) -> bool:
        """Return whether no output is to come, nor to be written."""
        return self._relay is None or self._relay.finished

    @property
    def is_idle(self) -> bool:
        """Return whether everything that has come is written, and more may come."""
        is_behind = self._relay is not None and (self._relay.is_behind or self._relay.finished)
        return not (is_behind or (self._input is not None and self._input.is_behind))

    @property
    def recent(self) -> Callable[[], Plain] | None:
        """Return the last output that was passed on, when called; None where output is not relayed."""
        relay = self._relay
        return None if relay is None else lambda: relay.position.recent

    def begin(self) -> None:
        """Read the stream in the state."""
        if self._relay is not None and self.state.fd != NO_FD:
            self._relay.follow(self.state.fd, self.state.position, framed=self.state.framed)

    def snapshot(self) -> OutputState:
        """Return the state with how far the output has come."""
        if self._relay is None or self.state.fd == NO_FD:
            return self.state
        return replace(self.state, position=self._relay.position)

    def stop_reading(self) -> None:
        """Leave the stream; what has come of it is still written."""
        if self._relay is not None:
            self._relay.stop_reading()

    def when_flushed(self, action: Callable[[], None]) -> None:
        """Call action as soon as everything that has come is written."""
        if self._relay is None:
            action()
        else:
            self._relay.when_flushed(action)

    def switch(self, fd: Fd, early: bytes, *, is_log: bool) -> None:
        """Read another stream from now on, NO_FD for none; see recovery.reattach.Found. The old one is closed."""
        close_fd(self.state.fd)
        position = self._relay.position if self._relay is not None else self.state.position
        position = replace(position, frame=BEGINNING, early=early, is_log=is_log)
        self.state = replace(self.state, fd=fd, position=position)
        self.begin()

    def give_up(self) -> None:
        """Drop what has come and is not written, and what is still to come."""
        if self._relay is not None:
            self._relay.give_up()

    def close(self) -> None:
        """Unwatch everything. The descriptors stay open."""
        for part in (self._relay, self._input):
            if part is not None:
                part.close()
