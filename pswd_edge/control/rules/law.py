"""One cycle of the control law: estimate, reference, batteries, tiers."""

import math

from pswd_edge.control.rules import (
    branch_limits,
    budget,
    circuits,
    deficit,
    delay,
    droop,
    energy,
    expected,
    feed,
    following,
    lasting,
    missed,
    relief,
    surplus,
)
from pswd_edge.control.rules.allocate import DOES_NOT_FOLLOW, Fleet, balanced, fleet_of, judge, share
from pswd_edge.control.rules.degraded import Facts, Policy, policy
from pswd_edge.control.rules.derate import ups_on_battery, ups_unknown
from pswd_edge.control.rules.estimate import Estimate, estimate
from pswd_edge.control.rules.flexibility import of_site
from pswd_edge.control.rules.following import Following
from pswd_edge.control.rules.measured import SLOW_MAX_AGE_S, measured, power_w
from pswd_edge.control.rules.reference import INSUFFICIENT, Aim, Reference, Step, step, track
from pswd_edge.control.rules.remembered import observed
from pswd_edge.control.rules.reserve import Range
from pswd_edge.control.rules.shed import Need, ShedState, covered_w, decide
from pswd_edge.control.rules.terms import Decision, Grid, LawState, Orders, grid_of, range_of, sound, start
from pswd_edge.control.rules.tune import too_slow, tune
from pswd_edge.model.command import Mode
from pswd_edge.model.control import ControlSpec
from pswd_edge.model.snapshot import Snapshot
from pswd_edge.model.tuning import Tuning

__all__ = ["Decision", "Grid", "LawState", "Orders", "cycle", "range_of", "start"]

REMEMBER_S = 5.0              # so long the reference outlives a load that is not known
HOLD_S = 1.0                  # with no load estimate: hold the batteries for this long, then let them go to zero
DT_SHORTEST, DT_LONGEST = 0.5, 3.0  # times the period: what a cycle may believe of its own dt
BUDGET_SHARE = 0.95           # of the inner ramp: what the two windows may hold; the rest is for errors to come
TOLD_SHARE = 0.99             # the same where changes of the load are firm: what is to come has been told
_TINY_W = 1.0


def cycle(
    spec: ControlSpec, state: LawState, snapshot: Snapshot, orders: Orders, dt_s: float
) -> tuple[LawState, Decision]:
    """One cycle: the next state, and what to do."""
    period = spec.period_ms / 1000
    dt_s = min(max(dt_s, DT_SHORTEST * period), DT_LONGEST * period)
    orders = sound(spec, orders)
    found, memory = estimate(spec, snapshot, state.memory)
    on_battery = ups_on_battery(spec, snapshot)
    fleet, state = _fleet(spec, state._replace(memory=memory), snapshot, orders, period, dt_s, charges=not on_battery)
    grid = grid_of(spec, orders)
    nameplate_w = sum(b.discharge_rating_w for b in spec.batteries)  # what a BMS allows now may be next to nothing
    late = delay.compared(state.delay, found.moment_s, found.battery_w, nameplate_w, dt_s)
    state = state._replace(delay=delay.aged(late, snapshot.time_s - found.moment_s, dt_s),
                           droop=droop.heard(spec.droop, state.droop, snapshot.read(spec.frequency), dt_s))
    measured_s = delay.total_s(state.delay)
    tuning = tune(spec, grid.ramp_w_per_min, measured_s)
    limits = range_of(spec, orders.ceiling_w, tuning, orders.floor_w)
    if orders.expected:
        tuning = expected.quicker(tuning, spec, limits, orders.expected, grid.ramp_w_per_min)
        limits = range_of(spec, orders.ceiling_w, tuning, orders.floor_w)
    fleet = balanced(fleet, limits, limits.floor_w if state.reference is None else state.reference.reference_w)
    facts = _facts(spec, state, found, fleet, orders, too_slow=too_slow(tuning, grid.ramp_w_per_min),
                   on_battery=on_battery)._replace(ups_unknown=ups_unknown(spec, snapshot))
    allowed = policy(facts)
    if allowed.released:
        return _blind(spec, state, snapshot, found, fleet, limits, orders, allowed, dt_s, tuning, grid)
    state = _from_what_is(spec, state, found) if state.reference is None else state._replace(blind_s=0.0)
    state = _observed(spec, state, found, tuning, measured_s or tuning.delay_s, dt_s)
    assert state.feed is not None
    fed = expected.stepped(state.feed, limits, orders.expected, found.load_w, snapshot.time_s)
    limits, state = expected.shifted(limits, orders.expected, fed.filtered_w, snapshot.time_s), state._replace(feed=fed)
    return _led(spec, state, snapshot, orders, dt_s, found, fleet, limits, tuning, grid, facts, allowed)


