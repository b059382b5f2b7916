"""Workloads: what was announced, what was decided about it, what it does now."""

from enum import StrEnum

from msgspec import Struct

IDLE_SHARE = 0.1              # of its reserved power: what a paused job still draws


class WorkloadState(StrEnum):
    """The life of a workload."""

    APPROVED = "approved"
    CONDITIONAL = "approved_with_conditions"
    REJECTED = "rejected"
    THROTTLED = "throttled"
    PAUSED = "paused"
    TERMINATED = "terminated"


class Announcement(Struct, frozen=True):
    """A workload that somebody wants to run; W, W/s, s. None: not said.

    `ramp_w_per_s` is the fastest change of its power; 0 means as fast as a step.
    `minimum_w`: the least power at which a throttled one still runs.
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


class Headroom(Struct, frozen=True):
    """What the site could take now: power at the grid, cooling, and the swing that the batteries can carry, in W."""

    power_w: float
    cooling_w: float
    swing_w: float


class Workload(Struct, frozen=True):
    """An announced workload as control keeps it.

    `approved_w` is the power it may draw (its cap, less a throttle); `controllers` are indices into
    `ControlSpec.load_controllers`; `reserved_w` its share of each, in the same order.
    `target_w` is a throttle's target or None; `paused_until_utc_s` ends a pause.
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
