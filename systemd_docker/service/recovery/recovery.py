"""Everything that is asked of the engine while the container is lost or may come back; one question at a time."""

from __future__ import annotations

from systemd_docker.kernel.fd import close_fd
from systemd_docker.service.recovery.judgement import Judgement, RestartWatch, Verdict
from systemd_docker.service.recovery.reattach import FIRST_PAUSE_SEC, LONGEST_PAUSE_SEC, Found, Reattachment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from systemd_docker.kernel.loop import Loop
    from systemd_docker.service.container_state import ContainerState
    from systemd_docker.service.engine_requests import EngineAddress
    from systemd_docker.service.output.log_resume import Plain
    from systemd_docker.service.stop_policy import StopPolicy


class Recovery:
    """Looks for a container, asks why it ended, waits for its next start; close() it.

    found:              what was found and has not been taken yet; its descriptors are closed unless it is taken.
    has_reached_engine: whether the engine has answered about the container since it was lost.
    """

    def __init__(self, loop: Loop, address: EngineAddress) -> None:
        self.found: Found | None = None
        self.has_reached_engine = True
        self._loop = loop
        self._address = address
        self._part: Reattachment | Judgement | RestartWatch | None = None
        self._lost_at: float | None = None
        self._pause_sec: float = FIRST_PAUSE_SEC

    def look(
        self,
        container: ContainerState,
        recent: Callable[[], Plain] | None,
        *,
        is_restart: bool,
        on_found: Callable[[Found], None],
        on_nothing: Callable[[], None],
    ) -> None:
        """Look for the container at once, or after a pause where it was lost just before; see Reattachment.

        is_restart: the engine has just started it again, which is no loss.
        """
        self.stop()
        self.has_reached_engine = False

        def take(found: Found) -> None:
            self.has_reached_engine = True
            self.keep(found)
            on_found(found)

        def report_nothing() -> None:
            self.has_reached_engine = reattachment.has_reached_engine
            on_nothing()

        reattachment = Reattachment(
            self._loop, self._address, container, recent, on_found=take, on_nothing=report_nothing
        )
        self._part = reattachment
        reattachment.begin(0.0 if is_restart else self._pause_before())

    def judge(
        self, container: ContainerState, exit_code: int, stop: StopPolicy, on_verdict: Callable[[Verdict], None]
    ) -> None:
        """Ask the engine why the container ended; see Judgement."""
        self.stop()
        judgement = Judgement(self._loop, self._address, container, on_verdict=on_verdict)
        self._part = judgement
        judgement.begin(exit_code, stop.signal, stop.timeout_sec)

    def hurry(self) -> None:
        """Give the engine less time for its answer about the end; see Judgement."""
        if isinstance(self._part, Judgement):
            self._part.hurry()

    def await_restart(
        self,
        container: ContainerState,
        since_nsec: int,
        *,
        on_started: Callable[[], None],
        on_not_restarted: Callable[[], None],
    ) -> None:
        """Wait for the container's next start; see RestartWatch."""
        self.stop()
        watch = RestartWatch(
            self._loop, self._address, container, on_started=on_started, on_not_restarted=on_not_restarted
        )
        self._part = watch
        watch.begin(since_nsec)

    def keep(self, found: Found) -> None:
        """Keep what was found until it is taken, in place of what was found before."""
        if self.found is not found:
            self.discard()
            self.found = found

    def take(self) -> Found:
        """Return what was found; its descriptors are the caller's."""
        found, self.found = self.found, None
        assert found is not None
        return found

    def discard(self) -> None:
        """Close what was found and not taken."""
        if self.found is not None:
            for fd in (self.found.container.pidfd, self.found.output_fd, self.found.exit_wait.fd):
                close_fd(fd)
            self.found = None

    def stop(self) -> None:
        """Drop the question that is under way, and what was found."""
        if self._part is not None:
            self._part.close()
            self._part = None
        self.discard()

    def close(self) -> None:
        self.stop()

    def _pause_before(self) -> float:
        """An engine that loses its connection again and again is asked with growing pauses."""
        now = self._loop.now()
        is_again = self._lost_at is not None and now - self._lost_at < LONGEST_PAUSE_SEC
        self._lost_at = now
        self._pause_sec = min(2 * self._pause_sec, LONGEST_PAUSE_SEC) if is_again else FIRST_PAUSE_SEC
        return self._pause_sec if is_again else 0.0
