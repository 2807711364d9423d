"""systemd-docker's own messages: lines on standard error, with sd-daemon(3)'s <N> prefixes where the journal reads.

Mechanisms and vocabulary never call this above debug; service and commands say each failure once, where
they handle it.
error: the command fails; warning: it continues without something; notice: an operator wants it of a healthy start,
one line at most; info: hints and reasons; debug: everything else, with values.
"""

from __future__ import annotations

import os

ERROR, WARNING, NOTICE, INFO, DEBUG = 3, 4, 5, 6, 7

LEVELS = {"error": ERROR, "warning": WARNING, "notice": NOTICE, "info": INFO, "debug": DEBUG}
"""What --log-level= takes."""

_STDERR = 2


class Log:
    """The sink of messages. One per process: `log.messages`; tests read it back through its fd.

    fd:           borrowed; standard error unless a test says otherwise.
    level_prefix: "<3>" in front of each line, for a reader that understands it: journald, /dev/kmsg. Others get
                  the program's name there, as journald shows it by itself.
    threshold:    messages with a higher number are dropped.
    """

    def __init__(self, fd: int = _STDERR, *, level_prefix: bool = False, threshold: int = INFO) -> None:
        self.fd = fd
        self.level_prefix = level_prefix
        self.threshold = threshold

    def write(self, level: int, message: str) -> None:
        if level > self.threshold:
            return
        prefix = f"<{level}>" if self.level_prefix else "systemd-docker: "
        text = "".join(f"{prefix}{line}\n" for line in message.splitlines() or [""])
        try:
            os.write(self.fd, text.encode(errors="backslashreplace"))
        except OSError:
            # The reader of standard error has gone, and there is no better place for a message.
            pass


messages = Log()


def error(message: str) -> None:
    messages.write(ERROR, message)


def warning(message: str) -> None:
    messages.write(WARNING, message)


def notice(message: str) -> None:
    messages.write(NOTICE, message)


def info(message: str) -> None:
    messages.write(INFO, message)


def debug(message: str) -> None:
    messages.write(DEBUG, message)
