"""One cycle of thermal coordination: cooling ahead of heat, heat given away, and the interlocks. Pure."""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from pswd_edge.control.rules import cooling, export, gradual, interlock
from pswd_edge.control.rules.cooling import Coming, CoolerState
from pswd_edge.control.rules.export import ExportState
from pswd_edge.control.rules.interlock import InterlockState
from pswd_edge.control.rules.measured import SLOW_MAX_AGE_S, measured
from pswd_edge.model.control import ControlSpec
from pswd_edge.model.snapshot import Snapshot
from pswd_edge.model.thermal import CapStep, Interlock, ThermalSpec
from pswd_edge.model.workload import Workload

LATCHED = "interlock_latched:"  # the alarm's name, before the interlock's: a restart knows latches by it


class ThermalState(NamedTuple):
    """What thermal coordination remembers, each in the order of the site. `shed`: tiers that it has ever engaged."""

    coolers: tuple[CoolerState, ...]
    interlocks: tuple[InterlockState, ...]
    exports: tuple[ExportState, ...]
    shed: frozenset[int] = frozenset()


class Cap(NamedTuple):
    """A point is kept at `high` at most, by an interlock of this name."""

    point: int
    high: float
    name: str


class ThermalDecision(NamedTuple):
    """What one cycle decided.

    `setpoints` are (point, value) wanted; `ranges` (point, low, high) bind all who may want something else. `caps` and
    `sheds` (tier index, interlock) are the interlocks'; `released` are tiers that it gave back. `alarms`: name, text.
    `hot_c` are the interlocks' temperatures, `supply_c` the heat exports', NaN where they cannot be used. `urgent`:
    points that cool what an interlock finds too hot, and its name; nobody else leads them.
    """

    setpoints: tuple[tuple[int, float], ...] = ()
    ranges: tuple[tuple[int, float, float], ...] = ()
    caps: tuple[Cap, ...] = ()
    sheds: tuple[tuple[int, str], ...] = ()
    released: tuple[int, ...] = ()
    alarms: tuple[tuple[str, str], ...] = ()
    hot_c: tuple[float, ...] = ()
    supply_c: tuple[float, ...] = ()
    urgent: Mapping[int, str] = MappingProxyType({})


def start(spec: ThermalSpec) -> ThermalState:
    """The state before the first cycle."""
    return ThermalState(tuple(CoolerState() for _ in spec.coolers), tuple(InterlockState() for _ in spec.interlocks),
                        tuple(ExportState() for _ in spec.exports))


def cycle(
    control: ControlSpec, spec: ThermalSpec, state: ThermalState, snapshot: Snapshot, workloads: Sequence[Workload],
    dt_s: float, *, acts: bool, held: frozenset[int] = frozenset(), reset: bool = False,
    prepared_w: Mapping[str, float] = MappingProxyType({}), stopped: frozenset[int] = frozenset(),
    stands: Mapping[int, float] = cooling.NOWHERE,
) -> tuple[ThermalState, ThermalDecision]:
    """One cycle: the next state, and what to do.

    Args:
        control: load controllers and tiers, by index.
        spec: the thermal part.
        state: the state now.
        snapshot: the inputs.
        workloads: announced, those that have ended among them.
        dt_s: time since the last cycle.
        acts: False in OBSERVE: set-points follow what is found; interlocks go on, since nothing of it is written.
        held: points that operator or API lead now; set-points follow them, so that their end makes no step.
        reset: the operator lets go of latches.
        prepared_w: heat that coolers are asked to be ready for, W, by cooler id.
        stands: where set-points stand that others lead: what was wanted of them last.
        stopped: switches that somebody else holds off; what stands still has no supply to hold.
    """
    powers = [measured(snapshot.read(c.power), SLOW_MAX_AGE_S) for c in control.load_controllers]
    coming = cooling.coming_w(control, spec, workloads, snapshot.utc_s)
    expected = [cooling.expected_w(control, i, p, coming.get(i, Coming())) for i, p in enumerate(powers)]
    exports = tuple(
        export.held(e, s, snapshot, dt_s, acts=acts, others=held, stopped=e.enable in stopped, stands=stands)
        for e, s in zip(spec.exports, state.exports, strict=True))
    hot_c = [measured(snapshot.read(i.temperature.point), i.temperature.max_age_s) for i in spec.interlocks]
    locks = tuple(interlock.judged(i, s, t, dt_s, reset=reset)
                  for i, s, t in zip(spec.interlocks, state.interlocks, hot_c, strict=True))
    urgent = _urgent(spec, locks)
    coolers = tuple(
        cooling.led(c, spec.ease_s, s, snapshot, expected, dt_s, acts=acts, held=held - urgent.keys(), stands=stands,
                    prepared_w=prepared_w.get(c.id, 0.0), urgent=any(lead.point in urgent for lead in c.leads))
        for c, s in zip(spec.coolers, state.coolers, strict=True))
    sheds = tuple((t, i.id) for i, s in zip(spec.interlocks, locks, strict=True) for t in _in_force(i, s).sheds)
    after = ThermalState(coolers, locks, exports, state.shed | {t for t, _ in sheds})
    return after, ThermalDecision(
        (*_setpoints(spec, coolers), *(v for e, s in zip(spec.exports, exports, strict=True)
                                       for v in export.wanted(e, s))),
        _ranges(spec, exports), _caps(control, spec, locks), sheds,
        tuple(sorted(after.shed - {t for t, _ in sheds})), _alarms(spec, locks, hot_c, exports), tuple(hot_c),
        tuple(measured(snapshot.read(e.supply.point), e.supply.max_age_s) for e in spec.exports), urgent)


