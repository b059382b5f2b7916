"""What people and programs ask of cooling: gradually, within what is declared, and never past an interlock."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from desk_case import Room, facts, set_point
from msgspec.structs import replace

from pswd_edge.control.arbiter import arbitrate
from pswd_edge.control.coordination import Coordination
from pswd_edge.control.requests import decide
from pswd_edge.control.rules import export
from pswd_edge.control.rules.export import ExportState
from pswd_edge.control.rules.gradual import slower, toward
from pswd_edge.model.command import Accepted, Clamped, Failed, Level, Mode, PrepareCooling, Rejected
from pswd_edge.model.snapshot import freeze
from tests.control.test_heat_export import FLOW, HEAT, SETPOINT, SPEC, SUPPLY
from tests.control.virtual import FIRST_S, demo_site, good

SITE = demo_site()
AT = SITE.point_index
SUPPLY_POINT, FLOW_POINT = "cdu-1.supply_temperature_setpoint_c", "cdu-1.flow_setpoint_lpm"


def standing(values: dict[str, float]):
    by_point = {AT[name]: value for name, value in values.items()}
    return lambda point: by_point.get(point, float("nan"))


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    made = Room(tmp_path)
    await made.start()
    yield made
    await made.ledger.close()


def prepare(heat_w: float | None, cooler: str = "cdu-1", **changes: object) -> PrepareCooling:
    settings = {"id": "p-1", "origin": "dcpi:x", "role": "client", "issued_utc_s": facts().utc_s, "ttl_s": 300.0}
    return PrepareCooling(**{**settings, **changes}, cooler=cooler, heat_w=heat_w)


def judged(request, stands: dict[str, float] | None = None, **known: object):
    return decide(request, SITE, facts(standing=standing(stands or {}), **known), {}, Level.API)


# --- the rule -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("value", "goal", "most", "expected"), [
    (30.0, 27.0, 0.1, 29.9), (27.0, 30.0, 0.1, 27.1), (27.05, 27.0, 0.1, 27.0), (float("nan"), 27.0, 0.1, 27.0)])
def test_toward_goes_no_faster_than_it_may(value: float, goal: float, most: float, expected: float) -> None:
    """Up and down alike, and never past the goal; from an unknown place straight there."""
    assert toward(value, goal, most) == pytest.approx(expected)


@pytest.mark.parametrize(("asked", "declared", "expected"), [(0.0, 0.0, 0.0), (2.0, 0.0, 2.0), (0.0, 3.0, 3.0),
                                                             (2.0, 3.0, 2.0), (5.0, 3.0, 3.0)])
def test_the_slower_rate_counts(asked: float, declared: float, expected: float) -> None:
    """Nobody gets past the site's rate; everybody may be gentler."""
    assert slower(asked, declared) == expected


# --- what is answered -----------------------------------------------------------------------------------------

def test_the_declared_limits_are_told() -> None:
    """The demo's CDUs are declared for 25 to 32 degrees; the map would let 10 be written."""
    outcome = judged(set_point(20.0, SUPPLY_POINT), {SUPPLY_POINT: 25.0})
    assert isinstance(outcome, Clamped)
    assert (outcome.value, outcome.limit, outcome.eta_s) == (25.0, "thermal_limit", None)


def test_the_declared_rate_says_when_it_is_there() -> None:
    """Two degrees a minute: from 30 to 28 it takes one; a gentler wish takes longer, a quicker one does not help."""
    for ramp, eta_s in ((0.0, 60.0), (1 / 60, 120.0), (9.0, 60.0)):
        outcome = judged(set_point(28.0, SUPPLY_POINT, ramp_per_s=ramp), {SUPPLY_POINT: 30.0})
        assert isinstance(outcome, Clamped)
        assert (outcome.value, outcome.limit) == (28.0, "ramp")
        assert outcome.eta_s == pytest.approx(eta_s)


def test_a_point_without_a_declared_rate_goes_at_once() -> None:
    """Rack caps are as before."""
    assert isinstance(judged(set_point(5e6), {"rack-1.power_cap_w": 25e6}), Accepted)


@pytest.mark.parametrize("ramp", [-1.0, float("nan"), float("inf")])
async def test_a_ramp_that_is_none_is_refused(room: Room, ramp: float) -> None:
    """By control too, whatever the gateway lets through."""
    outcome = await room.ask(set_point(28.0, SUPPLY_POINT, ramp_per_s=ramp))
    assert isinstance(outcome, Rejected)
    assert outcome.code == "invalid"