def _fleet(spec: ControlSpec, state: LawState, snapshot: Snapshot, orders: Orders, period_s: float,
           dt_s: float, *, charges: bool) -> tuple[Fleet, LawState]:
    """What the batteries can do, those that do not follow left out."""
    found = tuple(
        following.judged(f, power_w(b, snapshot.read(b.power.point)), b.discharge_rating_w, period_s, dt_s)
        for b, f in zip(spec.batteries, state.following, strict=True))
    held = tuple(energy.counted(b, h, snapshot, period_s, dt_s) for b, h in zip(
        spec.batteries, state.energy or (energy.Held(),) * len(spec.batteries), strict=True))
    judged = [
        judge(b, snapshot, period_s, h, barred=b.setpoint in orders.barred,
              strays=following.why(f) or (DOES_NOT_FOLLOW if b.setpoint in orders.refused else ""), charges=charges)
        for b, f, h in zip(spec.batteries, found, held, strict=True)]
    branches = circuits.looked(spec, state.circuits, snapshot, state.memory, judged) if spec.branches else ()
    fleet = fleet_of(branch_limits.narrowed(spec, branches, judged) if branches else judged)
    found = tuple(following.left_out(f, dt_s, usable=b.usable) for f, b in zip(found, fleet.batteries, strict=True))
    return fleet, state._replace(following=found, energy=held, circuits=branches)


def _told(spec: ControlSpec, state: LawState, shares: dict[str, float], acts: bool) -> tuple[Following, ...]:
    """What each battery is to follow from now on."""
    return tuple(following.commanded(f, shares.get(b.id, 0.0), spec.period_ms / 1000, acts=acts)
                 for b, f in zip(spec.batteries, state.following, strict=True))


def _led(spec: ControlSpec, state: LawState, snapshot: Snapshot, orders: Orders, dt_s: float, found: Estimate,
         fleet: Fleet, limits: Range, tuning: Tuning, grid: Grid, facts: Facts,
         allowed: Policy) -> tuple[LawState, Decision]:
    """With a known load: reference, batteries, tiers."""
    assert state.reference is not None  # made before, or now
    assert state.feed is not None
    fed, stray = state.feed, following.stray_w(state.following, [b.power_w for b in fleet.batteries])
    held = droop.held(spec.droop, state.droop, fleet, limits)
    droop_w = droop.wanted_w(spec.droop, state.droop, limits, dt_s, acts=orders.mode is Mode.AUTO)
    followed_w = min(fed.followed_w, found.load_w + grid.export_w + state.reference.reference_w)
    aim = _aim(spec, state, orders, tuning, grid, restores=allowed.restores and droop_w == 0)._replace(
        stray_w=stray - droop.fed_w(spec.droop, droop_w), below_w=droop.led_w(spec.droop, droop_w))
    made = step(state.reference, fed.filtered_w, followed_w, held, limits, aim, dt_s)
    droop_w, with_droop_w = droop.beside(spec.droop, droop_w, made.battery_w, *_bounds(fed, found, fleet, grid))
    made, stray = made._replace(battery_w=with_droop_w), stray - droop.fed_w(spec.droop, droop_w)
    before_w = state.reference.reference_w
    expected_w = before_w - state.missed_w  # tracking must not make a deficit forgotten
    state = state._replace(shed=lasting.remembered(spec, state.shed, fed.filtered_w, snapshot.time_s, dt_s))
    lasts_w = lasting.lasting_w(spec, state.shed, fed.filtered_w, snapshot.time_s)
    need = deficit.found(spec, fed.filtered_w, expected_w, fleet, limits, grid.import_w, lasts_w)
    wanted_w, binding = _wanted(state, made, limits, orders, found, grid, dt_s)
    battery_w, binding = _given(wanted_w, binding, fleet, orders, found, grid)
    shed, state = _shed(spec, state, snapshot, need, fleet, allowed, orders, dt_s)
    shares = share(battery_w, fleet)
    absorbed = _absorbed(spec, state, snapshot, need, orders, dt_s, tuning)
    seen_w = battery_w + covered_w(spec, shed, made.battery_w - battery_w, snapshot.time_s) - surplus.covered_w(
        spec, absorbed, battery_w - made.battery_w, snapshot.time_s)
    lost_w = missed.missed_w(_toward(state.missed_w, 0.0, limits, dt_s), wanted_w, battery_w, seen_w,
                             made.state.reference_w - before_w)
    reference = made.state if abs(seen_w - made.battery_w) < _TINY_W else track(made.state, seen_w, stray)
    taken_w = sum(t.shed_w for t in shed.tiers if t.engaged)
    after = state._replace(reference=reference, shed=shed, absorbed=absorbed, battery_w=battery_w, missed_w=lost_w,
                           shed_wh=state.shed_wh + taken_w * dt_s / 3600,
                           following=_told(spec, state, shares, orders.mode is not Mode.OBSERVE),
                           droop=droop.given(spec.droop, state.droop, droop_w, limits, spec.energy_time_s, dt_s),
                           delay=delay.unled(state.delay) if orders.mode is Mode.OBSERVE
                           else delay.commanded(state.delay, snapshot.time_s, battery_w))
    if made.binding == INSUFFICIENT:
        allowed = policy(facts._replace(insufficient=True))
    return after, Decision(found, held, limits, made, need, battery_w, shares,
                           orders.mode is not Mode.OBSERVE, binding, allowed.names, tuning, grid, allowed.starts,
                           droop.told_w(spec.droop, droop_w))


