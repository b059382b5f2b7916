"""P7: no command outside limits, for any sequence of requests, modes, limits and faults; from desk to verdict."""

import asyncio
import math

from desk_case import SITE, SPEC, announce, facts, limit_request, order, set_mode, set_point, target
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from virtual import FIRST_S, MW, bad, good

from pswd_edge.clock import FakeClock
from pswd_edge.control.arbiter import Verdict
from pswd_edge.control.desk import Desk
from pswd_edge.control.limits import ordered, span_of
from pswd_edge.control.rules import law
from pswd_edge.control.setpoints import Setpoints
from pswd_edge.model.command import Level, Mode, Outcome, Request, SetBatteryTarget
from pswd_edge.model.snapshot import Reading, Snapshot, freeze

NAMES = ("import_limit_w", "export_limit_w", "ramp_limit_w_per_min", "load_ceiling_w", "load_floor_w")
WILD = st.one_of(st.floats(-1e12, 1e12), st.sampled_from([0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324]))
TAME = st.integers(-120, 120).map(lambda mw: mw * MW)
POWERS = st.one_of(TAME, TAME, TAME, WILD)
HELD = st.one_of(st.none(), POWERS)
TTLS = st.sampled_from([30.0, 60.0, 900.0, 0.0, -1.0])
CAPS = [*(SITE.points[c.cap].id for c in SPEC.load_controllers), SPEC.batteries[0].id + ".power_setpoint_w"]
LEVELS = st.sampled_from([Level.OPERATOR, Level.API])
JOBS = st.sampled_from(["a", "b"])
LOOSENED = st.tuples(st.sampled_from(NAMES), st.sampled_from([-1.0, 0.0, 0.1, 0.3, 0.6, 0.9, 1.0, 2.0]))
POINTS = st.builds(lambda v, p, t: set_point(v, p, ttl_s=t), HELD, st.sampled_from(CAPS), TTLS)
TARGETS = st.builds(lambda v, r, t: target(v, r, ttl_s=t), HELD, st.sampled_from([0.0, 0.0, 1e5, 1e7, -1.0]), TTLS)
LIMITS = st.builds(lambda f, e: limit_request(f[0], f[1] * getattr(SPEC, f[0]), e and f[0] == "import_limit_w"),
                   LOOSENED.filter(lambda f: math.isfinite(getattr(SPEC, f[0]))), st.booleans())
WILD_LIMITS = st.builds(limit_request, st.sampled_from(NAMES), HELD)
JOB_STARTS = st.builds(lambda n, p: announce(n, workload={"peak_w": p}), JOBS, POWERS.map(abs))
JOB_ORDERS = st.builds(lambda a, n, v: order(a, n, target_w=v),
                       st.sampled_from(["throttle", "pause", "resume", "terminate"]), JOBS, POWERS.map(abs))
REQUESTS = st.one_of(POINTS, TARGETS, LIMITS, WILD_LIMITS, JOB_STARTS, JOB_ORDERS)
MODES = st.sampled_from([Mode.AUTO, Mode.AUTO, Mode.MANUAL, Mode.SAFE, Mode.OBSERVE])
ORDERS = st.tuples(st.builds(lambda m: set_mode(m, ttl_s=0.0), MODES), LEVELS)
EVENTS = st.lists(st.one_of(
    st.tuples(REQUESTS, LEVELS), st.tuples(REQUESTS, LEVELS), ORDERS, st.floats(0, 120 * MW),
    st.sampled_from(["lose", "find", "blind", "see", "empty", "full", "wait"])), min_size=15, max_size=30)


class Paper:
    """A ledger that keeps nothing: what is asked here is never repeated."""

    async def append(self, entry: object) -> None:
        pass

    async def find(self, request_id: str) -> Outcome | None:
        return None

    def note(self, body: object) -> None:
        pass


