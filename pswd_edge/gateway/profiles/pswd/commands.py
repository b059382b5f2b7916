"""The POST operations of PSWD that command something."""

from aiohttp import web

from pswd_edge.gateway.profile import respond
from pswd_edge.gateway.profiles.pswd import answers
from pswd_edge.gateway.profiles.pswd.models import BatteryControl, WorkloadAnnouncement, WorkloadControl, WorkloadPath
from pswd_edge.gateway.profiles.pswd.requests import (
    announce_request,
    battery_request,
    require_fresh,
    workload_request,
)
from pswd_edge.gateway.refusal import RefusalError, unavailable
from pswd_edge.gateway.sender import sender_of
from pswd_edge.gateway.services import Services
from pswd_edge.gateway.services.dispatch import accepted
from pswd_edge.gateway.services.workloads import not_found
from pswd_edge.gateway.validation import check, read_json
from pswd_edge.model.command import Announce, Clamped, Failed, Mode, Rejected
from pswd_edge.model.workload import Workload

# Control's codes for "the headroom cannot be judged now", which the contract calls a lack of capacity.
_CANNOT_JUDGE = frozenset({"not_ready", "no_inputs", "safe_mode", "no_capacity"})


class Commands:
    """Each method answers one operation."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def battery(self, request: web.Request) -> web.Response:
        """POST /battery/control."""
        message = check(BatteryControl, await read_json(request))
        self._require_fresh(message.timestamp)
        services = self._services
        services.battery.read()    # refuses where there is no battery or no control
        setpoints = [battery.setpoint for battery in services.live.site.control.batteries]
        sent = await services.dispatch.send(battery_request(message, sender_of(request)), setpoints)
        view = services.battery.read() if services.live.report() else None    # control may have died meanwhile
        return respond(answers.battery_command(sent, view, services.clock.utc_s()))

    async def workload(self, request: web.Request) -> web.Response:
        """POST /workload/{workload_id}/control."""
        workload_id = check(WorkloadPath, dict(request.match_info)).workload_id
        message = check(WorkloadControl, await read_json(request))
        self._require_fresh(message.timestamp)
        services = self._services
        if message.command_type == "migrate":
            services.workloads.find(workload_id)
        command = workload_request(workload_id, message, sender_of(request))
        try:
            sent = await services.dispatch.send(command)
        except RefusalError as error:
            raise (not_found(workload_id) if error.status == 404 else error) from error
        changed = sent.outcome.workload
        power_w = services.workloads.power_w(changed) if changed is not None and services.live.report() else None
        return respond(answers.workload_command(workload_id, sent, power_w, services.clock.utc_s()))

    async def announce(self, request: web.Request) -> web.Response:
        """POST /workload/announce."""
        message = check(WorkloadAnnouncement, await read_json(request))
        self._require_fresh(message.timestamp)
        workload, conditions = await self._judge(announce_request(message, sender_of(request)))
        services = self._services
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
            outcome = await self._services.dispatch.ask(request)
        except RefusalError as error:
            raise _insufficient(error.message) from error
        if outcome.workload is None:
            if isinstance(outcome, Failed) or (isinstance(outcome, Rejected) and outcome.code in _CANNOT_JUDGE):
                raise _insufficient(outcome.reason)
            accepted(outcome)
            raise _insufficient("control gave no judgement")
        return outcome.workload, _conditions(outcome.workload, outcome.reason, outcome.limit, outcome)

    def _require_fresh(self, timestamp_utc_s: float) -> None:
        require_fresh(timestamp_utc_s, self._services.clock.utc_s())


def _conditions(workload: Workload, reason: str, limit: str, outcome: object) -> list[str]:
    """Control's conditions in words; where it was clamped or rejected, why."""
    said = list(workload.conditions)
    if isinstance(outcome, Clamped | Rejected) and reason and reason not in said:
        said.append(f"{reason} (limit: {limit})" if limit else reason)
    return said


def _insufficient(why: str) -> RefusalError:
    return unavailable("INSUFFICIENT_CAPACITY", f"no capacity can be offered now: {why or 'control could not judge'}",
                       retry_after_s=5)
