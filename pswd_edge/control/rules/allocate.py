"""What the batteries can give now, and who gives how much (control law, step 6)."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from pswd_edge.control.rules.balance import BLEND_S, Part, split_w, usable_wh
from pswd_edge.control.rules.derate import derating
from pswd_edge.control.rules.energy import Held, soc_flaw
from pswd_edge.control.rules.measured import flaw, power_flaw, power_w
from pswd_edge.control.rules.reserve import Range, down_wh, up_wh
from pswd_edge.model.control import BatteryControl
from pswd_edge.model.snapshot import Reading, Snapshot

DOES_NOT_FOLLOW, OSCILLATES = "does not follow", "oscillates"
SHRUNK_SHARE = 0.05           # of the capacity, on both sides: while the SoC is not to be trusted


class Battery(NamedTuple):
    """One battery in one cycle; W, Wh. A battery that is not `usable` has zeros throughout.

    `rating`s are what it may give for seconds (nameplate and BMS limit); `available` also respects its energy and its
    circuits. `relief_w` is what it must discharge at least to relieve them; it does not charge then.
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
    relief_w: float = 0.0

    @property
    def least_w(self) -> float:
        """The lowest power it may be led to, discharge positive."""
        return self.relief_w if self.relief_w > 0 else -self.charge_available_w


class Fleet(NamedTuple):
    """All usable batteries as one.

    `above_min_wh`, `below_max_wh` count what they can bring together (`balanced`); before that, as if they shared by
    rating, so that the first to be empty ends it for all. The blends say how near in endurance two batteries must be
    to share, see `balance.py`.
    """

    batteries: tuple[Battery, ...]
    above_min_wh: float
    below_max_wh: float
    energy_wh: float
    discharge_rating_w: float
    charge_rating_w: float
    discharge_available_w: float
    charge_available_w: float
    discharge_blend_s: float = BLEND_S
    charge_blend_s: float = BLEND_S


def judge(
    spec: BatteryControl, snapshot: Snapshot, period_s: float, held: Held | None = None, *, barred: bool = False,
    strays: str = "", charges: bool = True,
) -> Battery:
    """What one battery can do now; not usable where its state, SoC or power is not known to be good.

    A `barred` one may not be led: it was not commissioned. `strays` says why it does not do what it is told. `held` is
    what is counted in it; None: what its register says. Unless it `charges` it may not take anything.
    """
    soc, power = snapshot.read(spec.soc.point), snapshot.read(spec.power.point)
    why = "not commissioned" if barred else _why_not(spec, snapshot, soc, power)
    why = why or strays
    measured_w = power_w(spec, power)
    if why:
        return Battery(spec.id, False, why, measured_w, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    low, high = (held.low_wh, held.high_wh) if held is not None else (spec.capacity_wh * soc.value / 100,) * 2
    shrunk = SHRUNK_SHARE * spec.capacity_wh if held is not None and held.uncertain_s > 0 else 0.0
    above = max(0.0, low - spec.capacity_wh * spec.soc_min_percent / 100 - shrunk)
    below = max(0.0, spec.capacity_wh * spec.soc_max_percent / 100 - high - shrunk)
    share = derating(spec, snapshot)
    discharge = _limit(share * spec.discharge_rating_w, snapshot.read(spec.discharge_limit), spec.discharge_limit)
    charge = _limit(share * spec.charge_rating_w, snapshot.read(spec.charge_limit), spec.charge_limit)
    charge = charge if charges else 0.0
    horizon_s = period_s + spec.soc_age_s
    return Battery(
        spec.id, True, "", measured_w, (low + high) / 2, above, below, discharge, charge,
        max(0.0, min(discharge, 3600 * spec.discharge_efficiency * above / horizon_s)),
        max(0.0, min(charge, 3600 * below / (spec.charge_efficiency * horizon_s))),
    )


def _why_not(spec: BatteryControl, snapshot: Snapshot, soc: Reading, power: Reading) -> str:
    """Why a battery cannot be used now, in words; empty where it can."""
    slow_s = spec.soc.max_age_ms / 1000
    other = None if spec.soc_other is None else snapshot.read(spec.soc_other.point)
    if (wrong := soc_flaw(soc, slow_s)) and (other is None or soc_flaw(other, slow_s)):
        return f"SoC {wrong}"
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
        sum(b.discharge_available_w for b in usable), sum(-b.least_w for b in usable),
    )


def balanced(fleet: Fleet, limits: Range, reference_w: float) -> Fleet:
    """The fleet with its energies counted for the ramps of `limits`, as those of the longest endurance give first.

    What is to spare beyond the reserves at this reference decides the blends: nothing to spare, none.
    """
    able = [b for b in fleet.batteries if b.usable]
    above = usable_wh(_parts(able, 1.0), limits.up_w_per_s, limits.age_s, 1 / limits.discharge_efficiency)
    below = usable_wh(_parts(able, -1.0), limits.down_w_per_s, limits.age_s, limits.charge_efficiency)
    return fleet._replace(
        above_min_wh=above, below_max_wh=below,
        discharge_blend_s=_blend_s(above - up_wh(reference_w, limits), fleet.discharge_rating_w),
        charge_blend_s=_blend_s(below - down_wh(reference_w, limits), fleet.charge_rating_w))


def _blend_s(spare_wh: float, rating_w: float) -> float:
    """So long that what sharing wastes, power times blend at most, is to spare."""
    return min(max(3600 * spare_wh / rating_w, 0.0), BLEND_S) if rating_w > 0 else BLEND_S


def _parts(batteries: Sequence[Battery], sign: float) -> list[Part]:
    if sign > 0:
        return [Part(b.above_min_wh, b.discharge_rating_w, b.discharge_available_w - b.relief_w) for b in batteries]
    return [Part(b.below_max_wh, b.charge_rating_w, max(0.0, -b.least_w)) for b in batteries]


def share(power_w: float, fleet: Fleet) -> dict[str, float]:
    """Split a power (discharge positive) over the usable batteries, those of the longest endurance first.

    The sum is `power_w` wherever the fleet can give it. All give, or all take: nothing flows from one to another, and
    unequal charge comes together without a watt of its own. Those that must relieve a circuit give that first, and
    others take what is too much of it.
    """
    able = [b for b in fleet.batteries if b.usable]
    least = [b.relief_w for b in able]
    left_w = power_w - sum(least)
    sign = 1.0 if left_w >= 0 else -1.0
    blend_s = fleet.discharge_blend_s if sign > 0 else fleet.charge_blend_s
    given = split_w(abs(left_w), _parts(able, sign), blend_s)
    return {b.id: low + sign * w if low else sign * w for b, low, w in zip(able, least, given, strict=True)}