def test_preparing_says_when_it_is_ready() -> None:
    """Half of 2.2 MW is half the way to ready, 28.5 degrees and 2800 L/min: 45 s at 2 degrees a minute."""
    outcome = judged(prepare(1.1e6), {SUPPLY_POINT: 30.0, FLOW_POINT: 2000.0})
    assert isinstance(outcome, Accepted)
    assert outcome.eta_s == pytest.approx(45.0)


@pytest.mark.parametrize(("heat_w", "seconds", "limit", "value"), [
    (5e6, 300.0, "cooler_rating", 2.2e6), (2.2e6, 30.0, "ramp", 2.2e6)])
def test_what_bounds_a_preparation_is_told(heat_w: float, seconds: float, limit: str, value: float) -> None:
    """More than the cooler carries, or sooner than its set-points can be there."""
    outcome = judged(prepare(heat_w, ttl_s=seconds), {SUPPLY_POINT: 30.0, FLOW_POINT: 2000.0})
    assert isinstance(outcome, Clamped)
    assert (outcome.limit, outcome.value) == (limit, value)


def test_preparing_what_is_not_led_is_refused() -> None:
    """An unknown cooler; one whose set-points nobody may lead yet."""
    assert judged(prepare(1e6, "chiller-1")).code == "not_found"
    barred = judged(prepare(1e6), barred=frozenset({AT[FLOW_POINT]}))
    assert isinstance(barred, Failed)
    assert barred.code == "not_commissioned"


# --- what is held ---------------------------------------------------------------------------------------------

async def test_a_held_set_point_goes_from_where_it_stands(room: Room) -> None:
    """Each cycle a step from what was wanted last: nothing is remembered that could run ahead of the device."""
    await room.ask(set_point(28.0, SUPPLY_POINT, ramp_per_s=0.02))
    wanted = 30.0
    for _ in range(10):
        room.desk.ease(0.1, lambda _: wanted)  # noqa: B023  # asked at once
        wanted = room.values()[0]
    assert wanted == pytest.approx(29.98)
    room.desk.ease(1000.0, lambda _: wanted)
    assert room.values() == [28.0]


async def test_a_preparation_lasts_as_long_as_it_was_asked_for(room: Room) -> None:
    """And through a restart; None ends it before."""
    await room.ask(prepare(1e6))
    assert room.desk.readiness.heat_w == {"cdu-1": 1e6}
    await room.restart(after_s=100.0)
    assert room.desk.readiness.heat_w == {"cdu-1": 1e6}
    assert room.later(201.0) == ["cooling of cdu-1 made ready by dcpi:x expired"]
    assert room.desk.readiness.heat_w == {}
    await room.ask(prepare(9e6, id="p-2"))
    assert room.desk.readiness.heat_w == {"cdu-1": 2.2e6}
    await room.ask(prepare(None, id="p-3", ttl_s=0.0))
    assert room.desk.readiness.heat_w == {}


# --- what the loop makes of it --------------------------------------------------------------------------------

class Hall:
    """The demo's thermal part over devices that show what they are told."""

    def __init__(self) -> None:
        self.coordination, self.time_s, self.return_c = Coordination(SITE), FIRST_S, 35.0
        self.found = {AT[SUPPLY_POINT]: 30.0, AT[FLOW_POINT]: 2000.0}
        self.wanted: dict[int, float] = {}

    def run(self, seconds: float, asked=(), **more) -> dict[str, float]:
        site = SITE
        for _ in range(round(seconds * 10)):
            readings = {c.power: good(1e6, self.time_s) for c in site.control.load_controllers}
            readings |= {p: good(v, self.time_s) for p, v in self.found.items()}
            readings[AT["cdu-1.return_temperature_c"]] = good(self.return_c, self.time_s)
            readings[AT["cdu-2.return_temperature_c"]] = good(35.0, self.time_s)
            now = freeze(0, self.time_s, self.time_s, readings)
            self.coordination.step(now, Mode.AUTO, (), asked, 0.1, reset=False, **more)
            candidates = [*asked, *self.coordination.candidates()]
            bounds = self.coordination.bounds()
            for point in (AT[SUPPLY_POINT], AT[FLOW_POINT]):
                self.verdict = arbitrate(point, candidates, bounds)
                self.found[point] = self.verdict.value
            self.time_s += 0.1
        return {SUPPLY_POINT: self.found[AT[SUPPLY_POINT]], FLOW_POINT: self.found[AT[FLOW_POINT]]}


