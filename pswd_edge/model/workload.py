"""Workloads: what was announced, what was decided about it, what it does now."""

from enum import StrEnum

from msgspec import Struct

IDLE_SHARE = 0.1              # of its reserved power: what a paused job still draws
SCHEDULE_MAX = 24             # steps: all of 500 workloads are in every report
DEPENDENCIES_MAX = 8


class WorkloadState(StrEnum):
    """The life of a workload."""

    APPROVED = "approved"
    CONDITIONAL = "approved_with_conditions"
    REJECTED = "rejected"
    THROTTLED = "throttled"
    PAUSED = "paused"
    MIGRATING = "migrating"    # on its way down to idle; it ends where it idles
    TERMINATED = "terminated"
    EXPIRED = "expired"        # its latest start passed while it was held back


class PowerStep(Struct, frozen=True, array_like=True):
    """From `utc_s` on a workload draws about `load_w`."""

    utc_s: float
    load_w: float


class Announcement(Struct, frozen=True):
    """A workload that somebody wants to run; W, W/s, s. None: not said.

    `ramp_w_per_s` is the fastest change of its power; 0 means as fast as a step.
    `minimum_w`: the least power at which a throttled one still runs. `delay_tolerance_s`: how much later than asked it
    may be let start. `schedule` rises in time, SCHEDULE_MAX steps at most. `dependencies`: workloads that have to end
    before it starts, DEPENDENCIES_MAX at most. `max_pause_s`: the longest pause that it bears; None: any.
    """

    workload_id: str
    kind: str
    peak_w: float
    baseline_w: float
    ramp_w_per_s: float
    duration_s: int | None = None
    heat_w: float | None = None
    preferred_temperature_c: float | None = None
    critical_temperature_c: float | None = None
    can_throttle: bool = False
    can_migrate: bool = False
    delay_tolerance_s: int = 0
    priority: str = "normal"
    earliest_start_utc_s: float | None = None
    latest_completion_utc_s: float | None = None
    deadline_utc_s: float | None = None
    minimum_w: float | None = None
    average_w: float | None = None
    schedule: tuple[PowerStep, ...] = ()
    latest_start_utc_s: float | None = None
    can_pause: bool = False
    max_pause_s: int | None = None
    dependencies: tuple[str, ...] = ()


class Offer(Struct, frozen=True):
    """What an approval is to be limited to: not before, not more than (W), not longer than (s). None: no such limit."""

    start_utc_s: float | None = None
    max_power_w: float | None = None
    duration_limit_s: float | None = None


class Headroom(Struct, frozen=True):
    """What the site could take now: power at the grid, cooling, and the swing that the batteries can carry, in W.

    `carried_w` is the whole swing above the floor that they carry, what is promised already included; 0: not said.
    """

    power_w: float
    cooling_w: float
    swing_w: float
    carried_w: float = 0.0


class Workload(Struct, frozen=True):
    """An announced workload as control keeps it.

    `approved_w` is the power it may draw (its cap, less a throttle); `controllers` are indices into
    `ControlSpec.load_controllers`; `reserved_w` its share of each, in the same order.
    `target_w` is a throttle's target or None; `paused_until_utc_s` ends a pause.
    `held`: why it is held back before its start; empty once it was let start (at `started_utc_s`). `start_utc_s` is its
    approved start, None: at once. `duration_limit_s` counts from its start: then it is terminated. `unannounced_w` is
    what its racks drew for nobody that was announced, in the order of `controllers`: that is left to them while it is
    held back. `reason`: why it ended, or what became of it.
    """

    announcement: Announcement
    state: WorkloadState
    approved_w: float
    controllers: tuple[int, ...]
    reserved_w: tuple[float, ...]
    conditions: tuple[str, ...]
    announced_utc_s: float
    headroom: Headroom
    target_w: float | None = None
    ramp_w_per_s: float = 0.0
    paused_until_utc_s: float | None = None
    throttled_until_utc_s: float | None = None
    held: str = ""
    start_utc_s: float | None = None
    started_utc_s: float | None = None
    duration_limit_s: float | None = None
    unannounced_w: tuple[float, ...] = ()
    reason: str = ""
    migration_target: str = ""