def _bounds(fed: feed.Feed, found: Estimate, fleet: Fleet, grid: Grid) -> tuple[float, float]:
    """The lowest and highest power that the batteries may give together."""
    return (max(-fleet.charge_available_w, max(fed.filtered_w, found.load_w) - grid.import_w),
            min(fleet.discharge_available_w, max(0.0, found.load_w + grid.export_w)))


def _observed(
    spec: ControlSpec, state: LawState, found: Estimate, tuning: Tuning, delay_s: float, dt_s: float
) -> LawState:
    """What the load is to be followed of, and what the grid has spent of its ramp."""
    assert state.reference is not None
    assert state.feed is not None
    grid_w = found.load_w - found.battery_w if math.isnan(found.grid_w) else found.grid_w
    grid_w += droop.shown_w(spec.droop, state.droop, delay_s, spec.period_ms / 1000)
    made = feed.FeedSpec(tuning.filter_hz, delay_s, spec.period_ms / 1000, spec.load_maximum_w - spec.load_floor_w,
                         tuning.peak_gain, spec.predicts, spec.swing_least_w)
    fed = feed.fed(made, state.feed, found.load_w, grid_w - state.reference.reference_w, dt_s)
    if state.budget is None:
        return state._replace(feed=fed)
    if math.isnan(grid_w):
        grid_w = state.reference.reference_w  # the best guess: the windows must not stand still
    return state._replace(feed=fed, budget=budget.observed(state.budget, grid_w, dt_s))


def _facts(spec: ControlSpec, state: LawState, found: Estimate, fleet: Fleet, orders: Orders, *, too_slow: bool,
           on_battery: bool) -> Facts:
    """What the table of degraded modes is asked with."""
    led = [(b, f.why) for b, f in zip(spec.batteries, fleet.batteries, strict=True) if b.setpoint not in orders.barred]
    mine = (*(b.setpoint for b in spec.batteries), *(t.setpoint for t in spec.tiers),
            *(a.setpoint for a in spec.absorbers))
    return Facts(
        found.degraded[0] if found.degraded else "", found.source, found.outvoted, found.load_meters_known,
        tuple((b.id, why) for b, why in led), tuple(b.id for b, _ in led if b.setpoint in orders.refused),
        tuple(b.id for b, h in zip(spec.batteries, state.energy, strict=True) if h.uncertain_s > 0),
        not_commissioned=bool(orders.barred.intersection(mine)), too_slow=too_slow, ups_on_battery=on_battery,
        silent=orders.silent,
        frequency_unknown=droop.is_unknown(spec.droop, state.droop),
        circuits_over=circuits.overloaded(spec, state.circuits),
        circuits_unknown=circuits.unknown(spec, state.circuits))


