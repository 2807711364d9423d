"""The fault table: what is done to a running unit, and what must hold afterwards.

tests/engine/test_faults.py tests each row; fault.py explains the fields."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from integration.tables.fault import IGNORES, KEPT, OBEYS, RELOADS, Fault, Found, row

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

AGAIN = ("Restart=always", "RestartSec=100ms")
ON_FAILURE = ("Restart=on-failure", "RestartSec=100ms")
BOUND = ("After=docker.service", "Requires=docker.service")
WANTED = ("After=docker.service", "Wants=docker.service")
BINDS_TO = ("After=docker.service", "BindsTo=docker.service")
PART_OF = ("After=docker.service", "PartOf=docker.service")
KILL_ENGINE = (
    "before=$(systemctl show -P MainPID docker); kill -KILL $before;"
    " until systemctl is-active --quiet docker && [ $(systemctl show -P MainPID docker) != $before ];"
    " do sleep 0.1; done"
)
STOP_ENGINE, START_ENGINE = "systemctl stop docker.socket docker", "systemctl start docker"
FREEZE_ENGINE = "systemctl kill --kill-whom=main -s STOP docker"
THAW_ENGINE = "systemctl kill --kill-whom=main -s CONT docker"
WRAPPER_IS_MAIN = "--main-pid=wrapper"

AWAY = (
    "no exit status for container", "timed out after", "cannot reach the engine", "cannot ask the engine",
    "lost the engine",
)  # fmt: skip
"""Log lines about an engine that is away while the unit stops."""

ILL = "--rm --name web --tmpfs /run --health-cmd '[ ! -e /run/ill ]' --health-interval 1s --health-retries 1"
FALL_ILL = "docker exec web touch /run/ill"

FROM_THE_UNIT = (
    Fault("systemctl stop", "systemctl stop web", "inactive/success", "gone"),
    Fault("systemctl restart", "systemctl restart web", "active/success", "new"),
    Fault("systemctl stop, KillMode=mixed", "systemctl stop web", "inactive/success", "gone",
          service=("KillMode=mixed",)),
    Fault("systemctl stop, KillMode=process", "systemctl stop web", "inactive/success", "gone",
          service=("KillMode=process",)),
    Fault("systemctl stop, KillMode=mixed, SendSIGHUP=yes", "systemctl stop web", "inactive/success", "gone",
          service=("KillMode=mixed", "SendSIGHUP=yes")),
    Fault("systemctl stop, SendSIGHUP=yes", "systemctl stop web", "inactive/success", "gone",
          service=("SendSIGHUP=yes",)),
    Fault("systemctl stop, the payload ignores SIGTERM", "systemctl stop web", "inactive/success", "gone",
          payload=IGNORES, options="--rm --name web --stop-timeout 1"),
    Fault("systemctl stop, TimeoutStopSec=3 is shorter than the payload needs", "systemctl stop web",
          "inactive/success", "gone", payload=IGNORES, service=("TimeoutStopSec=3",)),
    Fault("systemctl stop, a stop signal of the container's own", "systemctl stop web", "inactive/success", "gone",
          payload=OBEYS.replace("TERM", "QUIT"), options="--rm --name web --stop-signal QUIT"),
    Fault("systemctl kill -s USR1", "systemctl kill -s USR1 web", "active/success", "same",
          payload=RELOADS),
    Fault("systemctl kill -s USR1 --kill-whom=main", "systemctl kill -s USR1 --kill-whom=main web", "active/success",
          "same", payload=RELOADS),
    Fault("systemctl kill -s KILL --kill-whom=main", "systemctl kill -s KILL --kill-whom=main web", "failed/signal",
          "gone"),
    Fault("systemctl kill -s KILL, --main-pid=wrapper", "systemctl kill -s KILL web", "failed/signal", "gone",
          own=WRAPPER_IS_MAIN),
    Fault("systemctl reload, ExecReload=systemd-docker kill -s HUP", "systemctl reload web", "active/success", "same",
          payload=RELOADS, service=("ExecReload=/usr/local/bin/systemd-docker kill -s HUP",)),
    Fault("systemctl reload, ExecReload=systemd-docker exec", "systemctl reload web", "active/success", "same",
          service=("ExecReload=/usr/local/bin/systemd-docker exec true",)),
    Fault("systemctl stop, ExecStop=systemd-docker stop", "systemctl stop web", "inactive/success", "gone",
          service=("ExecStop=/usr/local/bin/systemd-docker stop",)),
)  # fmt: skip

FROM_OUTSIDE = (
    Fault("docker stop", "docker stop web", "inactive/success", "gone"),
    Fault("docker stop, Restart=always", "docker stop web", "active/success", "new", service=AGAIN),
    Fault("docker stop of a container that is kept", "docker stop web", "inactive/success", "stopped", options=KEPT,
          stop_post=""),
    Fault("docker kill", "docker kill web", "failed/signal", "gone"),
    Fault("docker kill, Restart=on-failure", "docker kill web", "active/success", "new", service=ON_FAILURE),
    Fault("docker kill -s HUP, which the payload handles", "docker kill -s HUP web", "active/success", "same",
          payload=RELOADS),
    Fault("docker rm --force", "docker rm --force web", "failed/signal", "gone"),
    Fault("docker rm --force, Restart=on-failure", "docker rm --force web", "active/success", "new",
          service=ON_FAILURE),
    Fault("docker restart", "docker restart web", "active/success", "restarted"),
    Fault("docker restart, KillMode=mixed", "docker restart web", "active/success", "restarted",
          service=("KillMode=mixed",)),
    Fault("docker restart, --main-pid=wrapper", "docker restart web", "active/success", "restarted",
          own=WRAPPER_IS_MAIN),
    Fault("docker restart, twice", "docker restart web; docker restart web", "active/success", "restarted"),
    Fault("docker restart, then systemctl stop", "docker restart web; systemctl stop web", "inactive/success",
          "gone"),
    Fault("docker pause, docker unpause", "docker pause web; docker unpause web", "active/success", "same"),
    Fault("docker pause, systemctl stop", "docker pause web; systemctl stop web", "inactive/success", "gone",
          options="--rm --name web --stop-timeout 2", tolerates=("killed",)),
    Fault("docker rename", "docker rename web other", "active/success", "same"),
    Fault("docker rename, then systemctl restart", "docker rename web other; systemctl restart web", "active/success",
          "new"),
    Fault("docker update", "docker update --cpu-shares 512 web", "active/success", "same"),
    Fault("unhealthy, --health-on-failure=none", f"{FALL_ILL}; until docker ps | grep -q unhealthy; do sleep 0.2;"
          " done", "active/success", "same", options=ILL, says="is unhealthy"),
    Fault("unhealthy, --health-on-failure=restart", FALL_ILL, "active/success", "restarted", options=ILL,
          own="--health-on-failure=restart", says="is unhealthy, restarting it"),
    Fault("unhealthy, --health-on-failure=kill, Restart=on-failure", FALL_ILL, "active/success", "new", options=ILL,
          own="--health-on-failure=kill", says="is unhealthy, killing it", service=ON_FAILURE),
    Fault("unhealthy, --health-on-failure=stop", FALL_ILL, "inactive/success", "gone", options=ILL,
          own="--health-on-failure=stop", says="is unhealthy, stopping it"),
)  # fmt: skip

THE_WRAPPER = (
    Fault("SIGKILL to systemd-docker", "kill -KILL $WRAPPER", "failed/signal", "gone"),
    Fault("SIGKILL to systemd-docker, Restart=on-failure", "kill -KILL $WRAPPER", "active/success", "new",
          service=ON_FAILURE),
    Fault("SIGSEGV to systemd-docker", "kill -SEGV $WRAPPER", "failed/signal", "gone", service=("LimitCORE=0",)),
    Fault("SIGKILL to systemd-docker, --main-pid=wrapper", "kill -KILL $WRAPPER", "failed/signal", "gone",
          own=WRAPPER_IS_MAIN),
    Fault("SIGKILL to systemd-docker, --main-pid=wrapper, Restart=on-failure", "kill -KILL $WRAPPER",
          "active/success", "new", own=WRAPPER_IS_MAIN, service=ON_FAILURE),
    Fault("SIGSEGV to systemd-docker, --main-pid=wrapper", "kill -SEGV $WRAPPER", "failed/signal", "gone",
          own=WRAPPER_IS_MAIN, service=("LimitCORE=0",)),
    Fault("SIGTERM to systemd-docker", "kill -TERM $WRAPPER", "inactive/success", "gone"),
    Fault("SIGTERM to systemd-docker, the payload exits with 3 when it is asked to stop", "kill -TERM $WRAPPER",
          "failed/exit-code", "gone", payload=OBEYS.replace("exit 0", "exit 3"),
          options="--rm --name web --stop-timeout 2"),
    Fault("SIGSTOP to systemd-docker for 3 s", "kill -STOP $WRAPPER; sleep 3; kill -CONT $WRAPPER", "active/success",
          "same"),
)  # fmt: skip

ITS_OUTPUT = (
    Fault("systemctl restart systemd-journald", "systemctl restart systemd-journald", "active/success", "same"),
    Fault("SIGKILL to journald", "systemctl kill -s KILL systemd-journald;"
          " until journalctl --sync; do sleep 0.1; done", "active/success", "same"),
    Fault("SIGSTOP to journald for 3 s", "systemctl kill -s STOP systemd-journald; sleep 3;"
          " systemctl kill -s CONT systemd-journald", "active/success", "same"),
    Fault("standard output is closed", "true", "active/success", "same",
          through="/bin/sh -c 'exec \"$$@\" >&-' sh", is_logged=False, service=("Delegate=yes",),
          says="standard output is closed"),
    Fault("standard output and standard error are closed", "true", "active/success", "same",
          through="/bin/sh -c 'exec \"$$@\" >&- 2>&-' sh", is_logged=False, service=("Delegate=yes",)),
    Fault("the reader of standard output goes away", "systemctl stop reader", "active/success", "same",
          before="mkfifo /run/reader; systemd-run --quiet --unit=reader sh -c 'exec cat /run/reader'",
          after="systemctl stop reader; rm /run/reader", stop_post="", is_logged=False,
          service=("StandardOutput=file:/run/reader", "StandardError=journal"),
          says="cannot write the container's standard output, discarding it from now on"),
)  # fmt: skip

THE_ENGINE = (
    Fault("systemctl restart docker", "systemctl restart docker", "inactive/success", "gone"),
    Fault("systemctl restart docker, Restart=always", "systemctl restart docker", "active/success", "new",
          service=AGAIN),
    Fault("SIGKILL to dockerd, Restart=always", KILL_ENGINE, "active/success", "new", service=AGAIN),
    Fault("SIGKILL to containerd", "systemctl kill --kill-whom=main -s KILL containerd", "active/success", "same",
          tolerates=("no exit status for container",)),
    Fault("SIGKILL to the container's shim", "pkill -KILL -f [c]ontainerd-shim", "failed/signal", "gone"),
    Fault("SIGKILL to the container's shim, Restart=on-failure", "pkill -KILL -f [c]ontainerd-shim",
          "active/success", "new", service=ON_FAILURE),
    Fault("SIGSTOP to dockerd for 12 s", f"{FREEZE_ENGINE}; sleep 12; {THAW_ENGINE}", "active/success", "same"),
    Fault("SIGSTOP to dockerd for 12 s, the payload dies meanwhile", f"{FREEZE_ENGINE}; kill -KILL $LEADER;"
          f" sleep 12; {THAW_ENGINE}", "failed/signal", "gone"),
    Fault("SIGSTOP to dockerd, systemctl stop", f"{FREEZE_ENGINE}; systemctl stop web; {THAW_ENGINE}",
          "inactive/success", "stopped", stop_post="", service=("TimeoutStopSec=8",),
          tolerates=("no exit status for container",)),
)  # fmt: skip

RETURN_TO_SOCKET = "mv /run/away.sock /run/docker.sock"
ITS_SOCKET = (
    Fault("the engine's socket is moved away, and back", f"mv /run/docker.sock /run/away.sock; sleep 1;"
          f" {RETURN_TO_SOCKET}", "active/success", "same"),
    Fault("systemctl stop while the engine's socket is away", f"mv /run/docker.sock /run/away.sock;"
          f" systemctl stop web; {RETURN_TO_SOCKET}", "inactive/success", "stopped", stop_post="",
          tolerates=("cannot reach the engine",)),
    Fault("systemctl restart docker while its socket is away, and back; live-restore",
          f"mv /run/docker.sock /run/away.sock; systemctl restart docker; sleep 2; {RETURN_TO_SOCKET}",
          "active/success", "same", live_restore=True),
)  # fmt: skip

SAYS = "/run/engine-says"
PROXY = "/root/engine_proxy.py"
CUT = "systemctl kill -s HUP engine-proxy"


def _through_proxy(fault: Fault) -> Fault:
    """Return a row whose engine answers badly, through inside.engine_proxy."""
    return replace(
        fault,
        before=f"systemd-run --quiet --unit=engine-proxy --property=Type=notify --property=NotifyAccess=all"
        f" python3 {PROXY} /run/engine.sock {SAYS}",
        after=f"rm -f {SAYS}; systemctl stop engine-proxy; rm -f /run/engine.sock",
        service=("Environment=DOCKER_HOST=unix:///run/engine.sock", *fault.service),
    )


ITS_ANSWERS = tuple(map(_through_proxy, (
    Fault("the engine breaks off all connections", CUT, "active/success", "same"),
    Fault("the engine answers with errors for 3 s", f"echo error >{SAYS}; {CUT}; sleep 3; rm {SAYS}",
          "active/success", "same"),
    Fault("the engine answers what is not HTTP for 3 s", f"echo garbage >{SAYS}; {CUT}; sleep 3; rm {SAYS}",
          "active/success", "same"),
    Fault("the engine does not answer for 3 s", f"echo silence >{SAYS}; {CUT}; sleep 3; rm {SAYS}; {CUT}",
          "active/success", "same"),
    Fault("the engine answers with errors, systemctl stop", f"echo error >{SAYS}; systemctl stop web",
          "inactive/success", "stopped", stop_post="", tolerates=("the engine said so",)),
    Fault("the engine answers with errors, systemctl stop, KillMode=mixed",
          f"echo error >{SAYS}; systemctl stop web", "inactive/success", "stopped", stop_post="",
          service=("KillMode=mixed",), options="--rm --name web --stop-timeout 1",
          tolerates=("the engine said so",)),
    Fault("the engine answers with errors, systemctl restart",
          f"echo error >{SAYS}; systemctl restart web || true", "failed/exit-code", "stopped", stop_post="",
          says="the engine said so"),
    Fault("the engine answers with errors, systemctl restart, Restart=on-failure",
          f"echo error >{SAYS}; systemctl restart web || true; rm {SAYS}", "active/success", "new",
          service=ON_FAILURE, says="the engine said so", tolerates=("with status 500",)),
)))  # fmt: skip

ORDER = (
    Fault("systemctl restart docker, Requires=docker.service", "systemctl restart docker", "active/success", "new",
          unit=BOUND),
    Fault("systemctl restart docker, Requires=docker.service, live-restore", "systemctl restart docker",
          "active/success", "new", unit=BOUND, live_restore=True),
    Fault("systemctl stop docker, systemctl start docker; Requires=docker.service", f"{STOP_ENGINE}; {START_ENGINE}",
          "inactive/success", "gone", unit=BOUND, service=AGAIN),
    Fault("SIGKILL to dockerd, Requires=docker.service, Restart=always", KILL_ENGINE, "active/success", "new",
          unit=BOUND, service=AGAIN, tolerates=AWAY),
    Fault("systemctl restart docker, Wants=docker.service, live-restore", "systemctl restart docker",
          "active/success", "same", unit=WANTED, live_restore=True),
    Fault("systemctl stop docker, systemctl start docker; Wants=docker.service, Restart=always",
          f"{STOP_ENGINE}; {START_ENGINE}", "active/success", "new", unit=WANTED, service=AGAIN,
          tolerates=AWAY),
    Fault("systemctl restart docker, BindsTo=docker.service", "systemctl restart docker", "active/success", "new",
          unit=BINDS_TO),
    Fault("SIGKILL to dockerd, BindsTo=docker.service, Restart=always", KILL_ENGINE, "inactive/success", "stopped",
          unit=BINDS_TO, service=AGAIN, tolerates=AWAY),
    Fault("systemctl restart docker, PartOf=docker.service", "systemctl restart docker", "active/success", "new",
          unit=PART_OF),
    Fault("SIGKILL to dockerd, PartOf=docker.service, Restart=always", KILL_ENGINE, "active/success", "new",
          unit=PART_OF, service=AGAIN, tolerates=AWAY),
    Fault("reboot of the machine, Requires=docker.service", "", "active/success", "new", unit=BOUND, service=AGAIN,
          before="systemctl enable web", reboot="clean"),
    Fault("reset of the machine, Requires=docker.service", "", "active/success", "new", unit=BOUND, service=AGAIN,
          before="systemctl enable web", reboot="reset"),
)  # fmt: skip

LIVE_RESTORE = (
    Fault("systemctl restart docker, live-restore", "systemctl restart docker", "active/success", "same",
          live_restore=True),
    Fault("systemctl restart docker, live-restore, twice", "systemctl restart docker; systemctl restart docker",
          "active/success", "same", live_restore=True),
    Fault("systemctl restart docker, live-restore, --main-pid=wrapper", "systemctl restart docker", "active/success",
          "same", own=WRAPPER_IS_MAIN, live_restore=True),
    Fault("SIGKILL to dockerd, live-restore", KILL_ENGINE, "active/success", "same", live_restore=True),
    Fault("SIGKILL to containerd, live-restore", "systemctl kill --kill-whom=main -s KILL containerd",
          "active/success", "same", live_restore=True, tolerates=("no exit status for container",)),
    Fault("SIGKILL to the container's shim, live-restore", "pkill -KILL -f [c]ontainerd-shim", "failed/signal",
          "gone", live_restore=True),
    Fault("systemctl restart docker, live-restore, then systemctl stop",
          "systemctl restart docker; systemctl stop web", "inactive/success", "gone", live_restore=True),
    Fault("systemctl stop docker, systemctl stop, systemctl start docker; live-restore",
          f"{STOP_ENGINE}; systemctl stop web; {START_ENGINE}", "inactive/success", "stopped", live_restore=True,
          stop_post="", tolerates=("no exit status for container", "cannot reach the engine")),
    Fault("systemctl stop docker, the payload dies, systemctl start docker; live-restore",
          f"{STOP_ENGINE}; kill -KILL $LEADER; sleep 1; {START_ENGINE}", "failed/signal", "gone", live_restore=True),
    Fault("docker restart after systemctl restart docker, live-restore",
          "systemctl restart docker; docker restart web", "active/success", "restarted", live_restore=True),
)  # fmt: skip

SMALL_DISK = (
    "docker save --output /run/busybox.tar busybox:musl; systemctl stop docker.socket docker;"
    " mount -t tmpfs -o size=24m,mode=710 small /var/lib/docker; systemctl start docker;"
    " docker load --quiet --input /run/busybox.tar; rm /run/busybox.tar"
)
BIG_DISK = "systemctl stop docker.socket docker; umount /var/lib/docker; systemctl start docker"
FILL = "dd if=/dev/zero of=/var/lib/docker/fill bs=4k 2>/dev/null || true"
EMPTY = "rm /var/lib/docker/fill"


def _on_a_small_disk(fault: Fault) -> Fault:
    return replace(fault, before=SMALL_DISK, after=BIG_DISK)


ITS_DISK = tuple(map(_on_a_small_disk, (
    Fault("the engine's disk is full for 2 s", f"{FILL}; sleep 2; {EMPTY}", "active/success", "same"),
    Fault("the engine's disk is full, systemctl stop", f"{FILL}; systemctl stop web; {EMPTY}",
          "inactive/success", "gone"),
    Fault("the engine's disk is full, systemctl start", f"systemctl stop web; {FILL}; systemctl start web || true;"
          f" {EMPTY}", "failed/exit-code", "gone", says="no space left on device"),
    Fault("the engine's disk is full for 3 s, systemctl start, Restart=on-failure",
          f"systemctl stop web; {FILL}; systemctl --no-block start web; sleep 3; {EMPTY}", "active/success", "new",
          unit=("StartLimitIntervalSec=0",), service=ON_FAILURE, says="no space left on device"),
)))  # fmt: skip

FAULTS = (
    *FROM_THE_UNIT, *FROM_OUTSIDE, *THE_WRAPPER, *ITS_OUTPUT, *THE_ENGINE, *ITS_SOCKET, *ITS_ANSWERS, *ORDER,
    *LIVE_RESTORE, *ITS_DISK,
)  # fmt: skip

CLEAN_SIGNALS = (1, 2, 13, 15)
"""SIGHUP, SIGINT, SIGPIPE, SIGTERM: a unit whose main process they end has not failed; systemd.service(5)."""

OTHER_SIGNALS = (3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 24, 25, 31)
"""Signals that end a process by default; signal(7)."""

EXITS = (
    Fault("the payload exits with 0", "", "inactive/success", "gone", exits=(0,)),
    Fault("the payload exits with 1 to 127", "", "failed/exit-code", "gone",
          exits=(1, 2, 3, 7, 42, 63, 64, 70, 77, 99, 125, 126, 127)),
    Fault("the payload exits with 128 + SIGHUP, SIGINT, SIGPIPE or SIGTERM", "", "inactive/success", "gone",
          exits=tuple(128 + signo for signo in CLEAN_SIGNALS)),
    Fault("the payload exits with 128 + another signal that ends processes", "", "failed/signal", "gone",
          exits=tuple(128 + signo for signo in OTHER_SIGNALS)),
    Fault("the payload exits with another status above 127", "", "failed/exit-code", "gone",
          exits=(128, 145, 147, 151, 160, 162, 192, 193, 200, 254, 255)),
)  # fmt: skip
"""Statuses and signals, as systemd sees them."""

GREEDY = "dd if=/dev/zero of=/dev/null bs=200M"
EATS = f"trap 'exec {GREEDY}' USR1; {OBEYS}"
EATS_IN_CHILD = f"trap '{GREEDY}' USR1; {OBEYS}"
SMALL = "--rm --name web --memory 32m --memory-swap 32m"
EAT = "docker kill -s USR1 web"
EAT_CHOOSING_WRAPPER = (
    f"echo 1000 >/proc/$WRAPPER/oom_score_adj; {EAT}; while [ -d /proc/$WRAPPER ]; do sleep 0.1; done"
)
"""The payload's first process survives, so the unit would not end by itself."""

