"""How a container becomes part of its unit: the ways there are for this unit and this engine, the best one first.

Pure: facts in, AdoptionPlans out. service.adoption has the effects.

"parent" is the best, because no process is ever outside: the engine creates the container inside the unit's cgroup,
with its device filter and its limits. "move" moves the processes of a running container, and has to carry over what
the engine enforced; docker stats, pause and top see nothing of them afterwards. "none" leaves the container outside.
"""

from __future__ import annotations

from systemd_docker.errors import AdoptionError
from systemd_docker.frozen import frozen, replace
from systemd_docker.kernel.cgroup import SYSTEMD_HIERARCHY
from systemd_docker.plan.mounts import keeps_namespaces_apart, what_stays_writable, writable_cgroup_tree
from systemd_docker.sd.unit_properties import INFINITY_USEC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from systemd_docker.engine.models import EngineInfo
    from systemd_docker.jsonobj import JsonObject, JsonValue
    from systemd_docker.options.run_options import RunOptions
    from systemd_docker.plan.facts import PlanFacts
    from systemd_docker.sd.unit_properties import UnitProperties
    from systemd_docker.unit import UnitContext

SHIM_RUNTIME = "systemd-docker.runc.v2"
"""A runtime that no engine lists. containerd runs containerd-shim-runc-v2 for every name that ends in ".runc.v2", and
the engine tells only the runtimes that it lists to use systemd's cgroups; so runc manages the cgroup by path."""

SHIM_ENGINE_MAJOR = 23
"""The first engine that takes a shim's name for a runtime; 20.10 says "Unknown runtime specified"."""

CONFIGURED_RUNTIME = "systemd-docker-runc"
"""What daemon.json calls the runtime that leaves out runc's --systemd-cgroup: `install-system` installs it, an
administrator lists it. For engines that do not take a shim's name."""

NEED_THE_SCOPE = ("crun",)
"""Runtimes, by their programs, that do not exec into a container whose scope systemd has removed because it was
empty. runc does: it starts the process in the cgroup of the container's first process."""

PAYLOAD_SLICE = "payload.slice"
"""The engine insists on ".slice" at the end of a parent when it uses the systemd driver; it looks at nothing else."""

SUPERVISOR = "supervisor"
"""The sub-cgroup of a delegated unit that systemd-docker runs in; CGROUP_DELEGATION.md suggests the name."""

PAYLOAD = "payload"
"""The sub-cgroup that "move" moves the container's processes to with cgroup v2."""

ANNOTATION_ENGINE_MAJOR = 26
"""The first engine that was seen to hand annotations on to runc, which makes properties of its scope from them."""

STOP_TIMEOUT_SEC = 10
"""The engine's, for a container without one of its own."""

SCOPE_MARGIN_SEC = 2
"""How much later than the engine the service manager kills a scope that is bound to its unit."""

_ROOTLESS = "a rootless engine's containers can go only into units of its user's manager, and only with cgroup v2"

_NO_CONTROLLERS = "the rootless engine has no controllers, and then leaves the cgroup to its runtime"

_NO_CGROUPS = "the engine makes no cgroups for its containers: its driver is 'none'"

_OTHERWISE = "Use --adopt=none."

_USE_SYSTEMD = 'Leave "native.cgroupdriver" out of daemon.json, or use --adopt=none.'

_USE_CGROUPFS = 'Set "exec-opts": ["native.cgroupdriver=cgroupfs"] in daemon.json, or use --adopt=none.'

_LIST_RUNTIME = (
    f"List the runtime {CONFIGURED_RUNTIME} in daemon.json, see systemd-docker-compatibility(7);"
    " or allow it with --mount type=bind,…,readonly,bind-recursive=writable."
)

PARENT_REFUSALS = (
    "Unknown runtime specified",
    "cgroup-parent for systemd cgroup should be",
    "invalid slice name",
    "cannot enter cgroupv2",
    "rro is not supported by runtime",
)
"""Words in an error of the engine or of runc, at create or start, when it cannot make the container as "parent" asks:
in that cgroup, with that runtime."""