def _from_what_is(spec: ControlSpec, state: LawState, found: Estimate) -> LawState:
    """Take over without a bump, at the start and after blindness.

    From then on the reference tracks what the batteries do, whoever leads them, so that any change of mode finds it
    where the grid is: filtered, because a swing of the load must not become the grid's new mean.
    """
    battery_w = _known_battery(state, found)
    grid_w = found.load_w - battery_w + droop.fed_w(spec.droop, state.droop.power_w)
    return state._replace(reference=Reference(found.load_w, found.load_w, grid_w), battery_w=battery_w,
                          feed=feed.begun(found.load_w), blind_s=0.0,
                          budget=state.budget or budget.begun(grid_w, spec.period_ms / 1000))


def _known_battery(state: LawState, found: Estimate) -> float:
    """What the batteries give: as measured, as last commanded where that is not known."""
    return state.battery_w if math.isnan(found.battery_w) else found.battery_w


def _aim(spec: ControlSpec, state: LawState, orders: Orders, tuning: Tuning, grid: Grid, *, restores: bool) -> Aim:
    assert state.feed is not None
    restore = spec.energy_power_share * spec.load_maximum_w if restores else 0.0
    target = None if orders.target_w is None else state.feed.filtered_w - orders.target_w
    part = TOLD_SHARE if orders.expected and all(s.firm for s in orders.expected) else BUDGET_SHARE
    spent = (-math.inf, math.inf) if state.budget is None else budget.bounds_w(
        state.budget, part * tuning.up_w_per_s * 60, part * tuning.down_w_per_s * 60)
    return Aim(grid.import_w, restore, spec.target_time_s, spec.energy_time_s, target, orders.target_ramp_w_per_s,
               orders.hint_w, spent, emergency=grid.emergency,
               withheld_w=relief.withheld_w(spec, state.circuits, state.shed) - surplus.added_w(state.absorbed))


def _wanted(state: LawState, made: Step, limits: Range, orders: Orders, found: Estimate, grid: Grid,
            dt_s: float) -> tuple[float, str]:
    """What the mode wants of the batteries together, and what bound that."""
    if orders.mode is Mode.OBSERVE:
        return _known_battery(state, found), "observe"
    assert state.feed is not None
    above_limit_w = state.feed.filtered_w - grid.import_w
    if orders.mode is Mode.SAFE:
        return max(_toward(state.battery_w, 0.0, limits, dt_s), min(state.battery_w, above_limit_w)), "safe"
    if orders.mode is Mode.MANUAL and orders.manual_w is not None:
        ramped_w = _toward(state.battery_w, max(orders.manual_w, above_limit_w), limits, dt_s)
        return max(ramped_w, above_limit_w) if grid.emergency else ramped_w, "manual"
    return made.battery_w, made.binding


def _given(wanted: float, binding: str, fleet: Fleet, orders: Orders, found: Estimate,
           grid: Grid) -> tuple[float, str]:
    """What the batteries can give of it, and may without export above its limit; in OBSERVE they are left alone."""
    if orders.mode is Mode.OBSERVE:
        return wanted, binding
    most = max(0.0, found.load_w + grid.export_w)
    if wanted > most:
        wanted, binding = most, "export"
    given = min(max(wanted, -fleet.charge_available_w), fleet.discharge_available_w)
    return given, binding if abs(given - wanted) < _TINY_W else "battery"


def _toward(now_w: float, goal_w: float, limits: Range, dt_s: float) -> float:
    """One ramp step of the battery; less discharge raises the grid's power, so the up limit holds there."""
    return min(max(goal_w, now_w - limits.up_w_per_s * dt_s), now_w + limits.down_w_per_s * dt_s)


