"""DCPI: cooling."""

from typing import Any

from aiohttp import web

from pswd_edge.clock import iso_utc
from pswd_edge.gateway.audit import note_change
from pswd_edge.gateway.endpoint import Call, Category, Endpoint
from pswd_edge.gateway.profile import respond
from pswd_edge.gateway.profiles.dcpi import thermal_answers as answers
from pswd_edge.gateway.profiles.dcpi.thermal_models import (
    Coordination,
    SensorQuery,
    Sensors,
    ThermalControl,
    ThermalControlAnswer,
    ThermalStatus,
)
from pswd_edge.gateway.profiles.dcpi.thermal_requests import find_system, read_commands
from pswd_edge.gateway.projection import W_PER_MW, mw, present
from pswd_edge.gateway.refusal import RefusalError, control_unavailable
from pswd_edge.gateway.roles import Operation
from pswd_edge.gateway.sender import Sender
from pswd_edge.gateway.services import Services
from pswd_edge.gateway.services.cooling import Moved, Prepared, joint
from pswd_edge.gateway.services.sensors import SensorKind
from pswd_edge.model.thermal import Cooler

_INLINE_SENSORS = 300         # about 3 ms of work


def endpoints(services: Services) -> list[Endpoint]:
    """The operations on cooling."""
    thermal = Thermal(services)
    return [
        Endpoint("GET", "/thermal/status", Operation.THERMAL_READ, Category.MONITORING, thermal.status,
                 "State of every cooling system and of heat recovery", ThermalStatus),
        Endpoint("POST", "/thermal/control", Operation.THERMAL_CONTROL, Category.CONTROL, thermal.control,
                 "Hold set-points of a cooling system, or make it ready for a workload", ThermalControlAnswer,
                 body=ThermalControl, refusals=(404, 409)),
        Endpoint("GET", "/thermal/sensors", Operation.THERMAL_READ, Category.MONITORING, thermal.sensors,
                 "Every sensor of cooling, heat delivery and racks", Sensors, query=SensorQuery, refusals=(404,)),
    ]


class Thermal:
    """Each method answers one operation."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def status(self, _: Call) -> web.StreamResponse:
        """GET /thermal/status."""
        services = self._services
        heat, systems = services.heat.read(), services.cooling_systems.read()
        two_phase = [s.id for s in systems if s.kind == "two_phase"]
        recovered = {two_phase[0]: heat.heat_w} if len(systems) == len(two_phase) == 1 else {}
        return respond(present({
            "facility_id": services.live.site.facility_id,
            "measurement_timestamp": iso_utc(services.clock.utc_s()),
            "cooling_systems": [answers.system(s, recovered.get(s.id)) for s in systems],
            "heat_recovery": answers.recovery(heat) if services.thermal.recovers_heat else None,
        }))

    async def sensors(self, call: Call) -> web.StreamResponse:
        """GET /thermal/sensors."""
        query, services = call.query, self._services
        kind: SensorKind | None = "flow_rate" if query.sensor_type == "flow" else query.sensor_type
        kinds = {d.id: d.kind for d in services.live.site.devices}

        def make() -> list[dict[str, Any]]:
            found = services.sensors.read(query.system_id, kind, query.resolution_sec)
            return [answers.sensor(s, kinds[s.device]) for s in found]

        small = services.sensors.count <= _INLINE_SENSORS
        return respond({"sensors": make() if small else await services.heavy.run(make)})

    async def control(self, call: Call) -> web.StreamResponse:
        """POST /thermal/control: everything is checked before anything is sent."""
        services, message, sender = self._services, call.body, call.sender
        if not services.live.alive:
            raise control_unavailable()
        device = find_system(services.live.site, message.system_id)
        asked = read_commands(message, services.live.site, device)
        wish = self._wish(message.coordination, device.id) if message.coordination else None
        now_s = services.clock.utc_s()
        moved = await services.cooling.hold([a.move for a in asked], sender, now_s) if asked else []
        made = await self._prepare(wish, message.coordination, sender, now_s, bool(moved)) if wish else None
        change = services.cooling.change(moved)
        prepared = {"prepared_heat_w": wish[1]} if wish is not None and made and made["status"] == "executed" else {}
        note_change(call.request, before=change["before"], after=change["after"] | prepared)
        measured = [services.live.value(a.shows) for a in asked]
        return respond(present({
            "command_id": sender.id, "system_id": device.id, "status": _status(moved, made),
            "commands": answers.results(asked, moved, measured), "coordination": made,
            "timestamp": iso_utc(services.clock.utc_s()),
        }))

    def _wish(self, asked: Coordination, system: str) -> tuple[Cooler, float]:
        """The cooler and the heat that it is to be ready for, W.

        Raises:
            RefusalError: 404 for a workload that nobody announced, 409 where the system cannot be made ready at all,
                or carries less than that.
        """
        cooling, workload, said_mw = self._services.cooling, asked.prepare_for_workload, asked.estimated_heat_load_mw
        cooler = cooling.cooler(system)
        known_w = None if workload is None else cooling.heat_of(workload, cooler)
        if workload is not None and known_w is None:
            raise RefusalError(404, "WORKLOAD_NOT_FOUND", f"workload {workload}: nobody has announced it here")
        heat_w = (known_w or 0.0) if said_mw is None else said_mw * W_PER_MW
        if heat_w > cooler.rating_w:
            able_mw = mw(cooler.rating_w)
            rest = f"Prepare {system} for {able_mw:g} MW, and other systems for the rest"
            raise RefusalError(409, "INSUFFICIENT_COOLING_CAPACITY", f"{system} carries {able_mw:g} MW at most",
                               details={"requested_heat_mw": mw(heat_w), "available_capacity_mw": able_mw,
                                        "suggested_alternatives": [rest]})
        return cooler, heat_w

    async def _prepare(self, wish: tuple[Cooler, float], asked: Coordination, sender: Sender, now_s: float,
                       beside: bool) -> dict[str, Any]:
        """`beside` set-points that are held already a refusal is told with them, not instead of them."""
        try:
            made: Prepared = await self._services.cooling.prepare(*wish, asked.preparation_time_sec, sender, now_s)
        except RefusalError as error:
            if not beside:
                raise
            return {"status": "failed", "message": error.message}
        return answers.preparation(made)


def _status(moved: list[Moved], made: dict[str, Any] | None) -> str:
    """Of set-points and preparation together."""
    if moved:
        return joint(moved)
    return "failed" if made is None else str(made["status"])
