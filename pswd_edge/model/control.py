"""What the control loop is told about its site: inputs, batteries, tiers, limits. SI units throughout."""

import math
from typing import Literal

from msgspec import Struct

from pswd_edge.model.thermal import ThermalSpec

TierAction = Literal["cap", "outlet", "demand_limit"]
OnSilence = Literal["release", "hold_limit", "safe"]


class Input(Struct, frozen=True):
    """A control input: `point` index, the age at which it can no longer be used, and how late its value is.

    `latency_ms` is the device's own delay between the physics and its register (half its averaging window),
    used to put measurements of several devices on one time.
    """

    point: int
    max_age_ms: int = 500
    latency_ms: float = 0.0


class BatteryControl(Struct, frozen=True):
    """One battery. Ratings and window bound what the law may ask; points are indices or None where there is none.

    `soc_age_s` is how old the SoC can be when it is used (T_e of the law).
    `available_states` are the values of `state` in which it takes a set-point.
    `heartbeat_s` is the period of the heartbeat counter where `heartbeat` is a point. `mode` is SunSpec's WSetMod: 1
    makes the set-point count in W. `soc_resolution_percent`: the step of the SoC register, None: learnt. `soc_other` is
    a second register of the same SoC. `derating`: (degrees C, share of the ratings), the colder first.
    """

    id: str
    device: int
    soc: Input
    power: Input
    setpoint: int
    capacity_wh: float
    charge_rating_w: float
    discharge_rating_w: float
    soc_min_percent: float = 10.0
    soc_max_percent: float = 90.0
    charge_efficiency: float = 0.96
    discharge_efficiency: float = 0.96
    soc_age_s: float = 1.0
    enable: int | None = None
    heartbeat: int | None = None
    heartbeat_s: float = 1.0
    revert_timeout: int | None = None
    charge_limit: int | None = None
    discharge_limit: int | None = None
    state: int | None = None
    available_states: tuple[int, ...] = ()
    temperature: int | None = None
    mode: int | None = None
    soc_resolution_percent: float | None = None
    soc_other: Input | None = None
    derating: tuple[tuple[float, float], ...] = ()


class Ups(Struct, frozen=True):
    """A UPS: where it takes its output from, and which values of that point mean its battery.

    `bars_when_lost`: while that cannot be read, it counts as on its battery.
    """

    point: int
    on_battery: tuple[int, ...]
    id: str = ""
    bars_when_lost: bool = False


class DroopSpec(Struct, frozen=True):
    """How the batteries answer to the grid's frequency.

    Beyond `deadband_hz` from `nominal_hz` they give `w_per_hz` for each Hz that is missing (and take it where there is
    too much), `power_max_w` at most. `reserve_s`: for so long they can give that, whatever the load does; the energy
    for it is held at both ends of their window. `ramp_exempt`: it is given at once, beside the ramp of the reference;
    else the reference is led there within its ramp, and no reserve is held.
    """

    nominal_hz: float
    w_per_hz: float
    power_max_w: float
    reserve_s: float
    deadband_hz: float = 0.036
    ramp_exempt: bool = True
    max_age_ms: int = 500


class Tier(Struct, frozen=True):
    """A load that may be shed, the first in the list first.

    `setpoint` is the cap, limit or outlet; engaged it is written `engaged_value`, released `released_value`.
    `power` is the point that measures what the tier carries; shedding it takes off at most `power - floor_w`.
    `read_back` is the point that shows what the device holds of the set-point, None where none does; `shown` is what it
    shows of the engaged and of the released value, within `tolerance`.
    """

    id: str
    action: TierAction
    setpoint: int
    power: int
    engaged_value: float
    released_value: float
    floor_w: float = 0.0
    min_on_s: float = 30.0
    min_off_s: float = 30.0
    actuation_s: float = 2.0
    max_events_per_h: int = 20
    read_back: int | None = None
    shown: tuple[float, float] = (math.nan, math.nan)
    tolerance: float = 0.0


class Absorber(Struct, frozen=True):
    """A load that can be added: a load bank, a burner. `setpoint` takes 0..`maximum_w`, `power` measures what it draws.

    `actuation_s` is how long it takes to draw what it is told.
    """

    id: str
    setpoint: int
    power: int
    maximum_w: float
    actuation_s: float = 2.0


class LoadController(Struct, frozen=True):
    """A rack power controller: where workloads run and what caps them. `rating_w` is its uncapped power."""

    id: str
    device: int
    cap: int
    power: int
    rating_w: float
    run_command: int | None = None
    temperature: int | None = None
    progress: int | None = None


