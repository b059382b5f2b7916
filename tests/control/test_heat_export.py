"""Heat export: the supply of the heat network in its band, or off."""

import math
from itertools import pairwise

from msgspec.structs import replace

from pswd_edge.control.rules import export
from pswd_edge.control.rules.export import ExportState
from pswd_edge.model.snapshot import freeze
from pswd_edge.model.thermal import HeatExport, Lead, Measure
from tests.control.virtual import FIRST_S, bad, good

SUPPLY, HEAT, SETPOINT, FLOW, ENABLE = range(5)
SPEC = HeatExport("hx", Measure(SUPPLY), Measure(HEAT), Lead(SETPOINT, 75.0, 75.0, 70.0, 90.0, 2 / 60),
                  Lead(FLOW, 100.0, 3000.0, 100.0, 3000.0, 500 / 60), goal_c=75.0, low_c=70.0, high_c=90.0,
                  fall_c=20.0, enable=ENABLE, off_after_s=120.0, retry_s=300.0)
RETURN_C = 53.0               # of the network: its consumers decide it
PUMP_TAU_S, SUPPLY_TAU_S = 8.0, 40.0


class Network:
    """A heat pump into a network: what it lifts is what the heat and the flow allow, up to its set-point."""

    def __init__(self, heat_w: float) -> None:
        self.heat_w, self.supply_c, self.flow_lpm = heat_w, 74.0, heat_w * 60 / (export.WATER_J_PER_L_K * 20)
        self.state, self.time_s = ExportState(), FIRST_S
        self.lost = False
        self.wanted: dict[int, float] = {SETPOINT: 75.0, FLOW: self.flow_lpm, ENABLE: 1.0}
        self.seen_c: list[float] = []

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            on = self.wanted[ENABLE]
            lift_c = on * self.heat_w * 60 / (self.flow_lpm * export.WATER_J_PER_L_K)
            goal_c = min(self.wanted[SETPOINT] + 10 * on, RETURN_C + lift_c)  # its own controller is coarse
            self.supply_c += (goal_c - self.supply_c) * 0.1 / SUPPLY_TAU_S
            self.flow_lpm += (self.wanted[FLOW] - self.flow_lpm) * 0.1 / PUMP_TAU_S
            now = self.time_s
            readings = {SUPPLY: bad() if self.lost else good(self.supply_c, now), HEAT: good(on * self.heat_w, now),
                        SETPOINT: good(self.wanted[SETPOINT], now), FLOW: good(self.flow_lpm, now)}
            self.state = export.held(SPEC, self.state, freeze(0, now, now, readings), 0.1, acts=True,
                                     others=frozenset())
            self.wanted = dict(export.wanted(SPEC, self.state))
            self.seen_c.append(self.supply_c)
            self.time_s += 0.1


def test_it_holds_its_band_through_a_load_swing() -> None:
    """A job doubles the heat within a minute and ends again: the flow follows, the supply stays in 70..90 degC."""
    network = Network(400e3)
    network.run(300)
    for goal_w in (1200e3, 400e3):
        step_w = (goal_w - network.heat_w) / 60
        for _ in range(60):
            network.heat_w += step_w
            network.run(1)
        network.run(400)
    assert min(network.seen_c) >= 70.0
    assert max(network.seen_c) <= 90.0
    assert network.state.on


def test_without_flow_control_the_same_swing_leaves_the_band() -> None:
    """The test above would prove nothing if the network held itself."""
    network = Network(1200e3)
    network.run(300)
    held_lpm = network.wanted[FLOW]
    network.heat_w = 400e3
    for _ in range(3000):
        lift_c = network.heat_w * 60 / (held_lpm * export.WATER_J_PER_L_K)
        network.supply_c += (min(85.0, RETURN_C + lift_c) - network.supply_c) * 0.1 / SUPPLY_TAU_S
    assert network.supply_c < 70.0


def test_what_cannot_be_held_is_switched_off_and_tried_again_ever_more_rarely() -> None:
    """Lukewarm water is no product; a valve that flaps every minute is no remedy."""
    network = Network(400e3)
    network.run(60)
    network.heat_w = 20e3                         # at the least flow that is a lift of 3 degC
    network.run(600)
    assert not network.state.on
    assert network.wanted[ENABLE] == 0.0
    assert network.wanted[FLOW] < SPEC.flow.high
    changes, before = [], False
    for i in range(4600):
        network.run(1)
        if network.state.on is not before:
            changes.append(i)
            before = network.state.on
    tries = changes[::2]
    gaps = [b - a for a, b in pairwise(tries)]
    assert gaps == sorted(gaps)
    assert gaps[-1] > 1.5 * gaps[0]


def test_it_comes_back_when_there_is_heat_again() -> None:
    """Off is no end: the try that holds is kept."""
    network = Network(20e3)
    network.run(600)
    assert not network.state.on
    network.heat_w = 800e3
    network.run(3000)
    assert network.state.on
    assert 70.0 <= network.supply_c <= 90.0


def test_a_supply_that_is_not_known_is_not_held() -> None:
    """Nobody may sell what nobody measures."""
    network = Network(800e3)
    network.lost = True
    network.run(119)
    assert network.state.on
    network.run(3)
    assert not network.state.on


def test_unknown_heat_leaves_the_flow_where_it_is() -> None:
    """A bad value is neither no heat nor the last one."""
    now = freeze(0, FIRST_S, FIRST_S, {SUPPLY: good(75.0, FIRST_S), HEAT: bad(), SETPOINT: good(75.0, FIRST_S),
                                       FLOW: good(700.0, FIRST_S)})
    state = ExportState()
    for _ in range(100):
        state = export.held(SPEC, state, now, 0.1, acts=True, others=frozenset())
    assert state.flow == 700.0
    assert not math.isnan(state.setpoint)


def test_without_an_enable_only_the_flow_is_left() -> None:
    """Some stations have no switch."""
    found = export.wanted(replace(SPEC, enable=None), ExportState(on=False, setpoint=75.0, flow=100.0))
    assert dict(found) == {SETPOINT: 75.0, FLOW: 100.0}
