"""Unit files from the field: written for the Go systemd-docker, years before this one, and used word for word."""

from __future__ import annotations

HELLO_WORLD = """\
[Unit]
Description=Docker container - hello world
After=docker.service
Requires=docker.service
[Service]
TimeoutStartSec=0
Restart=always
Type=notify
NotifyAccess=all
ExecStart=/usr/local/bin/systemd-docker --cgroups name=systemd run --rm --name hello-world busybox:musl \
/bin/sh -c 'while true; do echo hello world; sleep 60; done'
[Install]
WantedBy=multi-user.target
"""
