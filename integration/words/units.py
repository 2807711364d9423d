"""Unit files, and the payloads and options that several tests put into them.

A payload that one test module needs stays in that module.
"""

from __future__ import annotations

from collections.abc import Sequence

TRAP = "trap 'exit 0' TERM; while true; do sleep 60 & wait; done"
"""A payload that ends on SIGTERM. As PID 1 it would ignore that signal without a handler."""

IGNORES = "while true; do sleep 1; done"
"""A payload that ignores SIGTERM, as PID 1 does without a handler."""

ON_HUP = "trap '{}' HUP; trap 'exit 0' TERM; while true; do sleep 60 & wait $!; done"
"""A payload that runs a command on SIGHUP and ends on SIGTERM."""

OPENS_FORBIDDEN = ON_HUP.format("mknod /fuse c 10 229; dd if=/fuse count=0; echo done")
"""On SIGHUP, open /dev/fuse under another name. A root container may make the file, but by the engine's device filter
not open it: EPERM. Without a filter it would be open, or ENXIO where nothing is behind it."""

EATS = "dd if=/dev/zero of=/dev/null count=1 bs={}"
"""A command that takes as much memory as dd's buffer needs."""

ATE_TOO_MUCH = 137
"""The exit status of a process that the kernel killed for its memory."""

HOST_TOOLS = "--volume /usr:/usr:ro --volume /lib:/lib:ro --volume /lib64:/lib64:ro --volume /srv:/srv:ro"
"""Options with which busybox can run the machine's own systemd-notify(1) and Python, and the tests' payloads."""

HEALTHCHECK = "--health-cmd 'test -e /well' --health-interval 500ms --health-timeout 5s --health-retries 1"
"""Options of a container that is healthy as long as /well exists."""

PATIENT = ("TimeoutStartSec=240", "TimeoutStopSec=240")
"""Settings for machines with a kernel of their own, which are slow."""

GO_HELLO_WORLD = """\
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
"""A unit file written for the Go systemd-docker, years before this one, and used word for word."""


def unit(command: str, *, options: str = "--rm --name web", own: str = "", service: Sequence[str] = ()) -> str:
    """Return a plain service that runs `sh -c command` in busybox:musl."""
    escaped = command.replace("%", "%%").replace("$", "$$").replace("\\", "\\\\").replace('"', '\\"')
    lines = ["[Service]", "Type=notify", "NotifyAccess=all", "TimeoutStartSec=30", *service]
    lines.append(f'ExecStart=/usr/local/bin/systemd-docker {own} run {options} busybox:musl sh -c "{escaped}"')
    return "\n".join(lines) + "\n"
