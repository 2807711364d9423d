"""Programs from Debian's packages that notify systemd by themselves: redis, Python, a shell."""

from __future__ import annotations

import pytest

from integration.harness import images
from integration.harness.machine import Machine, poll
from integration.words.processes import leader

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

IMAGE = "payloads:debian"
PACKAGES = ("python3-sdnotify", "redis-server", "systemd")


@pytest.fixture(scope="module", autouse=True)
def image(machine: Machine) -> None:
    images.load(machine, images.of_packages(machine.spec.suite, PACKAGES), IMAGE)


def install(machine: Machine, command: str, *service: str, kind: str = "notify", options: str = "") -> None:
    lines = ["[Service]", f"Type={kind}", "NotifyAccess=all", "TimeoutStartSec=60", *service]
    run = f"run --rm --name web {options} {IMAGE} {command}"
    machine.install_unit("web.service", "\n".join([*lines, f"ExecStart=systemd-docker --notify {run}"]) + "\n")


def test_redis_with_supervised_systemd(machine: Machine) -> None:
    install(
        machine,
        "redis-server --supervised systemd --save '' --dir /tmp",
        options="--user redis --read-only --tmpfs /tmp",
    )

    machine.run("systemctl start web")

    assert machine.show("web", "StatusText") == "Ready to accept connections"
    assert machine.show("web", "MainPID") == leader(machine)
    assert machine.run("docker exec web redis-cli ping") == "PONG"
    machine.run("systemctl stop web")
    assert machine.show("web", "Result") == "success"


PYTHON = """
import signal, sdnotify
notifier = sdnotify.SystemdNotifier(debug=True)
notifier.notify("STATUS=starting")
notifier.notify("READY=1")
notifier.notify("STATUS=serving")
def stop(*_):
    notifier.notify("STOPPING=1")
    raise SystemExit(0)
signal.signal(signal.SIGTERM, stop)
while True:
    signal.pause()
"""


def test_python_with_sdnotify(machine: Machine) -> None:
    machine.write("/srv/service.py", PYTHON)
    install(machine, "python3 /srv/service.py", options="--volume /srv:/srv:ro")

    machine.run("systemctl start web")

    poll(lambda: machine.show("web", "StatusText") == "serving", what="its status")
    machine.run("systemctl stop web")
    assert machine.show("web", "Result") == "success"


def test_a_shell_with_systemd_notify(machine: Machine) -> None:
    install(machine, "sh -c \"systemd-notify --ready --status='from a shell'; exec sleep 600\"", options="--init")

    machine.run("systemctl start web")

    assert machine.show("web", "StatusText") == "from a shell"


RELOADS = """
import os, signal, socket, time
def say(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect(os.environ["NOTIFY_SOCKET"])
        sock.send(text.encode())
count = 0
def reload(*_):
    global count
    count += 1
    say(f"RELOADING=1\\nMONOTONIC_USEC={time.monotonic_ns() // 1000}\\nSTATUS=reloading")
    time.sleep(0.5)
    say(f"READY=1\\nSTATUS=reloaded {count}")
signal.signal(signal.SIGHUP, reload)
signal.signal(signal.SIGTERM, lambda *_: exit(0))
say("READY=1\\nSTATUS=loaded")
while True:
    signal.pause()
"""


@pytest.mark.parametrize("access", ["all", "main"])
@pytest.mark.parametrize("kind", ["notify-reload", "notify"])
def test_a_reload_ends_with_the_payloads_notification(machine: Machine, kind: str, access: str) -> None:
    if kind == "notify-reload" and int(machine.run("systemctl --version").split()[1]) < 253:
        pytest.skip("Type=notify-reload is new in systemd 253")
    machine.write("/srv/reloads.py", RELOADS)
    reload = () if kind == "notify-reload" else ("ExecReload=systemd-docker kill --signal=HUP",)
    install(
        machine,
        "python3 /srv/reloads.py",
        f"NotifyAccess={access}",
        *reload,
        kind=kind,
        options="--volume /srv:/srv:ro",
    )
    machine.run("systemctl start web")
    assert machine.show("web", "StatusText") == "loaded"

    for count in (1, 2):
        machine.run("systemctl reload web")
        if kind == "notify-reload":
            assert machine.show("web", "StatusText") == f"reloaded {count}", "systemctl has waited for it"
        poll(lambda: machine.show("web", "ActiveState") == "active", what="the end of the reload")
        poll(lambda count=count: machine.show("web", "StatusText") == f"reloaded {count}", what="its status")  # type: ignore[misc]


def test_a_reload_may_be_a_command_in_the_container(machine: Machine) -> None:
    install(
        machine,
        'sh -c "systemd-notify --ready; exec sleep 600"',
        "ExecReload=systemd-docker exec systemd-notify --status=reconfigured",
        options="--init",
    )
    machine.run("systemctl start web")

    machine.run("systemctl reload web")

    assert machine.show("web", "StatusText") == "reconfigured"
