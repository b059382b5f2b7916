"""Droop: what the batteries give where the grid's frequency leaves its band (control law, step 6).

The power is added to what the batteries give for the load, so the grid has the reference less droop. Load comes first:
where batteries or limits do not leave room for both, droop yields. It holds a reserve of power and energy of its own;
what it has used of the energy is not held any more, or the reference would climb and take the support back.
"""

import math
from typing import NamedTuple

from pswd_edge.control.rules.allocate import Fleet
from pswd_edge.control.rules.measured import flaw
from pswd_edge.control.rules.reserve import Range, cycle_wh
from pswd_edge.model.control import DroopSpec
from pswd_edge.model.snapshot import Reading

PLAUSIBLE_SHARE = 0.2         # of the nominal frequency, both ways: no machine runs beyond
LOOKED_AT = 3                 # cycles: one wrong value among them moves nothing
REMEMBERED = 20               # cycles that can pass until a meter shows what the batteries were told
CALM_S = 60.0                 # so long inside the deadband: the excursion is over


class Droop(NamedTuple):
    """What is remembered.

    `heard_hz`: the frequency of the last cycles, NaN where it was not known. `power_w` is in force (discharge
    positive), `past_w` was in the cycles before, the last one last. `used_wh`: what the store has given of the reserve
    (negative: taken). `calm_s`: so long ago the frequency was outside the deadband.
    """

    heard_hz: tuple[float, ...] = ()
    power_w: float = 0.0
    past_w: tuple[float, ...] = ()
    used_wh: float = 0.0
    calm_s: float = math.inf


NONE = Droop()


def heard(spec: DroopSpec | None, state: Droop, reading: Reading, dt_s: float) -> Droop:
    """The state with this cycle's frequency, whoever leads the batteries."""
    if spec is None:
        return NONE
    wrong = flaw(reading, spec.max_age_ms / 1000)
    possible = not wrong and abs(reading.value - spec.nominal_hz) <= PLAUSIBLE_SHARE * spec.nominal_hz
    state = state._replace(heard_hz=(*state.heard_hz, reading.value if possible else math.nan)[-LOOKED_AT:])
    hz = frequency_hz(spec, state)
    away = not math.isnan(hz) and answer_w(spec, hz) != 0
    return state._replace(calm_s=0.0 if away else state.calm_s + dt_s)