@frozen
class AdoptionPlan:
    """One way for a container to become part of the unit.

    strategy:       "parent", the engine creates it inside; "move", its processes are moved in when it has started;
                    "none", it stays where the engine puts it.
    reason:         for the log and STATUS=, e.g. "created in this unit's cgroup".
    hint:           what would make a better way possible, "" for nothing.
    cgroup_parent, runtime: what the create request gets for that, "" for nothing.
    annotations:    (name, value) pairs for the create request.
    is_foreign:     whether the service manager, a user's, may not signal the payload: the system's engine runs it.
    sweep:          whether the unit's processes have to leave the unit's own cgroup for SUPERVISOR first.
    cgroups:        the v1 hierarchies, besides systemd's, that "move" moves the processes in; see --cgroups.
    read_only:      paths whose read-only mounts only a runtime that the engine lists makes read-only all the way
                    down; with SHIM_RUNTIME there must be no mount below them, now and when the container starts.
    stays_writable: what SHIM_RUNTIME would leave writable below them, so that it must not be used; "" for nothing.
    """

    strategy: str
    reason: str
    hint: str = ""
    cgroup_parent: str = ""
    runtime: str = ""
    annotations: tuple[tuple[str, str], ...] = ()
    sweep: bool = False
    cgroups: tuple[str, ...] = ()
    is_foreign: bool = False
    read_only: tuple[str, ...] = ()
    stays_writable: str = ""

    @property
    def is_in_unit(self) -> bool:
        return self.strategy != "none"


def choose_adoptions(
    wanted: str, options: RunOptions, facts: PlanFacts, *, cgroups: Sequence[str] = ()
) -> tuple[AdoptionPlan, ...]:
    """Return the ways that may work, at least one, the best one first.

    wanted:  "auto", "parent", "move" or "none".
    cgroups: what --cgroups names.

    Raises AdoptionError with what would have to change.
    """
    unit, info = facts.unit, facts.info
    if wanted == "none":
        return (_outside("--adopt=none", options, unit, info),)
    if options.given("cgroup-parent") and wanted == "auto":
        return (_outside("--cgroup-parent puts it elsewhere", options, unit, info),)
    if unit.cgroup is None:
        raise AdoptionError(
            "not started as a systemd service, so there is no unit for the container to be part of",
            hint="Start it from a unit file or with systemd-run(1), or use --adopt=none.",
        )
    ways: tuple[AdoptionPlan, ...] = ()
    not_parent = _parent_refusal(options, unit, info) or _delegation_refusal(unit, facts.properties)
    if wanted != "move" and not not_parent:
        ways = _parents(facts)
        not_parent = None if ways else (_unlisted_refusal(facts), _LIST_RUNTIME)
    not_move = _move_refusal(options, unit, info)
    if wanted != "parent" and not not_move:
        why, remedy = not_parent or ("the engine does not create it there", "")
        why, remedy = ("--adopt=move", "") if wanted == "move" else (why, remedy)
        ways += (_move(why, remedy, facts, cgroups),)
    if not ways:
        reason, remedy = (not_move if wanted == "move" else not_parent) or ("", "")
        raise AdoptionError(f"cannot make the container part of {unit.name}: {reason}", hint=remedy or _OTHERWISE)
    if unit.is_user and not info.rootless:
        return tuple(replace(way, is_foreign=True) for way in ways)
    return ways


def check_cgroup_tree(body: JsonObject, facts: PlanFacts) -> None:
    """Refuse a container that takes the host's cgroup tree for its own, and would leave the unit by using it.

    In a cgroup namespace of its own the payload's cgroup is "/", and it makes cgroups, moves itself there, in what it
    finds mounted. Raises AdoptionError.
    """
    source = writable_cgroup_tree(body, facts.mountinfo)
    if not source or not _has_cgroup_namespace(body, facts) or keeps_namespaces_apart(facts.mountinfo):
        return
    raise AdoptionError(
        f"with the writable '{source}' the container's processes can leave {facts.unit.name}: the container has a"
        " cgroup namespace, and cgroups are mounted without 'nsdelegate'",
        hint=f"Leave '{source}' out or mount it read-only; use --cgroupns=host; or run"
        " 'mount -o remount,nsdelegate /sys/fs/cgroup', as systemd mounts it.",
    )


