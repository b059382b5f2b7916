"""Workloads: announced, controlled, looked at."""

from http import HTTPStatus

from aiohttp import web

from pswd_edge.gateway.audit import note_change
from pswd_edge.gateway.endpoint import Call, Category, Endpoint
from pswd_edge.gateway.profile import respond
from pswd_edge.gateway.profiles.pswd import answers
from pswd_edge.gateway.profiles.pswd.models import WorkloadAnnouncement, WorkloadControl, WorkloadPath
from pswd_edge.gateway.profiles.pswd.requests import announce_request, require_fresh, workload_request
from pswd_edge.gateway.profiles.pswd.workloads_models import (
    InfrastructureResponse,
    WorkloadCommandAnswer,
    WorkloadStatus,
)
from pswd_edge.gateway.refusal import RefusalError, unavailable
from pswd_edge.gateway.roles import Operation
from pswd_edge.gateway.services import Services
from pswd_edge.gateway.services.dispatch import accepted
from pswd_edge.gateway.services.workloads import MIGRATION_UNAVAILABLE, changeable, not_found
from pswd_edge.model.command import Announce, Clamped, Failed, Mode, Rejected
from pswd_edge.model.workload import Workload

# Control's codes for "the headroom cannot be judged now", which the contract calls a lack of capacity.
_CANNOT_JUDGE = frozenset({"not_ready", "no_inputs", "safe_mode", "no_capacity"})


def endpoints(services: Services) -> list[Endpoint]:
    """The operations on workloads."""
    own = Workloads(services)
    return [
        Endpoint("POST", "/workload/announce", Operation.WORKLOAD_ANNOUNCE, Category.WORKLOAD, own.announce,
                 "Announce a workload, and have it judged", InfrastructureResponse, body=WorkloadAnnouncement,
                 refusals=(409,)),
        Endpoint("POST", "/workload/{workload_id}/control", Operation.WORKLOAD_CONTROL, Category.CONTROL, own.control,
                 "Throttle, pause, resume, terminate or migrate a workload", WorkloadCommandAnswer,
                 params=WorkloadPath, body=WorkloadControl, refusals=(404, 409)),
        Endpoint("GET", "/workload/{workload_id}/status", Operation.WORKLOAD_READ, Category.MONITORING, own.status,
                 "A workload and what its racks measure", WorkloadStatus, params=WorkloadPath, refusals=(404,)),
    ]


class Workloads:
    """Each method answers one operation."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def status(self, call: Call) -> web.StreamResponse:
        """GET /workload/{workload_id}/status."""
        view = self._services.workloads.read(call.params.workload_id)
        return respond(answers.workload_status(view, self._services.clock.utc_s()))

    async def control(self, call: Call) -> web.StreamResponse:
        """POST /workload/{workload_id}/control."""
        workload_id, message, services = call.params.workload_id, call.body, self._services
        require_fresh(message.timestamp, services.clock.utc_s())
        if message.command_type == "migrate":
            services.workloads.require_way_out(workload_id)
        command, before = workload_request(workload_id, message, call.sender), services.workloads.state_of(workload_id)
        try:
            sent = await services.dispatch.send(command)
        except RefusalError as error:
            raise _refused(error, workload_id, message.command_type) from error
        changed = sent.outcome.workload
        note_change(call.request, before=before, after=None if changed is None else changeable(changed))
        power_w = services.workloads.power_w(changed) if changed is not None and services.live.report() else None
        return respond(answers.workload_command(workload_id, sent, power_w, services.clock.utc_s()))

    async def announce(self, call: Call) -> web.StreamResponse:
        """POST /workload/announce."""
        services = self._services
        require_fresh(call.body.timestamp, services.clock.utc_s())
        workload, conditions = await self._judge(announce_request(call.body, call.sender))
        note_change(call.request, after=changeable(workload))
        thermal = answers.thermal_coordination(services.thermal.cooling_type(),
                                               recovers_heat=services.thermal.recovers_heat)
        return respond(answers.infrastructure_response(workload, conditions, thermal, services.grid.facts(),
                                                       services.clock.utc_s()))

    async def _judge(self, request: Announce) -> tuple[Workload, list[str]]:
        """Control's judgement, also a rejection, and its conditions.

        Raises:
            RefusalError: 503 INSUFFICIENT_CAPACITY where nothing can be judged or offered now; else as `accepted`.
        """
        report = self._services.live.report()
        if report is None:
            raise _insufficient("control is not running: nothing can be judged now")
        if report.mode == Mode.SAFE:
            raise _insufficient(f"the site is in SAFE mode and takes no workload ({report.mode_reason})")
        try:
            outcome, fits = await self._services.announcements.judge(request)
        except RefusalError as error:
            raise (_insufficient(error.message) if error.status != HTTPStatus.CONFLICT else error) from error
        if outcome.workload is None:
            if isinstance(outcome, Failed) or (isinstance(outcome, Rejected) and outcome.code in _CANNOT_JUDGE):
                raise _insufficient(outcome.reason)
            accepted(outcome)
            raise _insufficient("control gave no judgement")
        said = _conditions(outcome.workload, outcome.reason, outcome.limit, outcome)
        return outcome.workload, [*said, *(f"possible: {text}" for text in fits)]


def _conditions(workload: Workload, reason: str, limit: str, outcome: object) -> list[str]:
    """Control's conditions in words; where it was clamped or rejected, why."""
    said = list(workload.conditions)
    if isinstance(outcome, Clamped | Rejected) and reason and reason not in said:
        said.append(f"{reason} (limit: {limit})" if limit else reason)
    return said


def _refused(error: RefusalError, workload_id: str, command: str) -> RefusalError:
    """In the contract's words where it has some."""
    if error.status == HTTPStatus.NOT_FOUND:
        return not_found(workload_id)
    if error.status == HTTPStatus.CONFLICT and command == "migrate":
        return RefusalError(409, MIGRATION_UNAVAILABLE, error.message, details=error.details)
    return error


def _insufficient(why: str) -> RefusalError:
    return unavailable("INSUFFICIENT_CAPACITY", f"no capacity can be offered now: {why or 'control could not judge'}",
                       retry_after_s=5)
