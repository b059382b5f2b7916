"""What several profiles need, once: live facts and commands in SI units and our own words."""

from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from pswd_edge.clock import Clock
from pswd_edge.gateway.heavy import HeavyWork
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.long_answer import LongAnswers
from pswd_edge.gateway.performance import PerformanceMeter
from pswd_edge.gateway.services.battery import BatteryService
from pswd_edge.gateway.services.breakdown import BreakdownService
from pswd_edge.gateway.services.delivery import Delivery
from pswd_edge.gateway.services.dispatch import Dispatch, Door
from pswd_edge.gateway.services.grid import GridService
from pswd_edge.gateway.services.grid_events import GridEvents
from pswd_edge.gateway.services.health import HealthService
from pswd_edge.gateway.services.history import History
from pswd_edge.gateway.services.market import GridConditions
from pswd_edge.gateway.services.metrics import MetricsService
from pswd_edge.gateway.services.outside import Outside
from pswd_edge.gateway.services.planner import PlannerService
from pswd_edge.gateway.services.polled import Polled
from pswd_edge.gateway.services.power import PowerService
from pswd_edge.gateway.services.realtime import RealtimeService
from pswd_edge.gateway.services.sampler import Sampler
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
    realtime: RealtimeService
    long_answers: LongAnswers
    breakdown: BreakdownService
    history: History
    metrics: MetricsService
    security: SecurityService

    def jobs(self) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        """What runs beside the answers, by name, until it is cancelled."""
        return {"planner": self.planner.run, "delivery": self.delivery.run, "grid events": self.grid_events.run,
                "grid conditions": self.grid_conditions.run, "history": lambda: self.history.backfill(self.heavy)}

    async def close(self) -> None:
        """End threads and connections; the jobs have been cancelled before."""
        self.planner.close()
        self.realtime.close()
        self.heavy.close()
        await self.history.settle()
        await self.outside.close()
        self.store.close()


def open_services(live: LiveImage, door: Door, clock: Clock, store: Store) -> Services:
    """The services; to be closed at the end, the store with them."""
    meter, heavy, power = PerformanceMeter(), HeavyWork(), PowerService(live, clock)
    dispatch, planner, outside = Dispatch(live, door, clock), PlannerService(live, door, clock), Outside(live)
    conditions = Polled(outside, clock, "grid", "/conditions", GridConditions)
    breakdown = BreakdownService(live, power)
    history = History(live, clock, power, Sampler(live, power, breakdown), meter, store)
    return Services(
        live, clock, meter, heavy, power, BatteryService(live), ThermalService(live),
        GridService(live, clock, conditions), WorkloadService(live, clock), dispatch,
        HealthService(live, dispatch, meter, planner),
        planner, store, outside, Delivery(store, outside, live, clock), conditions, GridEvents(store, outside, clock),
        RealtimeService(live, power, heavy), LongAnswers(), breakdown, history, MetricsService(history, clock),
        SecurityService(live, clock),
    )
