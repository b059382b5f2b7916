"""DCPI: workloads, announced, looked at, ordered."""

import orjson
from aiohttp import web

from pswd_edge.gateway.audit import note_change
from pswd_edge.gateway.endpoint import Call, Category, Endpoint
from pswd_edge.gateway.profile import respond
from pswd_edge.gateway.profiles.dcpi import workload_answers as answers
from pswd_edge.gateway.profiles.dcpi.workload_requests import announcement_of, order_of, too_much
from pswd_edge.gateway.profiles.dcpi.workloads_models import (
    AnnouncementReceipt,
    OrderAnswer,
    WorkloadAnnouncement,
    WorkloadOrder,
    WorkloadPath,
    WorkloadStatus,
)
from pswd_edge.gateway.refusal import RefusalError
from pswd_edge.gateway.roles import Operation
from pswd_edge.gateway.services import Services
from pswd_edge.gateway.services.workloads import changeable, not_found


def endpoints(services: Services) -> list[Endpoint]:
    """The operations on workloads."""
    own = Workloads(services)
    return [
        Endpoint("POST", "/workloads/announce", Operation.WORKLOAD_ANNOUNCE, Category.WORKLOAD, own.announce,
                 "Announce a workload; it is judged a moment later", AnnouncementReceipt, body=WorkloadAnnouncement,
                 status=202, refusals=(409,)),
        Endpoint("GET", "/workloads/{workload_id}/status", Operation.WORKLOAD_READ, Category.MONITORING, own.status,
                 "How a workload was judged, and what became of it", WorkloadStatus, params=WorkloadPath,
                 refusals=(404,)),
        Endpoint("PUT", "/workloads/{workload_id}/control", Operation.WORKLOAD_CONTROL, Category.CONTROL, own.control,
                 "Throttle, pause, resume or terminate a workload", OrderAnswer, params=WorkloadPath,
                 body=WorkloadOrder, refusals=(404, 409)),
    ]


class Workloads:
    """Each method answers one operation."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def announce(self, call: Call) -> web.StreamResponse:
        """POST /workloads/announce."""
        services, message = self._services, call.body
        said = announcement_of(message)
        impossible = services.evaluation.impossible(said)
        if impossible is not None:
            raise too_much(impossible)
        more = message.model_dump(include={"classification", "resource_requirements", "timing_constraints"},
                                  exclude_unset=True)
        receipt = await services.announcements.receive(said, call.sender, orjson.dumps(more))
        note_change(call.request, after={"state": "pending", "workload_id": said.workload_id, "peak_w": said.peak_w,
                                         "request_id": receipt.request_id})
        return respond(answers.receipt(said.workload_id, receipt), 202)

    async def status(self, call: Call) -> web.StreamResponse:
        """GET /workloads/{workload_id}/status."""
        services, workload_id = self._services, call.params.workload_id
        grid, kept = services.grid.facts(), services.announcements.waiting(workload_id)
        if kept is not None:
            return respond(answers.kept_status(kept, grid))
        workload = services.workloads.known(workload_id)
        if workload is not None:
            view = services.workloads.view(workload)
            return respond(answers.status(view, services.workloads.allocation(workload), grid))
        kept = await services.announcements.latest(workload_id)
        if kept is None:
            raise not_found(workload_id)
        return respond(answers.kept_status(kept, grid))

    async def control(self, call: Call) -> web.StreamResponse:
        """PUT /workloads/{workload_id}/control."""
        services, workload_id = self._services, call.params.workload_id
        if services.announcements.waiting(workload_id) is not None:
            raise RefusalError(409, "CONFLICT", f"workload {workload_id}: waits for its judgement; ask again after it")
        before = services.workloads.state_of(workload_id)
        sent = await services.dispatch.send(order_of(workload_id, call.body, call.sender, services.clock.utc_s()))
        changed = sent.outcome.workload
        note_change(call.request, before=before, after=None if changed is None else changeable(changed))
        power_w = services.workloads.power_w(changed) if changed is not None and services.live.report() else None
        return respond(answers.order(workload_id, call.body.action, sent, power_w, services.clock.utc_s()))
