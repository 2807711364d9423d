"""Make the plan from a command line, the engine's answer and systemd's."""

from __future__ import annotations

from systemd_docker.engine import client, http
from systemd_docker.errors import Error
from systemd_docker.frozen import frozen, replace
from systemd_docker.kernel import mountinfo
from systemd_docker.options.create_request import create_request
from systemd_docker.plan import launch_plan
from systemd_docker.plan.facts import PlanFacts
from systemd_docker.plan.mounts import mounts_of
from systemd_docker.service import client_side
from systemd_docker.service.start import mount_facts
from systemd_docker.unit import engine_socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.engine.models import EngineInfo
    from systemd_docker.options.own import OwnOptions
    from systemd_docker.options.run_options import RunOptions
    from systemd_docker.sd.unit_properties import UnitProperties
    from systemd_docker.service.start.early_queries import EarlyQueries
    from systemd_docker.unit import UnitContext


@frozen
class Prepared:
    """The plan, the engine that it is for, and the unit's properties."""

    engine: client.Engine
    plan: launch_plan.LaunchPlan
    properties: UnitProperties


def prepare(
    own: OwnOptions,
    options: RunOptions,
    unit: UnitContext,
    queries: EarlyQueries,
    wait: http.Wait,
) -> Prepared:
    """Raises Error where the command line, the unit or the engine leaves no plan.

    queries: closed here; a running service needs none of the answers.
    """
    try:
        engine, info = _meet(unit, queries, wait)
        request = create_request(options, client_side.read_client(unit, engine), plain=own.plain_request)
        properties = queries.properties(wait)
    finally:
        queries.close()
    # A request that is compared with docker's is made outside of units, too.
    own = replace(own, adopt="none") if own.plain_request else own
    facts = PlanFacts(unit, properties, info)
    if own.adopt != "none" and mounts_of(request.body):
        read_only = mount_facts.look_up(request.body, engine, info)
        facts = replace(facts, read_only=read_only, mountinfo=mountinfo.read_host())
    made = launch_plan.make_plan(own, options, request, facts)
    return Prepared(engine, made, properties)


def _meet(unit: UnitContext, queries: EarlyQueries, wait: http.Wait) -> tuple[client.Engine, EngineInfo]:
    if isinstance(queries.engine, Error):
        raise queries.engine
    api = unit.environ.get("DOCKER_API_VERSION", "")
    return client.meet(queries.engine, engine_socket(unit), api=api, wait=wait)