class Supervisor(Struct, frozen=True):
    """Who must be heard at least every `period_s` while it holds a set-point, a battery target or a limit.

    It is known by the `origin` of its requests ("api:scheduler"), or, where that is empty, by their `level`.
    `on_silence`: "release" lets go of its set-points and targets, limits stay until they run out; "hold_limit" keeps
    those beyond that, until it is heard again; "safe" releases and goes to SAFE.
    """

    name: str
    origin: str
    level: int | None
    period_s: float
    on_silence: OnSilence = "release"


class Branch(Struct, frozen=True):
    """A circuit that the law guards; indices into `ControlSpec`.

    `parent` comes after its children in `ControlSpec.branches`; None at the grid connection. `meter` measures the
    branch's active power, toward the loads positive. Where it `sums`, `children`, `loads` and `stores`, which hang
    directly on it, are all that it feeds, and stand in for the meter. With neither it is not guarded. `batteries`,
    `tiers`, `controllers` are those below it at any depth.
    """

    id: str
    rating_w: float
    parent: int | None
    meter: Input | None = None
    children: tuple[int, ...] = ()
    loads: tuple[Input, ...] = ()
    stores: tuple[int, ...] = ()
    batteries: tuple[int, ...] = ()
    tiers: tuple[int, ...] = ()
    controllers: tuple[int, ...] = ()
    sums: bool = False


class ControlSpec(Struct, frozen=True):
    """Everything that the cycle and the rules need, compiled.

    `ramp_limit_w_per_min` is the utility's R; `ramp_up_w_per_s`, `ramp_down_w_per_s` are the inner limits of the
    grid reference (R less what filter and delay add, see `tuning.py`; computed where the site does not say).
    `load_floor_w` and `load_ceiling_w` are the guaranteed load range without announcements;
    `load_maximum_w` is what the site can physically draw. `import_limit_w` is the contract power at the grid.
    `grid_power`: import positive. `load_meters`: together the whole load; they stand in for a lost grid meter.
    `grid_meters`: further meters of the grid's power, that vote with `grid_power`. `load_substitutes`: groups of
    meters, each the whole load, that stand in for `load_meters`, the first that is whole.
    `release_after_s`: a tier is given back when it has not been needed for so long; `release_gap_s` between two.
    `cooling_rating_w` is the heat that the CDUs can carry.
    `export_limit_w`: the most that may flow to the grid. `predicts`: the batteries follow the predicted swing of the
    load, where it is at least `swing_least_w` (peak), see `control/rules/feed.py`.
    `require_commissioning`: AUTO leaves out actuators without a record of commissioning. `disruptive_per_s` is how many
    select-before-operate writes may be made in a second, on one connection and on the whole site. `shadow`: decide,
    write nothing.
    `absorbers` take what reference and batteries cannot, the first first.
    `thermal`: what leads cooling and heat export, and guards temperatures; None: they are left alone.
    `supervision`: who must be heard from time to time while it holds something.
    `droop`: how `frequency` is answered; None: not at all.
    `branches`: the tree of circuits, children before parents; empty: no circuit is guarded.
    `migration_targets`: other sites that workloads may be handed over to, by name.
    `firm_resumes`: a job that we have paused comes when it is let go; reserves may count on that (`rules/firm.py`).
    """

    period_ms: int
    input_deadline_percent: int
    start_mode: Literal["observe", "auto"]
    auto_after_s: float
    grid_power: Input
    load_meters: tuple[Input, ...]
    frequency: int | None
    ramp_limit_w_per_min: float
    ramp_up_w_per_s: float
    ramp_down_w_per_s: float
    import_limit_w: float
    load_floor_w: float
    load_ceiling_w: float
    load_maximum_w: float
    delay_s: float
    filter_hz: float
    frozen_after: int
    batteries: tuple[BatteryControl, ...]
    tiers: tuple[Tier, ...]
    load_controllers: tuple[LoadController, ...]
    cooling_rating_w: float
    target_time_s: float = 60.0
    energy_time_s: float = 300.0
    energy_power_share: float = 0.02
    shed_margin_w: float = 0.5e6
    shed_fast_w: float = 5e6
    release_after_s: float = 30.0
    release_gap_s: float = 10.0
    require_commissioning: bool = True
    disruptive_per_s: int = 2
    export_limit_w: float = math.inf
    predicts: bool = False
    swing_least_w: float = 0.0
    ups: tuple[Ups, ...] = ()
    grid_meters: tuple[Input, ...] = ()
    load_substitutes: tuple[tuple[Input, ...], ...] = ()
    shadow: bool = False
    thermal: ThermalSpec | None = None
    supervision: tuple[Supervisor, ...] = ()
    droop: DroopSpec | None = None
    branches: tuple[Branch, ...] = ()
    firm_resumes: bool = False
    absorbers: tuple[Absorber, ...] = ()
    migration_targets: tuple[str, ...] = ()