MEMORY_FAULTS = (
    Fault("out of memory, --memory", EAT, "failed/signal", "gone", payload=EATS, options=SMALL,
          says="ran out of memory"),
    Fault("out of memory, --memory, Restart=on-failure", EAT, "active/success", "new", payload=EATS, options=SMALL,
          service=ON_FAILURE, says="ran out of memory"),
    Fault("out of memory, --memory, OOMPolicy=continue, in a child process", EAT,
          "active/success", "same", payload=EATS_IN_CHILD, options=SMALL, service=("OOMPolicy=continue",)),
    Fault("out of memory, MemoryMax=", EAT, "failed/signal", "gone", payload=EATS, service=("MemoryMax=48M",),
          says="ran out of memory"),
    Fault("out of memory, MemoryMax=, systemd-docker is chosen", EAT_CHOOSING_WRAPPER, "failed/signal", "gone",
          payload=EATS_IN_CHILD, service=("MemoryMax=64M",)),
    Fault("out of memory, MemoryMax=, systemd-docker is chosen, Restart=on-failure", EAT_CHOOSING_WRAPPER,
          "active/success", "new", payload=EATS_IN_CHILD, service=("MemoryMax=64M", *ON_FAILURE)),
    Fault("out of memory, MemoryMax=, systemd-docker is chosen, --main-pid=wrapper", EAT_CHOOSING_WRAPPER,
          "failed/signal", "gone", payload=EATS_IN_CHILD, own=WRAPPER_IS_MAIN, service=("MemoryMax=64M",)),
    Fault("MemoryMax=4M, which is too little for systemd-docker, systemctl start",
          "systemctl stop web; systemctl set-property --runtime web MemoryMax=4M; systemctl start web || true",
          "failed/signal", "gone", after="rm -r /run/systemd/system.control/web.service.d; systemctl daemon-reload"),
    Fault("memory pressure: all that can be reclaimed from the unit is",
          "for cgroup in $(find /sys/fs/cgroup/memory/system.slice/web.service -type d); do"
          " echo 0 >$cgroup/memory.force_empty; done", "active/success", "same"),
)  # fmt: skip
"""On machines with the memory controller of cgroup v1, where systemd does not learn of OOM kills."""

