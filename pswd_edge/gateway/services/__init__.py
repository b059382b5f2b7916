"""What several profiles need, once: live facts and commands in SI units and our own words."""

from typing import NamedTuple

from pswd_edge.clock import Clock
from pswd_edge.gateway.heavy import HeavyWork
from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.long_answer import LongAnswers
from pswd_edge.gateway.performance import PerformanceMeter
from pswd_edge.gateway.services.battery import BatteryService
from pswd_edge.gateway.services.breakdown import BreakdownService
from pswd_edge.gateway.services.dispatch import Dispatch, Door
from pswd_edge.gateway.services.grid import GridService
from pswd_edge.gateway.services.health import HealthService
from pswd_edge.gateway.services.planner import PlannerService
from pswd_edge.gateway.services.power import PowerService
from pswd_edge.gateway.services.realtime import RealtimeService
from pswd_edge.gateway.services.thermal import ThermalService
from pswd_edge.gateway.services.workloads import WorkloadService


class Services(NamedTuple):
    """All services over one image and one door."""

    live: LiveImage
    clock: Clock
    meter: PerformanceMeter
    heavy: HeavyWork
    power: PowerService
    realtime: RealtimeService
    long_answers: LongAnswers
    breakdown: BreakdownService
    battery: BatteryService
    thermal: ThermalService
    grid: GridService
    workloads: WorkloadService
    dispatch: Dispatch
    health: HealthService
    planner: PlannerService


def open_services(live: LiveImage, door: Door, clock: Clock) -> Services:
    """The services; `Services.heavy` and `planner` own a thread each and are to be closed."""
    meter, heavy, power = PerformanceMeter(), HeavyWork(), PowerService(live, clock)
    dispatch, planner = Dispatch(live, door, clock), PlannerService(live, door, clock)
    return Services(
        live, clock, meter, heavy, power, RealtimeService(live, power, heavy), LongAnswers(),
        BreakdownService(live, power), BatteryService(live), ThermalService(live), GridService(live),
        WorkloadService(live, clock), dispatch, HealthService(live, dispatch, meter, planner), planner,
    )
