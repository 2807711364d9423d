"""The fault table: what is done to a running unit, and what must hold afterwards. test_faults.py has a test per row.

The payload counts, one number a line, from 1 at each start: a line that is lost is a gap in the journal, a line that
comes twice is a number that comes twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_COUNT = "i=0; while true; do echo $((i=i+1)); sleep 0.05; done"
OBEYS = f"trap 'exit 0' TERM; {_COUNT}"
IGNORES = _COUNT
"""PID 1 does not get a signal that it has no handler for."""
RELOADS = f"trap 'exit 0' TERM; trap 'echo reload' HUP USR1; {_COUNT}"

KEPT = "--name web"


@dataclass(frozen=True, slots=True)
class Fault:
    """One row.

    what:      as the table in the manual has it.
    do:        shell, with $WRAPPER and $LEADER.
    state:     the unit's ActiveState=/Result= afterwards.
    container: "same", it runs on; "restarted", the same one with another first process; "new", another one runs;
               "stopped", it is there; "gone".
    service:   settings of the unit's [Service] section; unit: of its [Unit] section.
    live_restore: the engine's setting.
    says:      one line of ours at warning or above that is to be in the journal.
    tolerates: lines that may be there.
    """

    what: str
    do: str
    state: str
    container: str
    payload: str = OBEYS
    options: str = "--rm --name web"
    own: str = ""
    service: Sequence[str] = ()
    unit: Sequence[str] = ()
    stop_post: str = "ExecStopPost=-/usr/local/bin/systemd-docker rm"
    live_restore: bool = False
    says: str = ""
    tolerates: Sequence[str] = ()

    def __str__(self) -> str:
        return "".join(letter if letter.isalnum() else "-" for letter in self.what)

    def unit_file(self) -> str:
        words = self.payload.replace("%", "%%").replace("$", "$$").replace("\\", "\\\\").replace('"', '\\"')
        return "\n".join(
            [
                "[Unit]",
                *self.unit,
                "[Service]",
                "Type=notify",
                "NotifyAccess=all",
                "TimeoutStartSec=60",
                *self.service,
                f'ExecStart=/usr/local/bin/systemd-docker {self.own} run {self.options} busybox:musl sh -c "{words}"',
                self.stop_post,
                "",
            ]
        )


AGAIN = ("Restart=always", "RestartSec=100ms")
ON_FAILURE = ("Restart=on-failure", "RestartSec=100ms")
BOUND = ("After=docker.service", "Requires=docker.service")
KILL_ENGINE = (
    "before=$(systemctl show -P MainPID docker); kill -KILL $before;"
    " until systemctl is-active --quiet docker && [ $(systemctl show -P MainPID docker) != $before ];"
    " do sleep 0.1; done"
)
WRAPPER_IS_MAIN = "--main-pid=wrapper"

FAULTS = (
    # From the unit's side.
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
    # From outside, through the engine.
    Fault("docker stop", "docker stop web", "inactive/success", "gone"),
    Fault("docker stop, Restart=always", "docker stop web", "active/success", "new", service=AGAIN),
    Fault("docker kill", "docker kill web", "failed/signal", "gone"),
    Fault("docker kill, Restart=on-failure", "docker kill web", "active/success", "new", service=ON_FAILURE),
    Fault("docker rm --force", "docker rm --force web", "failed/signal", "gone"),
    Fault("docker rm --force, Restart=on-failure", "docker rm --force web", "active/success", "new",
          service=ON_FAILURE),
    Fault("docker restart", "docker restart web", "active/success", "restarted"),
    Fault("docker restart, KillMode=mixed", "docker restart web", "active/success", "restarted",
          service=("KillMode=mixed",)),
    Fault("docker restart, twice", "docker restart web; docker restart web", "active/success", "restarted"),
    Fault("docker pause, docker unpause", "docker pause web; docker unpause web", "active/success", "same"),
    Fault("docker pause, systemctl stop", "docker pause web; systemctl stop web", "inactive/success", "gone",
          options="--rm --name web --stop-timeout 2", tolerates=("killed",)),
    Fault("docker rename", "docker rename web other", "active/success", "same"),
    Fault("docker update", "docker update --cpu-shares 512 web", "active/success", "same"),
    Fault("docker stop of a container that is kept", "docker stop web", "inactive/success", "stopped", options=KEPT,
          stop_post=""),
    # The wrapper.
    Fault("SIGKILL to systemd-docker, --main-pid=wrapper", "kill -KILL $WRAPPER", "failed/signal", "gone",
          own=WRAPPER_IS_MAIN),
    Fault("SIGKILL to systemd-docker, --main-pid=wrapper, Restart=on-failure", "kill -KILL $WRAPPER",
          "active/success", "new", own=WRAPPER_IS_MAIN, service=ON_FAILURE),
    Fault("SIGSEGV to systemd-docker, --main-pid=wrapper", "kill -SEGV $WRAPPER", "failed/signal", "gone",
          own=WRAPPER_IS_MAIN, service=("LimitCORE=0",)),
    Fault("systemctl restart systemd-journald", "systemctl restart systemd-journald", "active/success", "same"),
    # The engine.
    Fault("systemctl restart docker", "systemctl restart docker", "inactive/success", "gone"),
    Fault("systemctl restart docker, Restart=always", "systemctl restart docker", "active/success", "new",
          service=AGAIN),
    Fault("systemctl restart docker, Requires=docker.service", "systemctl restart docker", "active/success", "new",
          unit=BOUND),
    Fault("SIGKILL to dockerd, Restart=always", KILL_ENGINE, "active/success", "new", service=AGAIN),
    Fault("SIGSTOP to dockerd for 5 s", "systemctl kill --kill-whom=main -s STOP docker; sleep 5;"
          " systemctl kill --kill-whom=main -s CONT docker", "active/success", "same"),
    Fault("SIGSTOP to dockerd, systemctl stop", "systemctl kill --kill-whom=main -s STOP docker; systemctl stop web;"
          " systemctl kill --kill-whom=main -s CONT docker", "inactive/success", "stopped", stop_post="",
          service=("TimeoutStopSec=8",), tolerates=("has not said how",)),
    Fault("SIGKILL to the container's shim", "pkill -KILL -f [c]ontainerd-shim", "failed/signal", "gone"),
    Fault("systemctl restart docker, live-restore", "systemctl restart docker", "active/success", "same",
          live_restore=True),
    Fault("systemctl restart docker, live-restore, twice", "systemctl restart docker; systemctl restart docker",
          "active/success", "same", live_restore=True),
    Fault("SIGKILL to dockerd, live-restore", KILL_ENGINE, "active/success", "same", live_restore=True),
    Fault("SIGKILL to containerd, live-restore", "systemctl kill --kill-whom=main -s KILL containerd",
          "active/success", "same", live_restore=True),
    Fault("systemctl restart docker, live-restore, then systemctl stop",
          "systemctl restart docker; systemctl stop web", "inactive/success", "gone", live_restore=True),
    Fault("systemctl stop docker, systemctl stop, systemctl start docker; live-restore",
          "systemctl stop docker.socket docker; systemctl stop web; systemctl start docker", "inactive/success",
          "stopped", live_restore=True, stop_post="", tolerates=("has not said how", "cannot reach the engine")),
    Fault("docker restart after systemctl restart docker, live-restore",
          "systemctl restart docker; docker restart web", "active/success", "restarted", live_restore=True),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """What a test saw of a row."""

    suite: str
    fault: Fault
    holds: bool
    state: str
    container: str
    lost: int
    repeated: int


FOUND: list[Found] = []
"""For the table at the end of the run."""


def table(found: Sequence[Found]) -> Iterator[str]:
    """As lines of markdown, for the terminal and the manual; one row per fault, in the order of FAULTS."""
    suites = sorted({one.suite for one in found})
    yield f"| fault | unit | container | lines lost | repeated | {' | '.join(suites)} |"
    yield f"|---|---|---|---|---|{'---|' * len(suites)}"
    for fault in FAULTS:
        rows = {one.suite: one for one in found if one.fault is fault}
        if rows:
            one = next(iter(rows.values()))
            marks = ("" if suite not in rows else "yes" if rows[suite].holds else "no" for suite in suites)
            state = one.state.removesuffix("/success") if one.state.startswith("active") else one.state
            yield f"| {fault.what} | {state} | {one.container} | {one.lost} | {one.repeated} | {' | '.join(marks)} |"
