"""What several profiles need, once: live facts and commands in SI units and our own words."""

from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from pswd_edge.clock import Clock
from pswd_edge.gateway.heavy import HeavyWork
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.performance import PerformanceMeter
from pswd_edge.gateway.services.battery import BatteryService
from pswd_edge.gateway.services.commitment import CommitmentTable
from pswd_edge.gateway.services.delivery import Delivery
from pswd_edge.gateway.services.demand_response import DemandResponse
from pswd_edge.gateway.services.dispatch import Dispatch, Door
from pswd_edge.gateway.services.forecast import ForecastService
from pswd_edge.gateway.services.grid import GridService
from pswd_edge.gateway.services.grid_events import GridEvents
from pswd_edge.gateway.services.health import HealthService
from pswd_edge.gateway.services.load_record import LoadRecord
from pswd_edge.gateway.services.market import GridConditions
from pswd_edge.gateway.services.outside import Outside
from pswd_edge.gateway.services.planner import PlannerService
from pswd_edge.gateway.services.polled import Polled
from pswd_edge.gateway.services.power import PowerService
from pswd_edge.gateway.services.security import SecurityService
from pswd_edge.gateway.services.thermal import ThermalService
from pswd_edge.gateway.services.workloads import WorkloadService
from pswd_edge.gateway.store import Store


class Services(NamedTuple):
    """All services over one image and one door."""

    live: LiveImage
    clock: Clock
    meter: PerformanceMeter
    heavy: HeavyWork
    power: PowerService
    battery: BatteryService
    thermal: ThermalService
    grid: GridService
    workloads: WorkloadService
    dispatch: Dispatch
    health: HealthService
    planner: PlannerService
    store: Store
    outside: Outside
    delivery: Delivery
    grid_conditions: Polled[GridConditions]
    grid_events: GridEvents
    security: SecurityService
    forecast: ForecastService
    demand_response: DemandResponse

    def jobs(self) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        """What runs beside the answers, by name, until it is cancelled."""
        return {"planner": self.planner.run, "delivery": self.delivery.run, "grid events": self.grid_events.run,
                "grid conditions": self.grid_conditions.run, "forecast": self.forecast.run,
                "demand response": self.demand_response.run}

    async def close(self) -> None:
        """End threads and connections; the jobs have been cancelled before."""
        self.planner.close()
        self.heavy.close()
        await self.outside.close()
        self.store.close()


def open_services(live: LiveImage, door: Door, clock: Clock, store: Store) -> Services:
    """The services; to be closed at the end, the store with them."""
    meter, heavy, outside = PerformanceMeter(), HeavyWork(), Outside(live)
    dispatch, planner = Dispatch(live, door, clock), PlannerService(live, door, clock)
    conditions = Polled(outside, clock, "grid", "/conditions", GridConditions)
    delivery, events = Delivery(store, outside, live, clock), GridEvents(store, outside, clock)
    workloads = WorkloadService(live, clock)
    forecast = ForecastService(live, clock, heavy, workloads, LoadRecord(store))
    return Services(
        live, clock, meter, heavy, PowerService(live, clock), BatteryService(live), ThermalService(live),
        GridService(live, clock, conditions), workloads, dispatch, HealthService(live, dispatch, meter, planner),
        planner, store, outside, delivery, conditions, events,
        security=SecurityService(live, clock), forecast=forecast,
        demand_response=DemandResponse(live, clock, heavy, dispatch, delivery, events, forecast,
                                       CommitmentTable(store)),
    )
