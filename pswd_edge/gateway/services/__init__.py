"""What several profiles need, once: live facts and commands in SI units and our own words."""

import contextlib
import sqlite3
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from pswd_edge.clock import Clock
from pswd_edge.gateway.heavy import HeavyWork
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.long_answer import LongAnswers
from pswd_edge.gateway.performance import PerformanceMeter
from pswd_edge.gateway.services.announcements import Announcements
from pswd_edge.gateway.services.battery import BatteryService
from pswd_edge.gateway.services.breakdown import BreakdownService
from pswd_edge.gateway.services.commitment import CommitmentTable
from pswd_edge.gateway.services.cooling import CoolingService
from pswd_edge.gateway.services.cooling_systems import CoolingSystems
from pswd_edge.gateway.services.delivery import Delivery
from pswd_edge.gateway.services.demand_response import DemandResponse
from pswd_edge.gateway.services.dispatch import Dispatch, Door
from pswd_edge.gateway.services.evaluation import Evaluation
from pswd_edge.gateway.services.forecast import ForecastService
from pswd_edge.gateway.services.grid import GridService
from pswd_edge.gateway.services.grid_events import GridEvents
from pswd_edge.gateway.services.health import HealthService
from pswd_edge.gateway.services.heat import HeatService
from pswd_edge.gateway.services.heat_demand import HeatDemand
from pswd_edge.gateway.services.heat_offers import OfferService
from pswd_edge.gateway.services.history import History
from pswd_edge.gateway.services.load_record import LoadRecord
from pswd_edge.gateway.services.market import GridConditions
from pswd_edge.gateway.services.metrics import MetricsService
from pswd_edge.gateway.services.outside import Outside
from pswd_edge.gateway.services.pending import PendingFile
from pswd_edge.gateway.services.planner import PlannerService
from pswd_edge.gateway.services.polled import Polled
from pswd_edge.gateway.services.power import PowerService
from pswd_edge.gateway.services.realtime import RealtimeService
from pswd_edge.gateway.services.sampler import Sampler
from pswd_edge.gateway.services.security import SecurityService
from pswd_edge.gateway.services.sensors import SensorService
from pswd_edge.gateway.services.subsystems import SubsystemService, figures_of
from pswd_edge.gateway.services.thermal import ThermalService
from pswd_edge.gateway.services.workload_figures import WorkloadFigures
from pswd_edge.gateway.services.workloads import WorkloadService
from pswd_edge.gateway.store import Store
from pswd_edge.gateway.streams.hub import StreamHub


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
    cooling: CoolingService
    cooling_systems: CoolingSystems
    sensors: SensorService
    heat_demand: Polled[HeatDemand]
    heat: HeatService
    heat_offers: OfferService
    grid_conditions: Polled[GridConditions]
    grid_events: GridEvents
    realtime: RealtimeService
    long_answers: LongAnswers
    breakdown: BreakdownService
    history: History
    metrics: MetricsService
    evaluation: Evaluation
    announcements: Announcements
    workload_figures: WorkloadFigures
    hub: StreamHub
    security: SecurityService
    forecast: ForecastService
    demand_response: DemandResponse
    subsystems: SubsystemService

    def jobs(self) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        """What runs beside the answers, by name, until it is cancelled."""
        return {"planner": self.planner.run, "delivery": self.delivery.run, "grid events": self.grid_events.run,
                "grid conditions": self.grid_conditions.run, "announcements": self.announcements.run,
                "workload figures": self.workload_figures.run, "streams": self.hub.run,
                "heat demand": self.heat_demand.run, "heat account": self.heat.run, "forecast": self.forecast.run,
                "demand response": self.demand_response.run, "history": lambda: self.history.backfill(self.heavy)}

    async def close(self) -> None:
        """End threads and connections; the jobs have been cancelled before."""
        self.planner.close()
        self.realtime.close()
        self.heavy.close()
        await self.history.settle()
        await self.outside.close()
        with contextlib.suppress(sqlite3.Error):    # a full disk costs the figures, not the end
            await self.workload_figures.save()
        self.store.close()


def open_services(live: LiveImage, door: Door, clock: Clock, store: Store) -> Services:
    """The services; to be closed at the end, the store with them."""
    meter, heavy, powers = PerformanceMeter(), HeavyWork(), WorkloadFigures(store)
    evaluation, workloads = Evaluation(live, clock, heavy), WorkloadService(live, clock, powers)
    power = PowerService(live, clock)
    dispatch, planner, outside = Dispatch(live, door, clock), PlannerService(live, door, clock), Outside(live)
    delivery, demand = Delivery(store, outside, live, clock), Polled(outside, clock, "heat", "/conditions", HeatDemand)
    conditions = Polled(outside, clock, "grid", "/conditions", GridConditions)
    breakdown = BreakdownService(live, power)
    offers, events = OfferService(live, clock, store, delivery), GridEvents(store, outside, clock)
    cooling_systems, security = CoolingSystems(live), SecurityService(live, clock)
    history = History(live, clock, power, Sampler(live, power, cooling_systems), meter, store)
    forecast = ForecastService(live, clock, heavy, workloads, LoadRecord(store), history)
    history.forecast_percent = forecast.accuracy_percent
    figures = figures_of(cooling_systems, delivery, events, conditions, security, clock)._replace(
        forecast_percent=forecast.accuracy_percent)
    return Services(
        live=live, clock=clock, meter=meter, heavy=heavy, store=store, outside=outside, delivery=delivery,
        power=power,
        realtime=RealtimeService(live, power, heavy),
        long_answers=LongAnswers(),
        breakdown=breakdown,
        history=history,
        metrics=MetricsService(history, clock),
        battery=BatteryService(live),
        thermal=ThermalService(live),
        grid=GridService(live, clock, conditions),
        workloads=workloads,
        dispatch=dispatch,
        health=HealthService(live, dispatch, meter, planner),
        planner=planner,
        cooling=CoolingService(live, dispatch, clock),
        cooling_systems=cooling_systems,
        sensors=SensorService(live, clock),
        heat_demand=demand,
        heat=HeatService(live, clock, store, demand, offers),
        heat_offers=offers,
        grid_conditions=conditions,
        grid_events=events,
        hub=StreamHub(live, clock),
        security=security,
        forecast=forecast,
        demand_response=DemandResponse(live, clock, heavy, dispatch, delivery, events, forecast,
                                       CommitmentTable(store)),
        subsystems=SubsystemService(live, figures),
        evaluation=evaluation,
        announcements=Announcements(live, dispatch, evaluation, PendingFile(store), clock),
        workload_figures=powers,
    )
