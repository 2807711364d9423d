"""Read the notifications that systemd-docker sends, from a recorder in place of systemd's socket.

The fixture `recorder` starts it; the program is inside.recorder.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from integration.harness.machine import Machine
from integration.words.units import unit

DIRECTORY = "/run/recorder"


@dataclass(frozen=True, slots=True)
class Recorder:
    machine: Machine

    def datagrams(self) -> list[str]:
        """Return the datagrams so far, without systemd-docker's own STATUS= and barriers."""
        lines = self.machine.run(f"cat {DIRECTORY}/log || true").splitlines()
        texts = [str(json.loads(line)["text"]) for line in lines]
        return [text for text in texts if not text.startswith(("STATUS=Container ", "BARRIER="))]

    def unit(self, command: str, *, options: str = "--rm --init --name web", own: str = "") -> str:
        """Return a service whose notifications go to the recorder."""
        service = ("Type=exec", f"Environment=NOTIFY_SOCKET={DIRECTORY}/notify")
        return unit(command, options=options, own=own, service=service)
