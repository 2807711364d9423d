"""`systemd-docker --dry-run run …`: what would be asked of the engine and done to the unit. Touches nothing."""

from __future__ import annotations

import json

from systemd_docker.engine import http
from systemd_docker.errors import AdoptionError
from systemd_docker.frozen import replace
from systemd_docker.service.start import early_queries, planning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.engine.client import Engine
    from systemd_docker.options.own import OwnOptions
    from systemd_docker.options.run_options import RunOptions
    from systemd_docker.plan.launch_plan import LaunchPlan
    from systemd_docker.service.start.early_queries import EarlyQueries
    from systemd_docker.unit import UnitContext


def main(own: OwnOptions, options: RunOptions, unit: UnitContext, queries: EarlyQueries) -> int:
    """Print the plan; --print=api as one JSON object, else for people. Return 125 where the start would fail.

    Raises Error where there is no request to be shown: a wrong command line, no engine.
    """
    refusal = None
    try:
        prepared = planning.prepare(own, options, unit, queries, http.wait_ready)
    except AdoptionError as error:
        refusal = error
        own, queries = replace(own, adopt="none"), early_queries.EarlyQueries(unit)
        prepared = planning.prepare(own, options, unit, queries, http.wait_ready)
    plan, engine = prepared.plan, prepared.engine
    if own.print_ == "api":
        print(json.dumps(_as_object(plan, engine, refusal), sort_keys=True))
    else:
        print("\n".join(_as_lines(plan, engine, unit, refusal)))
    return AdoptionError.exit_status if refusal else 0


def _as_object(plan: LaunchPlan, engine: Engine, refusal: AdoptionError | None) -> dict[str, object]:
    chosen = plan.adoption
    adoption = {"strategy": chosen.strategy, "reason": chosen.reason, "hint": chosen.hint}
    return {
        "method": "POST",
        "path": _path(engine),
        "query": _query(plan),
        "body": plan.body,
        "adoption": {"refused": str(refusal), "hint": refusal.hint} if refusal else adoption,
        "main_pid": "container" if plan.leader_is_main else "wrapper",
    }


def _as_lines(plan: LaunchPlan, engine: Engine, unit: UnitContext, refusal: AdoptionError | None) -> list[str]:
    query = "&".join(f"{name}={value}" for name, value in _query(plan).items())
    lines = [
        f"POST {_path(engine)}{'?' if query else ''}{query}",
        json.dumps(plan.body, indent=2, sort_keys=True, ensure_ascii=False),
    ]
    if refusal:
        return [*lines, f"adoption: would fail: {refusal}", f"          {refusal.hint}"]
    lines.append(f"adoption: {plan.adoption.strategy}, {plan.adoption.reason}")
    if plan.adoption.hint:
        lines.append(f"          {plan.adoption.hint}")
    if plan.adoption.sweep and unit.cgroup:
        lines.append(f"unit:     processes in {unit.cgroup.path} would move to its supervisor/")
    main = "the container's first process" if plan.leader_is_main else "systemd-docker"
    lines.append(f"main PID: {main}{f'; {plan.main_pid_hint}' if plan.main_pid_hint else ''}")
    return lines


def _path(engine: Engine) -> str:
    return f"/v{engine.api[0]}.{engine.api[1]}/containers/create"


def _query(plan: LaunchPlan) -> dict[str, str]:
    return {name: value for name, value in (("name", plan.name), ("platform", plan.platform)) if value}
