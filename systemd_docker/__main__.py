"""`python3 -m systemd_docker`, and where every launcher begins: the same as systemd-docker(1)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    """Run systemd-docker(1)."""
    from systemd_docker import cli

    cli.main()


if __name__ == "__main__":
    main()