def hold(value: float, point: str):
    from pswd_edge.control.arbiter import Candidate
    return Candidate(AT[point], value, Level.API, "api:x", 7)


def test_prepared_heat_leads_the_cooler_and_is_eased_back() -> None:
    """All of its rating asked for: ready after 90 s; taken back over five minutes."""
    hall = Hall()
    idle = hall.run(5)
    ready = hall.run(100, prepared_w={"cdu-1": 2.2e6})
    assert idle[SUPPLY_POINT] > 29.8
    assert ready == {SUPPLY_POINT: pytest.approx(27.0), FLOW_POINT: pytest.approx(3600.0)}
    assert hall.run(30)[SUPPLY_POINT] < 27.5
    assert hall.run(300)[SUPPLY_POINT] > 29.8


def test_nobody_keeps_cooling_back_while_an_interlock_acts() -> None:
    """Held warm and slow by the API; too hot for two seconds: the cooler goes to all it can, at its own rate."""
    hall = Hall()
    asked = (hold(32.0, SUPPLY_POINT), hold(1000.0, FLOW_POINT))
    hall.run(60, asked)
    assert hall.found[AT[SUPPLY_POINT]] == 32.0
    hall.return_c = 49.0
    first = hall.run(4, asked)
    assert hall.verdict.winner == "interlock:hall-a"
    assert 31.8 < first[SUPPLY_POINT] < 32.0
    last = hall.run(160, asked)
    assert last == {SUPPLY_POINT: pytest.approx(27.0), FLOW_POINT: pytest.approx(3600.0)}


def test_declared_limits_bind_whoever_asks() -> None:
    """Even a value that came past the desk."""
    hall = Hall()
    found = hall.run(1, (hold(10.0, SUPPLY_POINT), hold(9000.0, FLOW_POINT)))
    assert found == {SUPPLY_POINT: 25.0, FLOW_POINT: 4000.0}


# --- heat export ----------------------------------------------------------------------------------------------

def exported(state: ExportState, seconds: float, *, stopped: bool, supply_c: float) -> ExportState:
    for n in range(round(seconds * 10)):
        now = FIRST_S + n / 10
        readings = {SUPPLY: good(supply_c, now), HEAT: good(0.0, now), SETPOINT: good(75.0, now),
                    FLOW: good(100.0, now)}
        state = export.held(SPEC, state, freeze(0, now, now, readings), 0.1, acts=True, others=frozenset(),
                            stopped=stopped)
    return state


def test_what_somebody_switched_off_is_no_failure() -> None:
    """Its water cools down; that is no supply that could not be held, and no alarm."""
    assert exported(ExportState(), 300, stopped=True, supply_c=40.0).on
    assert not exported(ExportState(), 300, stopped=False, supply_c=40.0).on


def test_nobody_switches_on_what_cannot_be_held() -> None:
    """The law has it off for its rest; a hold at "on" from before is bound to off."""
    coordination = Coordination(SITE)
    assert coordination.state is not None
    off = coordination.state.exports[0]._replace(on=False)
    coordination.state = coordination.state._replace(exports=(off,))
    coordination.step(freeze(0, FIRST_S, FIRST_S, {}), Mode.AUTO, (), [hold(1.0, "hx-1.enable")], 0.1, reset=False)
    found = arbitrate(AT["hx-1.enable"], [hold(1.0, "hx-1.enable"), *coordination.candidates()],
                      coordination.bounds())
    assert (found.value, found.limit) == (0.0, "thermal_limit")


def test_a_set_point_that_somebody_else_holds_is_what_the_flow_works_for() -> None:
    """At 85 degrees asked and there, the flow has nothing to cool: it is what the heat needs."""
    spec = replace(SPEC)
    readings = {SUPPLY: good(85.0, FIRST_S), HEAT: good(1e6, FIRST_S), SETPOINT: good(85.0, FIRST_S),
                FLOW: good(700.0, FIRST_S)}
    state = export.held(spec, ExportState(setpoint=85.0, flow=739.0), freeze(0, FIRST_S, FIRST_S, readings), 0.1,
                        acts=True, others=frozenset({SETPOINT}))
    assert state.flow == pytest.approx(1e6 * 60 / (export.WATER_J_PER_L_K * SPEC.fall_c), abs=0.2)
