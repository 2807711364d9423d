"""The plan of one start, decided before anything is done: options + unit + engine facts -> LaunchPlan.

Pure: no function here asks the engine, the kernel or the service manager anything, so `--dry-run` shows the truth.
"""

from __future__ import annotations

from systemd_docker.frozen import frozen
from systemd_docker.plan.adoption import check_cgroup_tree, choose_adoptions, with_adoption
from systemd_docker.plan.ownership import with_labels

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping

    from systemd_docker.jsonobj import JsonObject, JsonValue
    from systemd_docker.options.create_request import CreateRequest
    from systemd_docker.options.own import OwnOptions
    from systemd_docker.options.run_options import RunOptions
    from systemd_docker.plan.adoption import AdoptionPlan
    from systemd_docker.plan.facts import PlanFacts
    from systemd_docker.sd.unit_properties import UnitProperties
    from systemd_docker.unit import UnitContext
else:
    import _signal as signal

DEFAULT_STOP_TIMEOUT_SEC = 10
"""The engine's, for a container without one of its own; `POST /containers/ID/stop`."""

STOP_MARGIN_SEC = 2
"""What we leave of TimeoutStopSec= for killing, the last output and the removal."""

MIN_STOP_TIMEOUT_SEC = 1

MAX_UNDO_SEC = 10
"""An engine takes some tens of milliseconds to remove a container; one that takes longer does not answer at all."""

MAX_PATIENCE_SEC = 24 * 3600
"""For TimeoutStopSec=infinity."""

NOTIFY_MOUNT = "/run/host/sd-notify"
"""Where the payload finds its notification socket; below /run/host/ as the Container Interface has it."""

NOTIFY_SHARED_DIRECTORY = "n"
NOTIFY_SOCKET_NAME = "notify"

_READY_WHEN = {"conmon": "started", "container": "payload", "healthy": "healthy", "ignore": "started"}
"""Of --sdnotify=."""

PRIVATE_VARIABLES = frozenset({"HOME", "PATH", "NOTIFY_SOCKET", "JOURNAL_STREAM", "MAINPID", "MANAGERPID"})
PRIVATE_PREFIXES = ("LISTEN_", "WATCHDOG_", "SYSTEMD_EXEC_PID")
"""Variables that --env does not hand on: HOME= and PATH= are the image's, as the Go tool had it; the others name our
own process, its descriptors and its sockets (systemd.exec(5), "Environment Variables in Spawned Processes")."""


@frozen
class LaunchPlan:
    """One container to be, and what becomes of it.

    body:         the create request.
    pull:         "missing", "always", "never".
    remove:       whether the container is removed when it has ended, and a stopped one of its name before.
    replace:      whether one of its name is removed before that runs.
    leader_is_main: whether the service manager gets the leader for MAINPID=.
    main_pid_hint:  what keeps it from that although nobody asked for it, "" if nothing.
    passes_signals_on: whether signals that do not stop go to the payload through us: not where the manager's own
                    signals reach it, as those for the main process do when that is the leader.
    notify_directory: where the payload's notification socket will be, "" if it has none.
    ready:        when READY=1 is true: "started"; "healthy", at the first healthy; "payload", which says so itself.
    watchdog:     who says WATCHDOG=1: "payload", "health", "engine"; "auto" leaves it to what the container has; ""
                  for nobody, where the unit has no watchdog.
    watchdog_usec: WatchdogSec=, 0 for none.
    health_on_failure: "none", "kill", "restart", "stop".
    wants_input:  whether the payload gets our standard input.
    wants_output: whether its output is relayed.
    undo_sec:     how long the engine may take to take a start back, and to answer at all once the unit is to stop.
    docker_config: credentials that have to be in the container before it starts, None for nothing.
    otherwise:    what to do if the engine cannot create the container where this plan's adoption wants it.
    """

    name: str
    platform: str
    image: str
    body: JsonObject
    pull: str
    remove: bool
    replace: bool
    adoption: AdoptionPlan
    leader_is_main: bool
    main_pid_hint: str
    passes_signals_on: bool
    notify_directory: str
    ready: str = "started"
    watchdog: str = ""
    watchdog_usec: int = 0
    health_on_failure: str = "none"
    wants_input: bool = False
    wants_output: bool = True
    undo_sec: float = MAX_UNDO_SEC
    docker_config: JsonObject | None = None
    otherwise: LaunchPlan | None = None

    @property
    def needs_healthcheck(self) -> str:
        """The option that means nothing for a container without a healthcheck; "" where none was used."""
        if self.ready == "healthy":
            return "--sdnotify=healthy"
        if self.health_on_failure != "none":
            return f"--health-on-failure={self.health_on_failure}"
        return "--watchdog=health" if self.watchdog == "health" else ""