def _has_cgroup_namespace(body: JsonObject, facts: PlanFacts) -> bool:
    asked = body.get("HostConfig")
    host_config = asked if isinstance(asked, dict) else {}
    if mode := host_config.get("CgroupnsMode"):
        return mode == "private"
    is_default = "name=cgroupns" in facts.info.security_options
    return is_default and (facts.unit.unified or not host_config.get("Privileged"))


def with_adoption(body: JsonObject, adoption: AdoptionPlan) -> JsonObject:
    """Return body, a create request, for a container that becomes part of the unit this way."""
    asked = body.get("HostConfig")
    host_config: dict[str, JsonValue] = dict(asked) if isinstance(asked, dict) else {}
    if adoption.cgroup_parent:
        host_config["CgroupParent"] = adoption.cgroup_parent
    if adoption.runtime:
        host_config["Runtime"] = adoption.runtime
    if adoption.annotations:
        annotations = host_config.get("Annotations")
        host_config["Annotations"] = {
            **dict(adoption.annotations),
            **(annotations if isinstance(annotations, dict) else {}),
        }
    return {**body, "HostConfig": host_config}


def is_parent_refusal(message: str) -> bool:
    """Return whether an engine's error says that it cannot make the container as "parent" asks; another way may
    do."""
    return any(words in message for words in PARENT_REFUSALS)


def _parents(facts: PlanFacts) -> tuple[AdoptionPlan, ...]:
    """Return the ways to have the engine create the container in the unit's cgroup; () where all would weaken it."""
    unit, info = facts.unit, facts.info
    inside = AdoptionPlan("parent", "created in this unit's cgroup", sweep=unit.unified and unit.can_sweep)
    if info.cgroup_driver == "cgroupfs":
        return (replace(inside, cgroup_parent=unit.engine_path),)
    inside = replace(inside, cgroup_parent=f"{unit.engine_path}/{PAYLOAD_SLICE}")
    stays_writable = what_stays_writable(facts.read_only, facts.mountinfo)
    ways: tuple[AdoptionPlan, ...] = ()
    if not stays_writable and (info.major == 0 or info.major >= SHIM_ENGINE_MAJOR):
        ways = (replace(inside, runtime=SHIM_RUNTIME, read_only=facts.read_only_paths),)
    if CONFIGURED_RUNTIME in info.runtimes:
        reason = f"{inside.reason} with the runtime {CONFIGURED_RUNTIME}"
        configured = replace(inside, reason=reason, runtime=CONFIGURED_RUNTIME)
        ways += (replace(configured, read_only=facts.read_only_paths, stays_writable=stays_writable),)
    return ways


def _unlisted_refusal(facts: PlanFacts) -> str:
    stays_writable = what_stays_writable(facts.read_only, facts.mountinfo)
    return f"{stays_writable}, with a runtime that the engine does not list"


def _move(reason: str, hint: str, facts: PlanFacts, cgroups: Sequence[str]) -> AdoptionPlan:
    unit = facts.unit
    hierarchies = () if unit.unified else tuple(name for name in cgroups if name != SYSTEMD_HIERARCHY)
    reason += f", --cgroups={','.join(hierarchies)}" if hierarchies else ""
    sweep = unit.unified and not _delegation_refusal(unit, facts.properties)
    return AdoptionPlan(
        "move",
        reason,
        hint,
        sweep=sweep,
        cgroups=hierarchies,
        read_only=facts.read_only_paths,
        stays_writable=what_stays_writable(facts.read_only, facts.mountinfo),
    )


def _outside(reason: str, options: RunOptions, unit: UnitContext, info: EngineInfo) -> AdoptionPlan:
    """No adoption. Where the engine has systemd make a scope for the container, the scope is bound to the unit.

    So it ends with the unit, however the unit ended, even by SIGKILL for systemd-docker. systemd stops the scope
    together with the unit, but systemd-docker sends the stop signal, once: so the scope's KillSignal= is SIGCONT,
    which does no harm, and SIGKILL follows when the container's time is up. Never After=: the scope is made while
    the unit starts, and would wait for it for ever.
    """
    is_scope = info.cgroup_driver == "systemd" and info.major >= ANNOTATION_ENGINE_MAJOR and not info.rootless
    if not (is_scope and unit.name and not unit.is_user):
        return AdoptionPlan("none", reason)
    escaped = unit.name.replace("\\", "\\\\")
    patience_sec = options.number("stop-timeout") if options.given("stop-timeout") else STOP_TIMEOUT_SEC
    timeout_usec = (patience_sec + SCOPE_MARGIN_SEC) * 1_000_000 if patience_sec >= 0 else INFINITY_USEC
    binding = (
        ("org.systemd.property.BindsTo", f"['{escaped}']"),
        ("org.systemd.property.KillSignal", "18"),
        ("org.systemd.property.TimeoutStopUSec", f"uint64 {timeout_usec}"),
    )
    return AdoptionPlan("none", reason, annotations=binding)


