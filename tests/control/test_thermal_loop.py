"""Thermal coordination against the simulated campus, beside the law: starts, a lost pump, heat export."""

import pytest
from msgspec.structs import replace

from pswd_edge.model.site import Site
from pswd_edge.model.workload import Announcement, Headroom, Workload, WorkloadState
from simulators.plant import Plant, PlantSpec
from tests.control.virtual import FIRST_S, MW, Loop, demo_site

JOB_W = 80 * MW
GOAL_C = 38.0                 # what a return of a hall may reach when a job starts


class Steady:
    """A job without iterations: heat does not see them."""

    def power_share(self, t_s: float, dt_s: float) -> float:
        return 1.0


class Calm:
    """No scenario: the test itself starts what runs."""

    def start(self, time_s: float) -> None:
        """Nothing to start."""

    def advance(self, plant: Plant) -> None:
        """Nothing happens."""


def site_of(release_after_s: float) -> Site:
    """The demo's site, with interlocks that give back after this time."""
    site = demo_site()
    assert site.control.thermal is not None
    locks = tuple(replace(i, release_after_s=release_after_s) for i in site.control.thermal.interlocks)
    part = replace(site.control.thermal, interlocks=locks)
    return replace(site, control=replace(site.control, thermal=part))


class Campus(Loop):
    """The loop on a plant without noise; keeps the highest return of CDU 1 and the supply of the heat network."""

    def __init__(self, release_after_s: float = 120.0) -> None:
        super().__init__(site_of(release_after_s), plant=Plant(PlantSpec(noise_scale=0.0), 1))
        self.scenario = Calm()
        self.return_c: list[float] = []
        self.network_c: list[float] = []
        self.cap_w: list[float] = []

    def announce(self, in_s: float) -> None:
        said = Announcement("job", "training", JOB_W, 8 * MW, 0.0,
                            earliest_start_utc_s=FIRST_S + self.plant.time_s + in_s)
        self.workloads = (Workload(said, WorkloadState.APPROVED, JOB_W, (0, 1, 2, 3), (JOB_W / 4,) * 4, (), FIRST_S,
                                   Headroom(0.0, 0.0, 0.0)),)

    def start_job(self) -> None:
        self.plant.start_job("job", Steady(), dict.fromkeys(self.plant.racks, JOB_W / 4))

    def go(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            self.step()
            self.return_c.append(self.plant.signals("cdu-1")["return_temperature_c"])
            self.network_c.append(self.plant.signals("hx-1")["supply_temperature_c"])
            self.cap_w.append(self.plant.signals("rack-1")["power_cap_w"])


@pytest.mark.parametrize("announced", [True, False])
def test_an_80_mw_start_stays_cool_where_it_was_announced(announced: bool) -> None:
    """The announcement is what keeps the return in range; unannounced, pumps and coolant come after the heat."""
    campus = Campus()
    if announced:
        campus.announce(150.0)
    campus.go(150)
    campus.start_job()
    campus.go(60)
    assert (max(campus.return_c) <= GOAL_C) is announced
    assert min(campus.cap_w) == 25 * MW           # in neither case does the interlock take power from it


def test_a_lost_pump_caps_its_hall_alone_until_it_is_back() -> None:
    """Half the flow gone at full heat: the hall comes below its limit by steps; the other hall works on."""
    campus = Campus(release_after_s=20.0)
    campus.announce(0.0)
    campus.start_job()
    campus.go(60)
    campus.plant.fault("cdu-1", "pump_lost", active=True)
    campus.go(110)
    locks = campus.thermal.state.interlocks
    assert locks[0].step > 0
    assert locks[1].step == 0
    assert campus.return_c[-1] < 48.0
    assert max(campus.return_c) < 60.0            # never tripped
    assert campus.plant.signals("rack-3")["power_cap_w"] == 25 * MW
    campus.plant.fault("cdu-1", "pump_lost", active=False)
    campus.go(120)
    assert campus.cap_w[-1] == 25 * MW
    assert campus.thermal.state.interlocks[0].step == 0


def test_heat_export_keeps_its_band_through_a_job() -> None:
    """70 to 90 degC for the network, whatever the racks do; the flow makes room for the job's heat."""
    campus = Campus()
    campus.start_job()
    campus.go(120)
    busy_lpm = campus.plant.signals("hx-1")["flow_lpm"]
    campus.plant.end_job("job")
    campus.go(150)
    assert campus.plant.signals("hx-1")["flow_lpm"] < busy_lpm / 2
    assert min(campus.network_c) >= 70.0
    assert max(campus.network_c) <= 90.0