def make_plan(own: OwnOptions, options: RunOptions, request: CreateRequest, facts: PlanFacts) -> LaunchPlan:
    """Raises AdoptionError where the container cannot become part of the unit."""
    made: LaunchPlan | None = None
    ways = choose_adoptions(own.adopt, options, facts, cgroups=own.cgroups)
    if ways[0].is_in_unit:
        check_cgroup_tree(request.body, facts)
    for adoption in reversed(ways):
        made = _launch_plan(own, options, request, facts, adoption, made)
    assert made is not None
    return made


def _launch_plan(
    own: OwnOptions,
    options: RunOptions,
    request: CreateRequest,
    facts: PlanFacts,
    adoption: AdoptionPlan,
    otherwise: LaunchPlan | None,
) -> LaunchPlan:
    unit, properties = facts.unit, facts.properties
    leader_is_main, hint = choose_main_pid(own.main_pid, adoption, unit, properties)
    leader_is_main = leader_is_main and bool(unit.notify_socket)
    ready = _READY_WHEN[own.sdnotify]
    watchdog = choose_watchdog(own.watchdog, ready, unit)
    directory = notify_directory(unit) if unit.notify_socket and "payload" in (ready, watchdog) else ""
    body: JsonObject = request.body
    if own.env:
        body = with_environment(body, unit.environ)
    if not unit.is_plain:
        body = with_labels(with_adoption(body, adoption), unit)
        body = with_notify_socket(body, directory, unit, watchdog) if directory else body
    return LaunchPlan(
        name=request.name,
        platform=request.platform,
        image=options.image,
        body=body,
        pull=options.text("pull") or "missing",
        remove=options.switch("rm"),
        replace=own.replace,
        adoption=adoption,
        leader_is_main=leader_is_main,
        passes_signals_on=options.switch("sig-proxy") and not leader_is_main,
        main_pid_hint=hint if unit.notify_socket else "",
        notify_directory=directory,
        wants_input=options.switch("interactive"),
        wants_output=own.logs,
        undo_sec=undo_sec(properties),
        docker_config=request.docker_config,
        ready=ready,
        watchdog=watchdog,
        watchdog_usec=unit.watchdog_usec,
        health_on_failure=own.health_on_failure,
        otherwise=otherwise,
    )


def choose_main_pid(
    wanted: str, adoption: AdoptionPlan, unit: UnitContext, properties: UnitProperties
) -> tuple[bool, str]:
    """(whether the leader becomes the main process, what keeps it from that although nobody asked for it).

    The wrapper has to speak for itself again when the leader is dead: with NotifyAccess=main nobody listens to it
    then. And with KillMode=mixed or process the service manager sends SIGKILL to the rest as soon as the main process
    is signalled, because it does not wait for a process that is not its child. Nor does it for anybody else of
    a delegated unit where only the release agent of cgroup v1 could tell it that all are gone: then SIGKILL comes as
    soon as the main process has ended. A main process that it may not signal it leaves behind.
    """
    if adoption.is_foreign:
        return False, "" if wanted == "wrapper" else "a user's manager may not signal what the system's engine runs"
    if wanted != "auto":
        return wanted == "container", ""
    if adoption.strategy == "none":
        return False, ""
    if not properties.kill_mode:
        # systemd has not reported on the unit, and a warning is out already.
        return False, ""
    if properties.notify_access != "all":
        return False, "NotifyAccess=all would make the container's process the unit's main process"
    if properties.kill_mode != "control-group":
        return False, "KillMode=control-group would make the container's process the unit's main process"
    if unit.is_v1_alone:
        return False, "with cgroup v1 alone systemd waits for nobody but the main process"
    return True, ""


def choose_watchdog(wanted: str, ready: str, unit: UnitContext) -> str:
    """wanted: "auto", "payload", "health" or "engine". A payload that says READY=1 is taken for one that pings."""
    if not unit.watchdog_usec:
        return ""
    return "payload" if wanted == "auto" and ready == "payload" else wanted


