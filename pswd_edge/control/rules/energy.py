"""How much energy is in a battery: an interval that surely holds it, from its SoC register and from counted power.

A register of 1 % on 8 MWh says no more than 80 kWh; power, counted, says every watt but drifts. Each bounds the other:
the interval moves with the counted power, widens by what counting can be wrong, and is cut by what the register allows.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from pswd_edge.control.rules.measured import flaw, power_w
from pswd_edge.model.control import BatteryControl
from pswd_edge.model.snapshot import Reading, Snapshot

COUNT_ERROR = 0.02            # of the counted energy: power meter and efficiency together
JUMP_PERCENT = 2.0            # of the capacity, beyond what was counted: a register that does so is not to be trusted
UNCERTAIN_S = 60.0            # so long after the last jump or disagreement
GRAINS_PERCENT = (1.0, 0.1, 0.01)
_FULL_PERCENT = 100.0
_WHOLE = 1e-6


class Held(NamedTuple):
    """What one battery holds, Wh; anything before its register was ever read.

    `grain_percent` is the resolution of its register as far as it is known. `flows_wh`: what was counted in each of
    the last cycles (out of the store positive), oldest first, for as long as the register can lag. `uncertain_s`: how
    much longer the register is distrusted.
    """

    low_wh: float = 0.0
    high_wh: float = math.inf
    grain_percent: float = GRAINS_PERCENT[0]
    flows_wh: tuple[float, ...] = ()
    uncertain_s: float = 0.0


def grain_percent(value: float) -> float:
    """The coarsest resolution of 1, 0.1 and 0.01 % that could have shown this value; 0 where none could."""
    return next((g for g in GRAINS_PERCENT if abs(value / g - round(value / g)) < _WHOLE), 0.0)


def registers(spec: BatteryControl, snapshot: Snapshot) -> tuple[float, ...]:
    """The SoC in % by each of the battery's registers that can be used; empty where none can."""
    inputs = (spec.soc,) if spec.soc_other is None else (spec.soc, spec.soc_other)
    return tuple(snapshot.read(i.point).value for i in inputs
                 if not soc_flaw(snapshot.read(i.point), i.max_age_ms / 1000))


def soc_flaw(reading: Reading, max_age_s: float) -> str:
    """Why an SoC cannot be used, in words; empty where it can."""
    if wrong := flaw(reading, max_age_s):
        return wrong
    return "" if 0 <= reading.value <= _FULL_PERCENT else f"{reading.value:g} %"


def drawn_w(spec: BatteryControl, given_w: float) -> float:
    """What the store loses at this power at its terminals (discharge positive), W."""
    return given_w / spec.discharge_efficiency if given_w > 0 else given_w * spec.charge_efficiency


def counted(spec: BatteryControl, held: Held, snapshot: Snapshot, period_s: float, dt_s: float) -> Held:
    """The state after one cycle of `dt_s`."""
    held = _moved(spec, held, power_w(spec, snapshot.read(spec.power.point)), period_s, dt_s)
    shown = registers(spec, snapshot)
    if not shown:
        return held
    grain = spec.soc_resolution_percent
    if grain is None:
        grain = held.grain_percent and min(held.grain_percent, *map(grain_percent, shown))
    held = held if grain == held.grain_percent else held._replace(grain_percent=grain)
    return _cut(spec, held, allowed_wh(spec, shown, held),
                disagree=max(shown) - min(shown) > JUMP_PERCENT + grain)


def _moved(spec: BatteryControl, held: Held, given_w: float, period_s: float, dt_s: float) -> Held:
    """By what was given or taken since; by anything that its ratings allow where that is not known."""
    if math.isnan(given_w):
        out_wh = spec.discharge_rating_w / spec.discharge_efficiency * dt_s / 3600
        in_wh = spec.charge_rating_w * dt_s / 3600
    else:
        flow_wh = drawn_w(spec, given_w) * dt_s / 3600
        out_wh, in_wh = flow_wh + COUNT_ERROR * abs(flow_wh), COUNT_ERROR * abs(flow_wh) - flow_wh
    kept = math.ceil(spec.soc_age_s / period_s) + 1
    flows = (*held.flows_wh, (out_wh - in_wh) / 2)[-kept:]
    return held._replace(low_wh=max(0.0, held.low_wh - out_wh), high_wh=min(spec.capacity_wh, held.high_wh + in_wh),
                         flows_wh=flows, uncertain_s=max(0.0, held.uncertain_s - dt_s))


def allowed_wh(spec: BatteryControl, shown: Sequence[float], held: Held) -> tuple[float, float]:
    """What the registers allow: half a step to both sides, and what flowed while they may not have been renewed.

    Registers that disagree allow all that is between them.
    """
    half, capacity = held.grain_percent / 2, spec.capacity_wh / _FULL_PERCENT
    out_wh = sum([f for f in held.flows_wh if f > 0])
    in_wh = -sum([f for f in held.flows_wh if f < 0])
    return (max(0.0, (min(shown) - half) * capacity - out_wh),
            min(spec.capacity_wh, (max(shown) + half) * capacity + in_wh))


def _cut(spec: BatteryControl, held: Held, allowed: tuple[float, float], *, disagree: bool) -> Held:
    """The interval within what the register allows; where they have nothing in common, the register's alone."""
    low, high = max(held.low_wh, allowed[0]), min(held.high_wh, allowed[1])
    off_wh = low - high
    if off_wh > 0:
        low, high = allowed
    jumped = off_wh > JUMP_PERCENT / _FULL_PERCENT * spec.capacity_wh
    return held._replace(low_wh=low, high_wh=high,
                         uncertain_s=UNCERTAIN_S if jumped or disagree else held.uncertain_s)
