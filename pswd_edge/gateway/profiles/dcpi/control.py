"""DCPI: power control. Several commands at once; each has its own outcome."""

import asyncio
from typing import Any

from aiohttp import web

from pswd_edge.clock import iso_utc
from pswd_edge.gateway.audit import note_change
from pswd_edge.gateway.endpoint import Call, Category, Endpoint
from pswd_edge.gateway.profile import respond
from pswd_edge.gateway.profiles.dcpi.control_models import PowerControl, PowerControlAnswer
from pswd_edge.gateway.profiles.dcpi.control_orders import Notice, Order, orders
from pswd_edge.gateway.projection import moment, mw, present, scaled
from pswd_edge.gateway.refusal import RefusalError, unavailable
from pswd_edge.gateway.roles import Operation
from pswd_edge.gateway.services import Services
from pswd_edge.gateway.services.dispatch import Dispatched
from pswd_edge.model.command import Clamped, SetBatteryTarget

NOTICE_WAIT_S = 0.8      # the contract wants answers to control within a second; delivery goes on afterwards
_TOLD = {"acknowledged": "executed", "pending": "pending", "rejected": "rejected"}


def endpoints(services: Services) -> list[Endpoint]:
    """The operations on power control."""
    return [Endpoint("POST", "/power/control", Operation.POWER_CONTROL, Category.CONTROL, PowerOrders(services).control,
                     "Command batteries, caps, outlets, and tell the grid operator of changes", PowerControlAnswer,
                     body=PowerControl, refusals=(404, 409))]


class PowerOrders:
    """Carries out what `control_orders` has checked."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def control(self, call: Call) -> web.StreamResponse:
        """POST /power/control: 200 where any command was taken, else the refusal of the first one."""
        services, asked, sender = self._services, call.body, call.sender
        now_utc_s = services.clock.utc_s()
        checked = orders(asked.commands, services.live.site, sender, now_utc_s)
        if services.outside.endpoint("grid") is None and any(isinstance(order.work, Notice) for order in checked):
            raise unavailable("NO_GRID_OPERATOR", "no grid operator is configured: nobody would receive it; leave "
                              "grid_interface out, or name one in the site file", retry_after_s=3600)
        done = await asyncio.gather(*(self._outcome(order, sender.origin) for order in checked))
        note_change(call.request, after={o["target"]: f"{o['action']}: {o['status']}" for o, _ in done})
        refused = [error for _, error in done if error is not None]
        if len(refused) == len(done):
            raise _all_refused(refused, [outcome for outcome, _ in done])
        return respond({"facility_id": services.live.site.facility_id, "timestamp": iso_utc(services.clock.utc_s()),
                        "commands": [outcome for outcome, _ in done]})

    async def _outcome(self, order: Order, origin: str) -> tuple[dict[str, Any], RefusalError | None]:
        """CommandOutcome, and why it was refused; one refusal does not take the others back."""
        head = {"target": order.target, "action": order.action, "command_id": order.id}
        try:
            if isinstance(order.work, Notice):
                return {**head, **await self._tell(order.work, order.id, origin)}, None
            sent = await self._services.dispatch.send(order.work, order.points)
        except RefusalError as error:
            return {**head, "status": "rejected", "code": error.code, "message": error.message}, error
        return {**head, **_told(sent, in_w=_in_watts(order))}, None

    async def _tell(self, notice: Notice, order_id: str, origin: str) -> dict[str, Any]:
        payload = present({"delta_power_w": notice.delta_w, "in_s": notice.after_s, "duration_s": notice.duration_s})
        told = await self._services.delivery.send("grid", "load_change", payload, origin, order_id, NOTICE_WAIT_S)
        return present({"status": _TOLD[told.status], "message": told.response or None})


def _in_watts(order: Order) -> bool:
    """True where a clamped value is a power: an outlet's is not."""
    return isinstance(order.work, SetBatteryTarget) or order.action == "set_cap"


def _told(sent: Dispatched, *, in_w: bool) -> dict[str, Any]:
    outcome = sent.outcome
    granted_w = abs(outcome.value) if isinstance(outcome, Clamped) and in_w else None
    return present({
        "status": sent.progress, "limit": outcome.limit or None, "message": outcome.reason or None,
        "granted_power_mw": mw(granted_w), "eta_sec": scaled(outcome.eta_s, 1, 1),
        "expires_at": moment(outcome.expires_utc_s),
    })


def _all_refused(refused: list[RefusalError], outcomes: list[dict[str, Any]]) -> RefusalError:
    """The first one's refusal; of several, the details have each one's."""
    first = refused[0]
    if len(refused) == 1:
        return first
    return RefusalError(first.status, first.code, first.message, details={"commands": outcomes}, headers=first.headers)