def stop_timeout_sec(container_sec: int | None, properties: UnitProperties) -> int:
    """How long the payload has between its stop signal and SIGKILL.

    The container's own timeout, as far as it ends STOP_MARGIN_SEC before the unit's TimeoutStopSec=.
    """
    wanted = DEFAULT_STOP_TIMEOUT_SEC if container_sec is None else container_sec
    return max(MIN_STOP_TIMEOUT_SEC, min(wanted, patience_sec(properties)))


def patience_sec(properties: UnitProperties) -> int:
    """How long we can go on after a signal to stop: TimeoutStopSec= less STOP_MARGIN_SEC."""
    longest = properties.timeout_stop_usec // 1_000_000 - STOP_MARGIN_SEC
    return max(MIN_STOP_TIMEOUT_SEC, min(longest, MAX_PATIENCE_SEC))


def undo_sec(properties: UnitProperties) -> float:
    """Half of our patience, because both the answer that is on its way and the removal may have it."""
    return min(MAX_UNDO_SEC, patience_sec(properties) / 2)


def shares_manager_signals(adoption: AdoptionPlan, properties: UnitProperties) -> bool:
    """Return whether what the service manager sends to the unit reaches the payload by itself."""
    return adoption.strategy != "none" and not adoption.is_foreign and properties.kill_mode == "control-group"


def manager_signals_payload(adoption: AdoptionPlan, properties: UnitProperties, stop_signal: str) -> bool:
    """Return whether `systemctl stop` by itself sends the payload what the container wants to be stopped with."""
    return shares_manager_signals(adoption, properties) and signal_number(stop_signal) == properties.kill_signal


def signal_number(name: str) -> int:
    """Of a container's stop signal as docker-run(1) has it: "SIGQUIT", "quit", "3", "SIGRTMIN+3"; SIGTERM for "".

    0 where it names none that we know: nobody has sent it then.
    """
    word = name.upper().removeprefix("SIG")
    if not word:
        return signal.SIGTERM
    if word.isdecimal():
        return int(word)
    base, sign, offset = word.partition("+")
    if sign and base == "RTMIN" and offset.isdecimal():
        return signal.SIGRTMIN + int(offset)
    base, sign, offset = word.partition("-")
    if sign and base == "RTMAX" and offset.isdecimal():
        return signal.SIGRTMAX - int(offset)
    known = 0 if word.startswith("_") else getattr(signal, f"SIG{word}", 0)  # SIG_DFL and its like are none
    return known if isinstance(known, int) else 0


def with_environment(body: JsonObject, environ: Mapping[str, str]) -> JsonObject:
    """body with environ below what --env says, but for what is about this process and not about the payload."""
    mine: list[JsonValue] = [
        f"{name}={value}"
        for name, value in environ.items()
        if name not in PRIVATE_VARIABLES and not name.startswith(PRIVATE_PREFIXES)
    ]
    return {**body, "Env": mine + _list(body, "Env")}


def with_notify_socket(body: JsonObject, directory: str, unit: UnitContext, watchdog: str) -> JsonObject:
    """body for a payload that speaks sd_notify(3) with the socket in directory; see service.readiness.

    WATCHDOG_PID= stays out: it would be a PID of the host's, and sd_watchdog_enabled(3), which compares it with its
    own, would take the watchdog for somebody else's.
    """
    environment: list[JsonValue] = [f"NOTIFY_SOCKET={NOTIFY_MOUNT}/{NOTIFY_SOCKET_NAME}"]
    if watchdog == "payload":
        environment.append(f"WATCHDOG_USEC={unit.watchdog_usec}")
    host_config = _object(body, "HostConfig")
    binds = [*_list(host_config, "Binds"), f"{directory}/{NOTIFY_SHARED_DIRECTORY}:{NOTIFY_MOUNT}:ro"]
    return {**body, "Env": _list(body, "Env") + environment, "HostConfig": {**host_config, "Binds": binds}}


def notify_directory(unit: UnitContext) -> str:
    """A directory of this invocation's own, which does not exist yet."""
    return f"{unit.runtime_directory}/systemd-docker-{unit.name or 'run'}-{unit.invocation_id[:8]}"


def _object(body: JsonObject, key: str) -> dict[str, JsonValue]:
    value = body.get(key)
    return value if isinstance(value, dict) else {}


def _list(body: JsonObject, key: str) -> list[JsonValue]:
    value = body.get(key)
    return value if isinstance(value, list) else []