def frequency_hz(spec: DroopSpec | None, state: Droop) -> float:
    """The frequency that is believed: the middle one of three cycles; NaN where it is not known now."""
    if spec is None or not state.heard_hz or math.isnan(state.heard_hz[-1]):
        return math.nan
    known = sorted(hz for hz in state.heard_hz if not math.isnan(hz))
    if len(known) == LOOKED_AT:
        return known[LOOKED_AT // 2]
    return min(known, key=lambda hz: abs(hz - spec.nominal_hz))  # too few for a vote: the more harmless one


def is_unknown(spec: DroopSpec | None, state: Droop) -> bool:
    """Whether the frequency should be answered, and is not known."""
    return spec is not None and math.isnan(frequency_hz(spec, state))


def answer_w(spec: DroopSpec, hz: float) -> float:
    """The power for a frequency: 0 inside the deadband, a line beyond it, the maximum at its end."""
    off_hz = hz - spec.nominal_hz
    beyond_hz = math.copysign(max(0.0, abs(off_hz) - spec.deadband_hz), off_hz)
    return min(max(-spec.w_per_hz * beyond_hz, -spec.power_max_w), spec.power_max_w) + 0.0


def faded_w(power_w: float, limits: Range, dt_s: float) -> float:
    """One ramp step toward 0: what is given up must not be a step of the grid."""
    if power_w > 0:
        return max(0.0, power_w - limits.up_w_per_s * dt_s)
    return min(0.0, power_w + limits.down_w_per_s * dt_s)


def wanted_w(spec: DroopSpec | None, state: Droop, limits: Range, dt_s: float, *, acts: bool) -> float:
    """The power for this cycle; it fades where the frequency is not known, or nobody is to answer it."""
    hz = frequency_hz(spec, state)
    if spec is None:
        return 0.0
    return answer_w(spec, hz) if acts and not math.isnan(hz) else faded_w(state.power_w, limits, dt_s)


def fed_w(spec: DroopSpec | None, power_w: float) -> float:
    """The part of the droop that goes to the batteries beside the reference."""
    return power_w if spec is not None and spec.ramp_exempt else 0.0


def led_w(spec: DroopSpec | None, power_w: float) -> float:
    """The part that the reference is led below its target by, within its ramp."""
    return power_w if spec is not None and not spec.ramp_exempt else 0.0


def beside(spec: DroopSpec | None, power_w: float, battery_w: float, lowest_w: float,
           highest_w: float) -> tuple[float, float]:
    """The droop that fits beside what the batteries give for the load, and their power with it.

    `battery_w` has all of `power_w` in it. Between `lowest_w` and `highest_w` batteries, import and export limit leave
    the batteries' power; where the load's part is beyond them, no droop makes that worse.
    """
    load_part_w = battery_w - fed_w(spec, power_w)
    if spec is None or not spec.ramp_exempt:
        return power_w, load_part_w
    fits_w = min(max(power_w, min(0.0, lowest_w - load_part_w)), max(0.0, highest_w - load_part_w))
    return fits_w, load_part_w + fits_w


def shown_w(spec: DroopSpec | None, state: Droop, delay_s: float, period_s: float) -> float:
    """The droop that the grid's meter shows now, `delay_s` after it was wanted."""
    back = max(1, round(delay_s / period_s))
    return fed_w(spec, state.past_w[-back]) if back <= len(state.past_w) else 0.0


def held(spec: DroopSpec | None, state: Droop, fleet: Fleet, limits: Range) -> Fleet:
    """What the reference may count on: the fleet without the power and the energy that are kept for droop."""
    if spec is None or not spec.ramp_exempt:
        return fleet
    up_wh, down_wh = reserves_wh(spec, limits)
    discharge_w = max(0.0, fleet.discharge_rating_w - spec.power_max_w)
    charge_w = max(0.0, fleet.charge_rating_w - spec.power_max_w)
    return fleet._replace(
        above_min_wh=max(0.0, fleet.above_min_wh - max(0.0, up_wh - max(0.0, state.used_wh))),
        below_max_wh=max(0.0, fleet.below_max_wh - max(0.0, down_wh + min(0.0, state.used_wh))),
        discharge_rating_w=discharge_w, charge_rating_w=charge_w,
        discharge_available_w=min(fleet.discharge_available_w, discharge_w),
        charge_available_w=min(fleet.charge_available_w, charge_w))


def reserves_wh(spec: DroopSpec, limits: Range) -> tuple[float, float]:
    """What the store gives and takes in `reserve_s` at full droop, Wh."""
    energy_wh = spec.power_max_w * spec.reserve_s / 3600
    return energy_wh / limits.discharge_efficiency, energy_wh * limits.charge_efficiency


def given(spec: DroopSpec | None, state: Droop, power_w: float, limits: Range, energy_time_s: float,
          dt_s: float) -> Droop:
    """The state after a cycle at this power; while nothing is given the reserve fills up again."""
    if spec is None:
        return NONE
    up_wh, down_wh = reserves_wh(spec, limits)
    used_wh = state.used_wh + cycle_wh(fed_w(spec, power_w), limits) * dt_s / limits.period_s
    if power_w == 0:
        used_wh *= math.exp(-dt_s / energy_time_s)
    return state._replace(power_w=power_w, past_w=(*state.past_w, power_w)[-REMEMBERED:],
                          used_wh=min(max(used_wh, -down_wh), up_wh))


def told_w(spec: DroopSpec | None, power_w: float) -> float | None:
    """The droop for reports; None where there is none by configuration."""
    return None if spec is None else power_w


def is_excursion(state: Droop) -> bool:
    """Whether one is under way: from the first answer until the frequency was inside its deadband for `CALM_S`."""
    return state.calm_s < CALM_S