SLOWLY = ("TimeoutStartSec=300", "TimeoutStopSec=300")

VM_FAULTS = (
    Fault("out of memory, --memory; cgroup v2", EAT, "failed/signal", "gone", payload=EATS, options=SMALL,
          service=SLOWLY, says="ran out of memory"),
    Fault("out of memory, --memory, OOMPolicy=continue, in a child process; cgroup v2", EAT, "active/success", "same",
          payload=EATS_IN_CHILD, options=SMALL, service=("OOMPolicy=continue", *SLOWLY)),
    Fault("out of memory, --memory, OOMPolicy=stop, in a child process; cgroup v2", EAT, "failed/oom-kill", "gone",
          payload=EATS_IN_CHILD, options=SMALL, service=("OOMPolicy=stop", *SLOWLY)),
    Fault("out of memory, MemoryMax=, systemd-docker is chosen; cgroup v2", EAT_CHOOSING_WRAPPER, "failed/signal",
          "gone", payload=EATS_IN_CHILD, service=("MemoryMax=64M", *SLOWLY)),
    Fault("out of memory, MemoryMax=, systemd-docker is chosen, OOMPolicy=stop; cgroup v2", EAT_CHOOSING_WRAPPER,
          "failed/oom-kill", "gone", payload=EATS_IN_CHILD, service=("MemoryMax=64M", "OOMPolicy=stop", *SLOWLY)),
)  # fmt: skip
"""With the memory controller of cgroup v2, which only the slow virtual machines have."""

ALL = (*FAULTS, *EXITS, *MEMORY_FAULTS, *VM_FAULTS)

COLUMNS = ("bookworm", "trixie")


def table(found: Sequence[Found]) -> Iterator[str]:
    """Yield the lines of markdown, for the end of a test run: one row per fault that was tried."""
    yield f"| fault | unit | container | {' | '.join(COLUMNS)} |"
    yield f"|---|---|---|{'---|' * len(COLUMNS)}"
    for fault in ALL:
        seen = {one.suite: one.seen for one in found if one.fault == fault}
        if seen:
            yield f"{row(fault)} {' | '.join(seen.get(suite, '') for suite in COLUMNS)} |"
