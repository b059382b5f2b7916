"""The reference site of control quality: 100 MW, a job of 80 MW on a base of 20, as a `ControlSpec` alone."""

from collections.abc import Sequence

from msgspec.structs import replace

from pswd_edge.model.control import BatteryControl, ControlSpec, Input, Tier
from pswd_edge.model.tuning import tuned

MW = 1e6
BASE_W, JOB_W = 20 * MW, 80 * MW
FLOOR_W, CEILING_W, MAXIMUM_W = 27 * MW, 105 * MW, 125 * MW
RAMP_W_PER_MIN = 10 * MW
GRID, LOAD, FREQUENCY = 0, 1, 2
BATTERY_POINTS = 8            # of each battery, from 10 on
TIER_POINTS = 2               # of each tier, from 200 on


def battery(index: int, capacity_wh: float, rating_w: float, **changes: object) -> BatteryControl:
    """A battery whose points are 10 + 8 index .. : SoC, power, set-point, limits, state, temperature."""
    first = 10 + BATTERY_POINTS * index
    spec = BatteryControl(
        f"bess-{index + 1}", index, Input(first, 5000), Input(first + 1), first + 2, capacity_wh, rating_w, rating_w,
        charge_limit=first + 3, discharge_limit=first + 4, state=first + 5, available_states=(1,))
    return replace(spec, **changes)


def tier(index: int, power_w: float, **changes: object) -> Tier:
    """A cap; its points are 200 + 2 index .. : set-point, power."""
    first = 200 + TIER_POINTS * index
    return replace(Tier(f"tier-{index + 1}", "cap", first, first + 1, 0.0, power_w), **changes)


def reference_spec(delay_s: float = 0.25, batteries: Sequence[BatteryControl] | None = None,
                   tiers: Sequence[Tier] = (), **changes: object) -> ControlSpec:
    """`ref-100MW`: R = 10 MW/min; one battery of 100 MW and 10 MWh (8 usable) unless others are given."""
    fleet = tuple([battery(0, 10 * MW, 100 * MW)] if batteries is None else batteries)
    tuning = tuned(RAMP_W_PER_MIN, CEILING_W - FLOOR_W, delay_s, 0.1)
    spec = ControlSpec(
        period_ms=100, input_deadline_percent=60, start_mode="auto", auto_after_s=5.0,
        grid_power=Input(GRID, 500, 50.0), load_meters=(Input(LOAD, 500, 50.0),), frequency=None,
        ramp_limit_w_per_min=RAMP_W_PER_MIN, ramp_up_w_per_s=tuning.up_w_per_s, ramp_down_w_per_s=tuning.down_w_per_s,
        import_limit_w=MAXIMUM_W, load_floor_w=FLOOR_W, load_ceiling_w=CEILING_W, load_maximum_w=MAXIMUM_W,
        delay_s=delay_s, filter_hz=tuning.filter_hz, frozen_after=20, batteries=fleet, tiers=tuple(tiers),
        load_controllers=(), cooling_rating_w=MAXIMUM_W, swing_least_w=0.02 * (CEILING_W - FLOOR_W))
    return replace(spec, **changes)