def _parent_refusal(options: RunOptions, unit: UnitContext, info: EngineInfo) -> tuple[str, str] | None:
    """Return (reason, remedy) where this engine cannot create this container inside the unit."""
    if options.given("cgroup-parent"):
        return "--cgroup-parent puts it elsewhere", "Leave --cgroup-parent out, or use --adopt=none."
    if info.rootless and not (unit.is_user and unit.unified):
        return _ROOTLESS, ""
    if info.cgroup_driver == "none":
        return _NO_CGROUPS, _USE_SYSTEMD
    if info.rootless and not info.has_limits:
        return _NO_CONTROLLERS, ""
    if info.cgroup_driver == "cgroupfs":
        return None
    if info.cgroup_driver != "systemd":
        return f"the engine's cgroup driver is '{info.cgroup_driver}'", _USE_CGROUPFS
    if options.given("runtime"):
        return "--runtime leaves no way past the engine's systemd cgroup driver", _other_driver(info)
    if info.default_runtime != "runc":
        return f"the engine's default runtime is '{info.default_runtime}', not runc", _other_driver(info)
    if 0 < info.major < SHIM_ENGINE_MAJOR and CONFIGURED_RUNTIME not in info.runtimes:
        reason = f"engine {info.version} with the systemd cgroup driver puts containers into slices only"
        remedy = f"List the runtime {CONFIGURED_RUNTIME} in daemon.json, see systemd-docker-compatibility(7)."
        return reason, f"{remedy} Or: {_USE_CGROUPFS}"
    return None


def _move_refusal(options: RunOptions, unit: UnitContext, info: EngineInfo) -> tuple[str, str] | None:
    """Return (reason, remedy) where a container's processes cannot be moved into the unit."""
    if options.given("cgroup-parent"):
        return "--cgroup-parent puts it elsewhere", "Leave --cgroup-parent out, or use --adopt=none."
    if unit.is_in_namespace:
        return "ProtectControlGroups= hides the engine's cgroups", "Set Delegate=yes, or ProtectControlGroups=yes."
    if info.rootless and not unit.is_user:
        return _ROOTLESS, ""
    if unit.is_user and not (info.rootless and unit.unified):
        return "a user's manager can move only its rootless engine's containers, and only with cgroup v2", ""
    if info.cgroup_driver == "none":
        return _NO_CGROUPS, _USE_SYSTEMD
    runtime = options.text("runtime") or info.default_runtime
    program = (info.runtimes.get(runtime) or runtime).rpartition("/")[2]
    if info.cgroup_driver == "systemd" and program in NEED_THE_SCOPE:
        reason = f"with {program} and the engine's systemd driver, docker exec fails once processes were moved"
        return reason, _other_driver(info)
    if not unit.unified and info.cgroup_driver != "cgroupfs":
        reason = "with cgroup v1 and the engine's systemd driver, docker exec fails once processes were moved"
        return reason, "Use --adopt=parent, or --adopt=none."
    return None


def _other_driver(info: EngineInfo) -> str:
    """Return the remedy; a rootless engine has the systemd driver or none."""
    return _OTHERWISE if info.rootless else _USE_CGROUPFS


def _delegation_refusal(unit: UnitContext, properties: UnitProperties) -> tuple[str, str] | None:
    if not unit.unified or unit.is_delegated or properties.is_delegated:
        return None
    reason = "systemd has not delegated its cgroup"
    if properties.is_transient:
        return reason, "Give systemd-run(1) the option --property=Delegate=yes."
    if unit.is_user:
        return reason, "Set Delegate=yes in the unit."
    generator = "systemd-docker-generator(8) does so for units that say nothing of Delegate="
    return reason, f"Set Delegate=yes in the unit; {generator}."
