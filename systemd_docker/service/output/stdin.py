"""Standard input for a payload that wants it (--interactive): bytes in, the same bytes to the engine."""

from __future__ import annotations

import os
import select

from systemd_docker import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.kernel.loop import Loop

RECEIVE_BYTES = 16 * 1024

STDIN = 0


class Input:
    """From our standard input to the container's. Owns no descriptor; what it watches ends with close().

    is_behind:    the engine has not taken all yet.
    has_ended:    standard input has; the container's end of it is closed then.
    """

    def __init__(self, loop: Loop, stream: int, source: int = STDIN) -> None:
        """stream: the attachment's socket, or a duplicate of it that no other watcher reads; non-blocking."""
        self.has_ended = False
        self._loop = loop
        self._stream = stream
        self._source = source
        self._held = b""
        loop.watch(source, select.POLLIN, self._on_readable)

    @property
    def is_behind(self) -> bool:
        return bool(self._held)

    def close(self) -> None:
        for fd in (self._source, self._stream):
            self._loop.unwatch(fd)

    def _on_readable(self) -> None:
        try:
            self._held = os.read(self._source, RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            # EIO: the terminal has gone, for one.
            log.debug(f"standard input has ended: {error.strerror}")
        if self._held:
            self._on_writable()
        else:
            self._end()

    def _on_writable(self) -> None:
        try:
            self._held = self._held[os.write(self._stream, self._held) :]
        except BlockingIOError:
            pass
        except OSError as error:
            log.debug(f"the container takes no input any more: {error.strerror}")
            self._held = b""
            self._end()
            return
        if self._held:
            self._loop.unwatch(self._source)
            self._loop.watch(self._stream, select.POLLOUT, self._on_writable)
        else:
            self._loop.unwatch(self._stream)
            self._loop.watch(self._source, select.POLLIN, self._on_readable)

    def _end(self) -> None:
        """Close the container's standard input and nothing else: its output goes on."""
        import socket

        self.close()
        self.has_ended = True
        stream = socket.socket(fileno=self._stream)
        try:
            stream.shutdown(socket.SHUT_WR)
        except OSError as error:
            log.debug(f"the container has ended before its input: {error.strerror}")
        finally:
            stream.detach()