def _shed(spec: ControlSpec, state: LawState, snapshot: Snapshot, need: Need | None, fleet: Fleet, allowed: Policy,
          orders: Orders, dt_s: float) -> tuple[ShedState, LawState]:
    """The tiers, and what is remembered of circuits; with no `need` known only circuits shed."""
    if orders.mode is Mode.OBSERVE:
        return observed(spec, state.shed, snapshot), state
    powers = [math.nan if t.setpoint in orders.barred and not known.engaged  # not to be engaged, as if not measured
              else measured(snapshot.read(t.power), SLOW_MAX_AGE_S)
              for t, known in zip(spec.tiers, state.shed.tiers, strict=True)]
    trusted = allowed.gives_back and orders.mode is not Mode.SAFE
    may, shed = orders.flexible, state.shed
    if spec.branches:
        may = relief.roomed(spec, state.circuits, shed, may or of_site(spec))
    if need is not None:
        shed = decide(spec, shed, need.deficit_w, powers, trusted, snapshot.time_s, dt_s, need.early_w, may)
    if not may or not spec.branches:
        return shed, state
    branches, shed = relief.relieved(spec, state.circuits, shed, fleet.batteries, snapshot, powers, may,
                                     trusted=trusted)
    return shed, state._replace(circuits=branches)


def _absorbed(spec: ControlSpec, state: LawState, snapshot: Snapshot, need: Need, orders: Orders, dt_s: float,
              tuning: Tuning) -> surplus.SurplusState:
    powers = [math.nan if a.setpoint in orders.barred else measured(snapshot.read(a.power), SLOW_MAX_AGE_S)
              for a in spec.absorbers]
    if orders.mode is Mode.OBSERVE:
        return surplus.observed(spec, powers, snapshot.time_s)
    return surplus.decide(spec, state.absorbed, -need.room_w, powers, snapshot.time_s, dt_s, tuning.down_w_per_s)


def _forgetful(state: LawState, battery_w: float, droop_w: float, dt_s: float) -> LawState:
    """For a while the reference is remembered, moved by what the batteries did, as if the load had stood still.

    What they do more for droop than before, `droop_w`, moves the grid and not the reference.
    A step that came meanwhile is then taken off the grid again at once: seconds of it in the grid's mean are little
    against a step that stays. Later the grid is used to what it has, and the law begins from there without a bump.
    """
    if state.reference is None or state.blind_s >= REMEMBER_S:
        return state._replace(reference=None, feed=None, budget=None)
    reference_w = state.reference.reference_w + state.battery_w - battery_w + droop_w
    spent = state.budget and budget.observed(state.budget, reference_w, dt_s)
    return state._replace(reference=state.reference._replace(reference_w=reference_w), budget=spent)


def _blind(spec: ControlSpec, state: LawState, snapshot: Snapshot, found: Estimate, fleet: Fleet, limits: Range,
           orders: Orders, allowed: Policy, dt_s: float, tuning: Tuning, grid: Grid) -> tuple[LawState, Decision]:
    """No load is known: hold the batteries for a second, then let them go to zero at the ramp limit; shed nothing."""
    acts = orders.mode is not Mode.OBSERVE
    blind_s = state.blind_s + dt_s  # in OBSERVE too: who takes over then must not find a reference of an hour ago
    battery_w = state.battery_w if acts else _known_battery(state, found)
    if acts and blind_s > HOLD_S:
        battery_w = _toward(battery_w, 0.0, limits, dt_s)
    if acts:
        battery_w = min(max(battery_w, -fleet.charge_available_w), fleet.discharge_available_w)
    shares, (shed, state) = share(battery_w, fleet), _shed(spec, state, snapshot, None, fleet, allowed, orders, dt_s)
    before_w = state.droop.power_w
    droop_w = before_w if acts and blind_s <= HOLD_S else droop.faded_w(before_w, limits, dt_s)
    after = _forgetful(state, battery_w, droop.fed_w(spec.droop, droop_w - before_w), dt_s)._replace(
        battery_w=battery_w, missed_w=0.0, blind_s=blind_s, delay=delay.unled(state.delay),
        droop=droop.given(spec.droop, state.droop, droop_w, limits, spec.energy_time_s, dt_s),
        following=_told(spec, state, shares, acts), shed=shed._replace(short_cycles=0, calm_since_s=math.inf),
        absorbed=state.absorbed._replace(cycles=0, unmet_w=0.0))
    return after, Decision(found, fleet, limits, None, Need(0.0, 0.0), battery_w, shares,
                           acts, "blind", allowed.names, tuning, grid, allowed.starts,
                           droop.told_w(spec.droop, droop_w))
