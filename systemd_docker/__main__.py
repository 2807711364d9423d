"""`python3 -m systemd_docker`: the same as systemd-docker(1)."""

from systemd_docker.cli import main

main()
