"""The plan of one start, decided before anything is done: options + unit + engine facts -> LaunchPlan.

Pure: no function here asks the engine, the kernel or the service manager anything, so `--dry-run` shows the truth.
"""

from __future__ import annotations

from systemd_docker.frozen import frozen
from systemd_docker.plan import notify
from systemd_docker.plan.adoption import check_cgroup_tree, choose_adoptions, with_adoption
from systemd_docker.plan.environment import handed_on
from systemd_docker.plan.main_pid import choose_main_pid
from systemd_docker.plan.ownership import with_labels
from systemd_docker.plan.stop import MAX_CLEANUP_SEC, cleanup_timeout_sec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.jsonobj import JsonObject
    from systemd_docker.options.create_request import CreateRequest
    from systemd_docker.options.own import OwnOptions
    from systemd_docker.options.run_options import RunOptions
    from systemd_docker.plan.adoption import AdoptionPlan
    from systemd_docker.plan.facts import PlanFacts
    from systemd_docker.unit import UnitContext
else:
    pass

_READY_WHEN = {"conmon": "started", "container": "payload", "healthy": "healthy", "ignore": "started"}
"""Of --sdnotify=."""


@frozen
class LaunchPlan:
    """The container of one start, and what systemd-docker does for it.

    body:         the create request.
    pull:         "missing", "always", "never".
    remove:       remove the container when it has ended, and before the start a stopped container of its name.
    replace:      before the start, remove a container of its name, even if it runs.
    leader_is_main: send systemd the leader's PID as MAINPID=.
    main_pid_hint:  why systemd-docker stays the main process although --main-pid=auto is set, "" for no reason.
    passes_signals_on: forward signals that do not stop the unit: not where systemd sends them to the leader itself.
    notify_directory: the directory of the payload's notification socket, "" for none.
    ready:        when READY=1 is sent: "started"; "healthy", at the first healthy; "payload", by the payload.
    watchdog:     the source of WATCHDOG=1: "payload", "health", "engine"; "auto" chooses by the container's
                  healthcheck; "" where the unit has no watchdog.
    watchdog_usec: WatchdogSec=, 0 for none.
    health_on_failure: "none", "kill", "restart", "stop".
    wants_input:  connect systemd-docker's standard input to the payload.
    wants_output: relay the payload's output.
    cleanup_timeout_sec: how long the engine may take to undo a start, and to answer at all once the unit is to stop.
    docker_config: credentials that have to be in the container before it starts, None for nothing.
    fallback:     the next plan, if the engine cannot create the container where this plan's adoption wants it.
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
    cleanup_timeout_sec: float = MAX_CLEANUP_SEC
    docker_config: JsonObject | None = None
    fallback: LaunchPlan | None = None

    @property
    def needs_healthcheck(self) -> str:
        """Return the option that has no effect on a container without a healthcheck; "" where none was used."""
        if self.ready == "healthy":
            return "--sdnotify=healthy"
        if self.health_on_failure != "none":
            return f"--health-on-failure={self.health_on_failure}"
        return "--watchdog=health" if self.watchdog == "health" else ""


def make_plan(own: OwnOptions, options: RunOptions, request: CreateRequest, facts: PlanFacts) -> LaunchPlan:
    """Plan the start. Raises AdoptionError where the container cannot become part of the unit."""
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
    fallback: LaunchPlan | None,
) -> LaunchPlan:
    unit, properties = facts.unit, facts.properties
    ready = _READY_WHEN[own.sdnotify]
    leader_is_main, hint = choose_main_pid(own.main_pid, adoption, unit, properties, ready)
    leader_is_main = leader_is_main and bool(unit.notify_socket)
    watchdog = choose_watchdog(own.watchdog, ready, unit)
    directory = notify.directory_of(unit) if unit.notify_socket and "payload" in (ready, watchdog) else ""
    body: JsonObject = request.body
    if own.env:
        own_env = body.get("Env")
        body = {**body, "Env": [*handed_on(unit.environ), *(own_env if isinstance(own_env, list) else [])]}
    if not own.plain_request:
        body = with_labels(with_adoption(body, adoption), unit)
        if directory:
            body = notify.with_socket(body, directory, unit.watchdog_usec if watchdog == "payload" else 0)
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
        cleanup_timeout_sec=cleanup_timeout_sec(properties),
        docker_config=request.docker_config,
        ready=ready,
        watchdog=watchdog,
        watchdog_usec=unit.watchdog_usec,
        health_on_failure=own.health_on_failure,
        fallback=fallback,
    )


def choose_watchdog(wanted: str, ready: str, unit: UnitContext) -> str:
    """Choose the source of WATCHDOG=1. wanted: "auto", "payload", "health" or "engine".

    A payload that sends READY=1 is taken to send WATCHDOG=1.
    """
    if not unit.watchdog_usec:
        return ""
    return "payload" if wanted == "auto" and ready == "payload" else wanted
