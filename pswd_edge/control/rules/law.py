"""One cycle of the control law: estimate, reference, batteries, tiers."""

import math
from typing import NamedTuple

from pswd_edge.control.rules.allocate import Fleet, fleet_of, judge, share
from pswd_edge.control.rules.estimate import Estimate, Memory, estimate
from pswd_edge.control.rules.measured import measured
from pswd_edge.control.rules.reference import INSUFFICIENT, Aim, Reference, Step, step, track
from pswd_edge.control.rules.reserve import Range
from pswd_edge.control.rules.shed import Need, ShedState, TierState, decide, needs, warning_s
from pswd_edge.model.command import Mode
from pswd_edge.model.control import ControlSpec
from pswd_edge.model.snapshot import Snapshot

HOLD_S = 1.0                  # with no load estimate: hold the batteries for this long, then let them go to zero
DT_SHORTEST, DT_LONGEST = 0.5, 3.0  # times the period: what a cycle may believe of its own dt
TIER_MAX_AGE_S = 10.0         # PDUs are polled slowly
_TINY_W = 1.0


class LawState(NamedTuple):
    """What the law remembers.

    `reference` is None until a first estimate; `battery_w` is the last command, `missed_w` how far the
    reference was pulled off its ramp where the batteries could not give what was wanted; it fades at the ramp.
    """

    memory: Memory
    reference: Reference | None
    shed: ShedState
    battery_w: float = 0.0
    missed_w: float = 0.0
    blind_s: float = 0.0
    shed_wh: float = 0.0


class Orders(NamedTuple):
    """What people and programs want of the law in this cycle.

    `target_w`: lead the batteries to this power (discharge positive), None for automatic; `manual_w` is the
    operator's battery power in MANUAL; `ceiling_w` is the upper end of the guaranteed load range. `barred` are the
    actuated points that may not be led, as they were not commissioned.
    """

    mode: Mode
    ceiling_w: float
    target_w: float | None = None
    target_ramp_w_per_s: float | None = None
    manual_w: float | None = None
    barred: frozenset[int] = frozenset()


class Decision(NamedTuple):
    """What one cycle decided, with everything that explains it.

    `battery_w` is the total command, `shares` by battery id; both only where `acts`. `step` is None without an
    estimate. `binding` adds "battery", "manual", "safe", "blind" to the bindings of the reference.
    """

    estimate: Estimate
    fleet: Fleet
    limits: Range
    step: Step | None
    need: Need
    battery_w: float
    shares: dict[str, float]
    acts: bool
    binding: str
    degraded: tuple[str, ...]


def start(spec: ControlSpec) -> LawState:
    """The state before the first cycle."""
    return LawState(Memory(), None, ShedState(tuple(TierState() for _ in spec.tiers)))


def range_of(spec: ControlSpec, ceiling_w: float) -> Range:
    """The constants of the reserves for a guaranteed range that ends at `ceiling_w`."""
    age = max((b.soc_age_s for b in spec.batteries), default=1.0)
    charge = max((b.charge_efficiency for b in spec.batteries), default=1.0)
    discharge = min((b.discharge_efficiency for b in spec.batteries), default=1.0)
    return Range(spec.load_floor_w, max(ceiling_w, spec.load_floor_w + _TINY_W), spec.period_ms / 1000,
                 spec.ramp_up_w_per_s, spec.ramp_down_w_per_s, age, charge, discharge)


def cycle(
    spec: ControlSpec, state: LawState, snapshot: Snapshot, orders: Orders, dt_s: float
) -> tuple[LawState, Decision]:
    """One cycle: the next state, and what to do."""
    period = spec.period_ms / 1000
    dt_s = min(max(dt_s, DT_SHORTEST * period), DT_LONGEST * period)
    found, memory = estimate(spec, snapshot, state.memory)
    fleet = fleet_of([judge(b, snapshot, period, barred=b.setpoint in orders.barred) for b in spec.batteries])
    limits = range_of(spec, orders.ceiling_w)
    state = state._replace(memory=memory)
    lost = _left_out(spec, fleet, orders)
    if found.source == "none":
        return _blind(state, found, fleet, limits, orders, lost, dt_s)
    state = state._replace(blind_s=0.0)
    if state.reference is None:
        state = _from_what_is(state, found)
    assert state.reference is not None  # made now, if not before
    aim = _aim(spec, state.reference, found, orders)
    made = step(state.reference, found.load_w, fleet, limits, aim, spec.filter_hz, dt_s)
    expected_w = state.reference.reference_w - state.missed_w  # tracking must not make a deficit forgotten
    need = needs(made.state.filtered_w, expected_w, fleet, limits, spec.import_limit_w, warning_s(spec),
                 spec.shed_margin_w)
    wanted_w, binding = _wanted(spec, state, made, limits, orders, found, dt_s)
    battery_w, binding = _given(wanted_w, binding, fleet, orders)
    missed_w = _toward(state.missed_w, 0.0, limits, dt_s) + wanted_w - battery_w
    reference = made.state if abs(battery_w - made.battery_w) < _TINY_W else track(made.state, battery_w)
    shed = _shed(spec, state, snapshot, need, found, orders, dt_s)
    taken_w = sum(t.shed_w for t in shed.tiers if t.engaged)
    after = state._replace(reference=reference, shed=shed, battery_w=battery_w, missed_w=missed_w,
                           shed_wh=state.shed_wh + taken_w * dt_s / 3600)
    degraded = (*found.degraded, *lost, *((INSUFFICIENT,) if made.binding == INSUFFICIENT else ()))
    return after, Decision(found, fleet, limits, made, need, battery_w, share(battery_w, fleet),
                           orders.mode is not Mode.OBSERVE, binding, degraded)


