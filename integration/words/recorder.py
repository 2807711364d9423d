"""A service manager made of one program: it records each notification that systemd-docker sends.

The fixture `recorder` starts it; inside.recorder is the program.
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
        """What was said so far, but for STATUS= of ours and barriers."""
        lines = self.machine.run(f"cat {DIRECTORY}/log || true").splitlines()
        texts = [str(json.loads(line)["text"]) for line in lines]
        return [text for text in texts if not text.startswith(("STATUS=Container ", "BARRIER="))]

    def unit(self, command: str, *, options: str = "--rm --init --name web", own: str = "") -> str:
        """A service whose service manager, as far as notifications go, is the recorder."""
        service = ("Type=exec", f"Environment=NOTIFY_SOCKET={DIRECTORY}/notify")
        return unit(command, options=options, own=own, service=service)
