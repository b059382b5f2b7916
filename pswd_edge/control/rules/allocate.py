"""What the batteries can give now, and who gives how much (control law, step 6)."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from pswd_edge.control.rules.measured import flaw, power_flaw, power_w
from pswd_edge.model.control import BatteryControl
from pswd_edge.model.snapshot import Reading, Snapshot

DOES_NOT_FOLLOW = "does not follow"
_FULL_PERCENT = 100.0


class Battery(NamedTuple):
    """One battery in one cycle; W, Wh. A battery that is not `usable` has zeros throughout.

    `rating`s are what it may give for seconds (nameplate and BMS limit); `available` also respects its energy.
    """

    id: str
    usable: bool
    why: str
    power_w: float
    energy_wh: float
    above_min_wh: float
    below_max_wh: float
    discharge_rating_w: float
    charge_rating_w: float
    discharge_available_w: float
    charge_available_w: float


class Fleet(NamedTuple):
    """All usable batteries as one.

    Power is shared in proportion to the ratings, so the battery that is empty first ends it for all: usable energy is
    the smallest energy a watt, times the watts (two of 50 MW with 0.5 and 4.8 MWh are no 5.3 MWh).
    """

    batteries: tuple[Battery, ...]
    above_min_wh: float
    below_max_wh: float
    energy_wh: float
    discharge_rating_w: float
    charge_rating_w: float
    discharge_available_w: float
    charge_available_w: float


def judge(
    spec: BatteryControl, snapshot: Snapshot, period_s: float, *, barred: bool = False, strays: bool = False
) -> Battery:
    """What one battery can do now; not usable where its state, SoC or power is not known to be good.

    A `barred` one may not be led: it was not commissioned. One that `strays` does not do what it is told.
    """
    soc, power = snapshot.read(spec.soc.point), snapshot.read(spec.power.point)
    why = "not commissioned" if barred else _why_not(spec, snapshot, soc, power)
    why = why or (DOES_NOT_FOLLOW if strays else "")
    measured_w = power_w(spec, power)
    if why:
        return Battery(spec.id, False, why, measured_w, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    energy = spec.capacity_wh * soc.value / 100
    above = max(0.0, energy - spec.capacity_wh * spec.soc_min_percent / 100)
    below = max(0.0, spec.capacity_wh * spec.soc_max_percent / 100 - energy)
    discharge = _limit(spec.discharge_rating_w, snapshot.read(spec.discharge_limit), spec.discharge_limit)
    charge = _limit(spec.charge_rating_w, snapshot.read(spec.charge_limit), spec.charge_limit)
    horizon_s = period_s + spec.soc_age_s
    return Battery(
        spec.id, True, "", measured_w, energy, above, below, discharge, charge,
        max(0.0, min(discharge, 3600 * spec.discharge_efficiency * above / horizon_s)),
        max(0.0, min(charge, 3600 * below / (spec.charge_efficiency * horizon_s))),
    )


def _why_not(spec: BatteryControl, snapshot: Snapshot, soc: Reading, power: Reading) -> str:
    """Why a battery cannot be used now, in words; empty where it can."""
    slow_s = spec.soc.max_age_ms / 1000
    if wrong := flaw(soc, slow_s):
        return f"SoC {wrong}"
    if not 0 <= soc.value <= _FULL_PERCENT:
        return f"SoC {soc.value:g} %"
    if wrong := power_flaw(spec, power):
        return f"power {wrong}"
    if spec.state is None:
        return ""
    state = snapshot.read(spec.state)
    if wrong := flaw(state, slow_s):
        return f"state {wrong}"
    return f"state {state.value:g}" if spec.available_states and state.value not in spec.available_states else ""


def _limit(rating_w: float, reading: Reading, point: int | None) -> float:
    """The smaller of the rating and the BMS' own limit; a limit that is declared but not readable allows nothing."""
    if point is None:
        return rating_w
    return 0.0 if flaw(reading, math.inf) else max(0.0, min(rating_w, reading.value))


def fleet_of(batteries: Sequence[Battery]) -> Fleet:
    """The usable batteries as one."""
    usable = [b for b in batteries if b.usable]
    discharge, charge = sum(b.discharge_rating_w for b in usable), sum(b.charge_rating_w for b in usable)
    above = [b.above_min_wh / b.discharge_rating_w for b in usable if b.discharge_rating_w > 0]
    below = [b.below_max_wh / b.charge_rating_w for b in usable if b.charge_rating_w > 0]
    return Fleet(
        tuple(batteries), min(above, default=0.0) * discharge, min(below, default=0.0) * charge,
        sum(b.energy_wh for b in usable), discharge, charge,
        sum(b.discharge_available_w for b in usable), sum(b.charge_available_w for b in usable),
    )


def share(power_w: float, fleet: Fleet) -> dict[str, float]:
    """Split a power (discharge positive) over the usable batteries, in proportion to their ratings.

    What one cannot give, the others take over; the sum is `power_w` wherever the fleet can give it.
    """
    sign = 1.0 if power_w >= 0 else -1.0
    room = {b.id: b.discharge_available_w if sign > 0 else b.charge_available_w for b in fleet.batteries if b.usable}
    weight = {b.id: b.discharge_rating_w if sign > 0 else b.charge_rating_w for b in fleet.batteries if b.usable}
    given = dict.fromkeys(room, 0.0)
    left, open_ids = abs(power_w), [i for i in room if room[i] > 0]
    while left > 1e-6 and open_ids:
        total = sum(weight[i] for i in open_ids)
        part = {i: left * weight[i] / total for i in open_ids}
        for i in open_ids:
            given[i] += min(part[i], room[i] - given[i])
        left = abs(power_w) - sum(given.values())
        open_ids = [i for i in open_ids if room[i] - given[i] > 1e-6]
    return {i: sign * w for i, w in given.items()}
