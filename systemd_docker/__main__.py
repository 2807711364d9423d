"""`python3 -m systemd_docker`, and where every launcher begins: one program with two images."""

from __future__ import annotations

import os

from systemd_docker.program import RESUME_VARIABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    """Run systemd-docker(1)."""
    # Memory: a supervising process never imports what reads command lines, nor a start the other way round.
    if os.environ.get(RESUME_VARIABLE, "").isdecimal():
        from systemd_docker.resumed import main as go_on

        go_on()
    from systemd_docker.cli import main as begin

    begin()


if __name__ == "__main__":
    main()