def _left_out(spec: ControlSpec, fleet: Fleet, orders: Orders) -> tuple[str, ...]:
    """Names of what the law cannot use: batteries that are lost, actuators that were not commissioned."""
    lost = [f"battery_lost:{found.id}" for b, found in zip(spec.batteries, fleet.batteries, strict=True)
            if not found.usable and b.setpoint not in orders.barred]
    mine = (*(b.setpoint for b in spec.batteries), *(t.setpoint for t in spec.tiers))
    return (*lost, *(("not_commissioned",) if orders.barred.intersection(mine) else ()))


def _from_what_is(state: LawState, found: Estimate) -> LawState:
    """Take over without a bump, at the start and after blindness.

    From then on the reference tracks what the batteries do, whoever leads them, so that any change of mode finds it
    where the grid is: filtered, because a swing of the load must not become the grid's new mean.
    """
    battery_w = _known_battery(state, found)
    return state._replace(
        reference=Reference(found.load_w, found.load_w, found.load_w - battery_w), battery_w=battery_w)


def _known_battery(state: LawState, found: Estimate) -> float:
    """What the batteries give: as measured, as last commanded where that is not known."""
    return state.battery_w if math.isnan(found.battery_w) else found.battery_w


def _aim(spec: ControlSpec, reference: Reference, found: Estimate, orders: Orders) -> Aim:
    restore = spec.energy_power_share * spec.load_maximum_w if found.source == "grid" else 0.0
    target = None if orders.target_w is None else reference.filtered_w - orders.target_w
    return Aim(spec.import_limit_w, restore, spec.target_time_s, spec.energy_time_s, target, orders.target_ramp_w_per_s)


def _wanted(spec: ControlSpec, state: LawState, made: Step, limits: Range, orders: Orders, found: Estimate,
            dt_s: float) -> tuple[float, str]:
    """What the mode wants of the batteries together, and what bound that."""
    if orders.mode is Mode.OBSERVE:
        return _known_battery(state, found), "observe"
    above_limit_w = made.state.filtered_w - spec.import_limit_w
    if orders.mode is Mode.SAFE:
        return max(_toward(state.battery_w, 0.0, limits, dt_s), min(state.battery_w, above_limit_w)), "safe"
    if orders.mode is Mode.MANUAL and orders.manual_w is not None:
        return _toward(state.battery_w, max(orders.manual_w, above_limit_w), limits, dt_s), "manual"
    return made.battery_w, made.binding


def _given(wanted: float, binding: str, fleet: Fleet, orders: Orders) -> tuple[float, str]:
    """What the batteries can give of it; in OBSERVE they are left alone."""
    if orders.mode is Mode.OBSERVE:
        return wanted, binding
    given = min(max(wanted, -fleet.charge_available_w), fleet.discharge_available_w)
    return given, binding if abs(given - wanted) < _TINY_W else "battery"


def _toward(now_w: float, goal_w: float, limits: Range, dt_s: float) -> float:
    """One ramp step of the battery; less discharge raises the grid's power, so the up limit holds there."""
    return min(max(goal_w, now_w - limits.up_w_per_s * dt_s), now_w + limits.down_w_per_s * dt_s)


def _shed(spec: ControlSpec, state: LawState, snapshot: Snapshot, need: Need, found: Estimate, orders: Orders,
          dt_s: float) -> ShedState:
    if orders.mode is Mode.OBSERVE:
        return state.shed
    powers = [math.nan if t.setpoint in orders.barred and not known.engaged  # not to be engaged, as if not measured
              else measured(snapshot.read(t.power), TIER_MAX_AGE_S)
              for t, known in zip(spec.tiers, state.shed.tiers, strict=True)]
    trusted = found.source == "grid" and orders.mode is not Mode.SAFE
    return decide(spec, state.shed, need.deficit_w, powers, trusted, snapshot.time_s, dt_s)


def _blind(state: LawState, found: Estimate, fleet: Fleet, limits: Range, orders: Orders, lost: tuple[str, ...],
           dt_s: float) -> tuple[LawState, Decision]:
    """No load is known: hold the batteries for a second, then let them go to zero at the ramp limit; shed nothing."""
    acts = orders.mode is not Mode.OBSERVE
    blind_s = state.blind_s + dt_s if acts else 0.0
    battery_w = state.battery_w if acts else _known_battery(state, found)
    if blind_s > HOLD_S:
        battery_w = _toward(battery_w, 0.0, limits, dt_s)
    if acts:
        battery_w = min(max(battery_w, -fleet.charge_available_w), fleet.discharge_available_w)
    after = state._replace(reference=None, battery_w=battery_w, missed_w=0.0, blind_s=blind_s,
                           shed=state.shed._replace(short_cycles=0, calm_since_s=math.inf))
    return after, Decision(found, fleet, limits, None, Need(0.0, 0.0), battery_w, share(battery_w, fleet),
                           acts, "blind", (*found.degraded, *lost, "blind"))