class Campus:
    """The demo's site with exact actuation: desk, limits, law and arbiter as the cycle joins them."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.desk = Desk(SITE, Paper(), self.clock, self.facts)
        self.state, self.setpoints, self.mode = law.start(SPEC), Setpoints(SITE), Mode.OBSERVE
        self.load_w, self.soc_percent, self.time_s, self.number = 40 * MW, 50.0, FIRST_S, 0
        self.lost = self.blind = False
        self.power_w = dict.fromkeys((b.id for b in SPEC.batteries), 0.0)
        self.decision: law.Decision | None = None

    def facts(self) -> object:
        fleet = None if self.decision is None else self.decision.fleet
        known = {} if fleet is None else {"discharge_available_w": fleet.discharge_available_w,
                                          "charge_available_w": fleet.charge_available_w}
        return facts(utc_s=self.clock.utc_s(), mode=self.mode, **known)

    def snapshot(self) -> Snapshot:
        now, spec = self.time_s, SPEC
        meters: dict[int, Reading] = {m.point: good(0.0, now) for m in spec.load_meters}
        meters[spec.load_meters[0].point] = good(self.load_w, now)
        meters[spec.grid_power.point] = good(self.load_w - sum(self.power_w.values()), now)
        if self.blind:
            meters = dict.fromkeys(meters, bad())
        for i, b in enumerate(spec.batteries):
            gone = self.lost and i == 0
            meters[b.soc.point] = bad() if gone else good(self.soc_percent, now)
            meters[b.power.point] = meters[b.setpoint] = good(self.power_w[b.id], now)
            if b.state is not None:
                meters[b.state] = good(float((b.available_states or (0,))[0]), now)
            for limit, rating_w in ((b.charge_limit, b.charge_rating_w), (b.discharge_limit, b.discharge_rating_w)):
                if limit is not None:
                    meters[limit] = good(rating_w, now)
        return freeze(self.number, now, now, meters | {t.power: good(5 * MW, now) for t in spec.tiers})

    def ask(self, request: Request, level: Level) -> None:
        asyncio.run(self.desk.handle(replace(request, issued_utc_s=self.clock.utc_s()), level))

    def event(self, event: object) -> None:
        if isinstance(event, tuple):
            self.ask(*event)
        elif isinstance(event, float):
            self.load_w = event
        elif event in ("lose", "find"):
            self.lost = event == "lose"
        elif event in ("blind", "see"):
            self.blind = event == "blind"
        elif event in ("empty", "full"):
            self.soc_percent = 10.0 if event == "empty" else 90.0
        else:
            self.time_s += 100.0
            self.clock.advance(100.0)

    def cycle(self) -> list[Verdict]:
        self.number += 1
        self.desk.expire(self.clock.monotonic_s())
        self.desk.ease(0.1, lambda _: math.nan)
        self.mode, self.desk.mode_wanted = self.desk.mode_wanted or self.mode, None
        held, snapshot = self.desk.target, self.snapshot()
        request = held.request if held is not None else None
        power = request.power_w if isinstance(request, SetBatteryTarget) else None
        orders = law.Orders(self.mode, self.desk.ceiling_w(law.range_of(SPEC, SPEC.load_ceiling_w)))
        orders = orders._replace(manual_w=power) if self.mode is Mode.MANUAL else orders._replace(target_w=power)
        floor = self.desk.tightest.get("load_floor_w")
        orders = ordered(orders, self.desk.tightest)._replace(floor_w=None if floor is None else floor.value)
        self.state, self.decision = law.cycle(SPEC, self.state, snapshot, orders, 0.1)
        verdicts = self.setpoints.compose(self.decision, self.state, snapshot, self.mode, self.desk.candidates(),
                                          self.desk.bounds())
        if self.decision.acts:
            self.power_w = {b.id: self.decision.shares.get(b.id, 0.0) for b in SPEC.batteries}
        self.time_s += 0.1
        self.clock.advance(0.1)
        return verdicts


def check(campus: Campus, verdicts: list[Verdict]) -> None:
    """Every write within its map's range and the batteries' own, and nothing of anybody in OBSERVE."""
    decision, grid = campus.decision, campus.decision.grid
    batteries = {b.setpoint: f for b, f in zip(SPEC.batteries, decision.fleet.batteries, strict=True)}
    for v in verdicts:
        if v.value is None:
            continue
        rule = SITE.points[v.point].write
        assert math.isfinite(v.value), v
        assert rule.minimum <= v.value <= rule.maximum, v
        if campus.mode is Mode.OBSERVE:
            assert v.winner == "adopted", v
        elif v.point in batteries:
            able = batteries[v.point]
            assert v.winner == "law", v
            assert -able.charge_available_w <= v.value <= able.discharge_available_w, v
    assert math.isfinite(decision.battery_w)
    assert grid.import_w <= SPEC.import_limit_w
    assert grid.export_w <= SPEC.export_limit_w
    assert 0 < grid.ramp_w_per_min <= SPEC.ramp_limit_w_per_min
    assert SPEC.load_floor_w <= decision.limits.floor_w
    assert all(span_of(SPEC, h.name).least <= h.value <= span_of(SPEC, h.name).most
               for h in campus.desk.limits.values())


@settings(max_examples=50, deadline=None)
@given(EVENTS)
def test_no_sequence_of_requests_modes_limits_and_faults_commands_beyond_a_limit(events: list[object]) -> None:
    """Numbers from nowhere included: NaN, infinities, a thousand gigawatts, times that are none."""
    campus = Campus()
    campus.ask(set_mode(Mode.AUTO, ttl_s=0.0), Level.OPERATOR)
    for event in [*events, "wait"]:
        campus.event(event)
        for _ in range(3):
            check(campus, campus.cycle())
