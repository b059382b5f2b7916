"""What the control loop is told about heat: what cools, what is too hot, what heat is given away. SI but L/min."""

from typing import Literal

from msgspec import Struct

WhenLost = Literal["over", "first_step", "alarm"]


class Measure(Struct, frozen=True):
    """A measured value: `point` index, and the age at which it can no longer be used."""

    point: int
    max_age_s: float = 5.0


class Lead(Struct, frozen=True):
    """One set-point that goes ahead of heat: `normal` without any, `ready` for all that its cooler is rated for.

    `point` is written, within `low`..`high`, never faster than `rate_per_s`. All in the point's own unit.
    """

    point: int
    normal: float
    ready: float
    low: float
    high: float
    rate_per_s: float


class Cooler(Struct, frozen=True):
    """A CDU or chiller and what it cools.

    `serves` are indices into `ControlSpec.load_controllers`; it carries `heat_share` of their power, `rating_w` at
    most. `hot`: the temperature of what comes back, where there is one; from `goal_c` on it asks for more cooling by
    itself, at `goal_c + band_c` for all. NaN where it is not watched.
    """

    id: str
    serves: tuple[int, ...]
    heat_share: float
    rating_w: float
    leads: tuple[Lead, ...]
    hot: Measure | None = None
    goal_c: float = float("nan")
    band_c: float = 4.0


class CapStep(Struct, frozen=True):
    """One step of an interlock: load controllers down to `cap_share` of their rating, `sheds` are tier indices."""

    cap_share: float
    sheds: tuple[int, ...] = ()


class Interlock(Struct, frozen=True):
    """What is done when a temperature is too high; degC, s.

    At `limit_c` for `confirm_s` the first step, and each `step_s` that it stays there the next. At `trip_c` for
    `confirm_s` the last step, latched. Below `reset_c` for `release_after_s` one step less. `caps` are indices into
    `ControlSpec.load_controllers`. A temperature that cannot be used for `lost_after_s` counts as over the limit
    ("over"), as over it for the first step only, or as an alarm alone.
    """

    id: str
    temperature: Measure
    limit_c: float
    trip_c: float
    reset_c: float
    caps: tuple[int, ...]
    steps: tuple[CapStep, ...]
    confirm_s: float = 2.0
    step_s: float = 30.0
    release_after_s: float = 120.0
    when_lost: WhenLost = "over"
    lost_after_s: float = 10.0


class HeatExport(Struct, frozen=True):
    """A heat exchanger toward a heat network, held at `goal_c` within `low_c`..`high_c` (supply of the network).

    `flow` leads from its least flow to its most; `fall_c` is the fall over the network that the flow is chosen for.
    `enable` is None where the device has none; then its least flow is all that can be done. Outside the band for
    `off_after_s` it is switched off, and tried again after `retry_s`, each time twice as long, eight times at most.
    """

    id: str
    supply: Measure
    heat: Measure
    setpoint: Lead
    flow: Lead
    goal_c: float
    low_c: float
    high_c: float
    fall_c: float
    enable: int | None = None
    off_after_s: float = 60.0
    retry_s: float = 300.0


class ThermalSpec(Struct, frozen=True):
    """The thermal part of a site.

    An announced workload's heat counts from `lead_s` before its start until `hold_s` after it; then what its racks
    draw counts alone. Cooling that is no longer needed is taken back over `ease_s`.
    """

    coolers: tuple[Cooler, ...] = ()
    interlocks: tuple[Interlock, ...] = ()
    exports: tuple[HeatExport, ...] = ()
    lead_s: float = 120.0
    hold_s: float = 900.0
    ease_s: float = 300.0