def _in_force(spec: Interlock, state: InterlockState) -> CapStep:
    """What holds now; the sheds of all steps up to the present one."""
    if not state.step:
        return CapStep(math.inf)
    done = spec.steps[: state.step]
    return CapStep(done[-1].cap_share, tuple(dict.fromkeys(t for step in done for t in step.sheds)))


def _setpoints(spec: ThermalSpec, coolers: Sequence[CoolerState]) -> tuple[tuple[int, float], ...]:
    return tuple((lead.point, value) for c, s in zip(spec.coolers, coolers, strict=True)
                 for lead, value in zip(c.leads, s.values, strict=True))


def _urgent(spec: ThermalSpec, locks: Sequence[InterlockState]) -> dict[int, str]:
    """The set-points of coolers of racks that an interlock holds down, and its name."""
    hot = {c: i.id for i, s in zip(spec.interlocks, locks, strict=True) if s.step for c in i.caps}
    return {lead.point: hot[i] for c in spec.coolers for i in c.serves if i in hot for lead in c.leads}


def _ranges(spec: ThermalSpec, exports: Sequence[ExportState]) -> tuple[tuple[int, float, float], ...]:
    """Declared limits; a heat exchanger that cannot hold its supply stays off, whoever would have it on."""
    off = [(e.enable, 0.0, 0.0) for e, s in zip(spec.exports, exports, strict=True)
           if e.enable is not None and not s.on]
    return (*((lead.point, lead.low, lead.high) for lead in gradual.leads(spec).values()), *off)


def _caps(control: ControlSpec, spec: ThermalSpec, locks: Sequence[InterlockState]) -> tuple[Cap, ...]:
    return tuple(
        Cap(control.load_controllers[c].cap, _in_force(i, s).cap_share * control.load_controllers[c].rating_w, i.id)
        for i, s in zip(spec.interlocks, locks, strict=True) if s.step for c in i.caps)


def _alarms(spec: ThermalSpec, locks: Sequence[InterlockState], hot_c: Sequence[float],
            exports: Sequence[ExportState]) -> tuple[tuple[str, str], ...]:
    found = [text for i, s, t in zip(spec.interlocks, locks, hot_c, strict=True) for text in _told(i, s, t)]
    off = [(f"heat_export_off:{e.id}", f"{e.id}: supply not held in {e.low_c:g}..{e.high_c:g} degC: switched off")
           for e, s in zip(spec.exports, exports, strict=True) if not s.on]
    return (*found, *off)


def _told(spec: Interlock, state: InterlockState, hot_c: float) -> list[tuple[str, str]]:
    found = []
    if state.step or state.latched or hot_c >= spec.limit_c:
        kept = "; latched until the operator orders a mode" if state.latched else ""
        shown = "unknown" if math.isnan(hot_c) else f"{hot_c:.1f} degC"
        found.append((f"over_temperature:{spec.id}",
                      f"{spec.id}: {shown}, limit {spec.limit_c:g}: step {state.step} of {len(spec.steps)}{kept}"))
    if state.latched:
        told = f"tripped: all steps stay until it is below {spec.reset_c:g} degC and the operator orders a mode"
        found.append((f"{LATCHED}{spec.id}", f"{spec.id}: {told}"))
    if interlock.lost(spec, state):
        counts = spec.when_lost.replace("_", " ")
        found.append((f"temperature_lost:{spec.id}", f"{spec.id}: its temperature cannot be used; counts as {counts}"))
    return found
