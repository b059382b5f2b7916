"""What takes from a battery's ratings: its temperature, and a UPS that lives on its own store."""

import itertools
import math
from collections.abc import Sequence

from pswd_edge.control.rules.measured import flaw, measured
from pswd_edge.model.control import BatteryControl, ControlSpec
from pswd_edge.model.snapshot import Snapshot

UPS_ON_BATTERY = "ups_on_battery"
TEMPERATURE_MAX_AGE_S = 30.0  # a store of tonnes is no warmer in half a minute
UPS_MAX_AGE_S = 30.0          # UPSs are polled slowly


def share_at(curve: Sequence[tuple[float, float]], temperature_c: float) -> float:
    """The share of the ratings at a temperature: straight lines between the points of the curve, flat beyond them.

    The least of the curve where the temperature is not known (NaN); 1 without a curve.
    """
    if not curve:
        return 1.0
    if math.isnan(temperature_c):
        return min(share for _, share in curve)
    if temperature_c <= curve[0][0]:
        return curve[0][1]
    for (cold_c, before), (warm_c, after) in itertools.pairwise(curve):
        if temperature_c <= warm_c:
            return before + (after - before) * (temperature_c - cold_c) / (warm_c - cold_c)
    return curve[-1][1]


def derating(spec: BatteryControl, snapshot: Snapshot) -> float:
    """The share of its ratings that a battery's temperature leaves."""
    if not spec.derating:
        return 1.0
    return share_at(spec.derating, measured(snapshot.read(spec.temperature), TEMPERATURE_MAX_AGE_S))


def ups_on_battery(spec: ControlSpec, snapshot: Snapshot) -> bool:
    """Whether a UPS lives on its battery: then nothing may draw more from the grid to charge.

    One that cannot be read counts so only where the site file says it: without charging, a job's end goes to the grid
    as a step. Else energy is not restored until it answers (row `ups_unknown`), and the ramp is kept.
    """
    return any(u.bars_when_lost if flaw(snapshot.read(u.point), UPS_MAX_AGE_S)
               else snapshot.read(u.point).value in u.on_battery for u in spec.ups)


def ups_unknown(spec: ControlSpec, snapshot: Snapshot) -> tuple[str, ...]:
    """UPSs that cannot be read, by id."""
    return tuple(u.id for u in spec.ups if flaw(snapshot.read(u.point), UPS_MAX_AGE_S))
