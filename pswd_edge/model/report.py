"""What control publishes of itself each cycle: the reasons behind the set-points. Lies in the image."""

from msgspec import Struct

from pswd_edge.model.command import Mode
from pswd_edge.model.workload import Headroom, Workload


class SetpointReport(Struct, frozen=True):
    """One actuated point: what is wanted, who won, what bound it, how far the device is.

    `wanted` is the arbiter's value (None: nobody wants it, not written). `winner` is "law", "api:alice", …;
    `level` its level. `limit` names the binding limit or is empty; `losers` those who asked in vain.
    `state` is the actuator's: "idle", "pending", "selected", "acknowledged", "verified" (read back), "effective" (seen
    on a meter), "mismatch", "ineffective", "refused", "silent".
    `written` is what the device holds, None where that is not known. `waiting_since` is the cycle that first wanted
    what the device has not acknowledged yet, or None: a command of an earlier cycle has arrived. `took_ms` is from
    sending to acknowledgement of the last write, or None before the first.
    """

    point: int
    wanted: float | None
    winner: str
    level: int
    limit: str
    losers: tuple[str, ...]
    state: str
    written: float | None
    waiting_since: int | None = None
    took_ms: float | None = None


NOT_APPLIED = frozenset({"mismatch", "ineffective", "refused", "silent"})
"""States of a set-point that its device has not taken up."""


class TierReport(Struct, frozen=True):
    """A shed tier: engaged or not, and the power that it took off when it was engaged, W."""

    id: str
    engaged: bool
    shed_w: float


class AbsorberReport(Struct, frozen=True):
    """A load that can be added: what it is told to draw, and what its meter shows (None: not known), W."""

    id: str
    ordered_w: float
    power_w: float | None


class BatteryReport(Struct, frozen=True):
    """A battery as the law sees it; W, Wh. `usable` is False where it is lost, faulted or silent."""

    id: str
    usable: bool
    energy_wh: float
    charge_available_w: float
    discharge_available_w: float
    setpoint_w: float


class AlarmReport(Struct, frozen=True):
    """A condition that somebody should act on. It is listed while it holds, and where it latches until acknowledged.

    `since_utc_s` is when it first began, `last_utc_s` when it last did; `count` how often it has come in that time.
    `severity` is "info", "warning" or "critical". `active`: it holds, or ended so lately that it may come back;
    False only for one that waits to be acknowledged, or is shelved. `ended_utc_s` is None while it is active,
    `acknowledged_utc_s` until somebody (`acknowledged_by`) has seen it. Until `shelved_until_utc_s` it is listed, but
    not told; None: not shelved.
    """

    code: str
    message: str
    since_utc_s: float
    severity: str = "warning"
    latched: bool = False
    active: bool = True
    acknowledged_utc_s: float | None = None
    acknowledged_by: str = ""
    count: int = 1
    last_utc_s: float = 0.0
    ended_utc_s: float | None = None
    shelved_until_utc_s: float | None = None
    shelved_by: str = ""


class LoopReport(Struct, frozen=True):
    """How fast the control loop is, and what was chosen from that; s, Hz, W/s.

    `delay_s` is what the law works with, `measured_delay_s` what it has measured (None: too little has moved yet).
    `peak_gain` is what the filter of corner `filter_hz` may make of the worst swing. `ramp_*` are the inner limits of
    the reference. `predicted_share` is how much of the predicted swing is followed, 0..1; None without a predictor.
    `stray_w` is what batteries give that do not follow.
    """

    delay_s: float
    measured_delay_s: float | None
    filter_hz: float
    peak_gain: float
    ramp_up_w_per_s: float
    ramp_down_w_per_s: float
    predicted_share: float | None
    stray_w: float


class LimitReport(Struct, frozen=True):
    """A limit that is tighter than the site file's for a while; W, or W/min for the ramp.

    `binds`: it is the tightest of its name. `emergency`: it is reached at once, whatever the ramp. `left_s` is how long
    it still holds; it begins in `begins_s`, 0 where it is in force.
    """

    name: str
    value: float
    origin: str
    level: int
    binds: bool
    emergency: bool
    left_s: float
    begins_s: float = 0.0


class InterlockReport(Struct, frozen=True):
    """An over-temperature interlock: `step` of `steps` is in force, 0 for none; degC, None where it is not known."""

    id: str
    step: int
    steps: int
    latched: bool
    temperature_c: float | None


class HeatExportReport(Struct, frozen=True):
    """A heat exchanger toward a heat network: on, or off as its supply could not be held; degC."""

    id: str
    on: bool
    supply_c: float | None


class ThermalReport(Struct, frozen=True):
    """Thermal coordination. `cooling_share`: of the cooler that is led furthest, 0..1; None without coolers."""

    cooling_share: float | None
    interlocks: tuple[InterlockReport, ...] = ()
    exports: tuple[HeatExportReport, ...] = ()


class RecordingReport(Struct, frozen=True):
    """The recording of what the rules see. Counts since control started; `dropped` since the recording began.

    `file` is the one being written, or empty. `until_utc_s`: None: no end. `note_us` is what a cycle's recording costs
    the loop on average, `pack_us` what it costs the thread. `trouble`: why it has ended.
    """

    on: bool
    folder: str
    file: str
    cycles: int
    bytes: int
    dropped: int
    since_utc_s: float
    until_utc_s: float | None
    note_us: float
    pack_us: float
    trouble: str = ""


class Report(Struct, frozen=True):
    """The state of control after one cycle. Powers in W, grid import and battery discharge positive.

    None means not known (no good input), never 0. `binding` names what bound the reference in this cycle:
    "target", "ramp_up", "ramp_down", "reserve_up", "reserve_down", "reserve_insufficient"; or what bound the
    batteries: "battery" (their limits), "manual", "safe", "blind" (no load known), "observe". Energies are those of
    the usable batteries together. `degraded` lists the degraded modes in force. `acknowledged_cycle`: every set-point
    decided up to that cycle has been acknowledged by its device. `utc_s` is when the cycle began. `shadow`: nothing of
    it was written. `surplus_w` is what reference and batteries cannot absorb of the load as it is measured;
    `surplus_unmet_w` what no absorber is left to take of it either. `droop_w` is what the batteries give for the grid's
    frequency (discharge positive), None where it is not answered by configuration; `frequency_hz` is the frequency that
    is answered.
    """

    cycle: int
    utc_s: float
    monotonic_s: float
    mode: Mode
    mode_reason: str
    load_w: float | None
    grid_w: float | None
    reference_w: float | None
    load_filtered_w: float | None
    battery_w: float | None
    energy_wh: float | None
    energy_min_wh: float
    energy_max_wh: float
    load_floor_w: float
    load_ceiling_w: float
    reference_low_w: float | None
    reference_high_w: float | None
    binding: str
    deficit_w: float
    surplus_w: float
    shed_wh: float
    battery_target_w: float | None
    headroom: Headroom
    degraded: tuple[str, ...]
    batteries: tuple[BatteryReport, ...]
    tiers: tuple[TierReport, ...]
    setpoints: tuple[SetpointReport, ...]
    workloads: tuple[Workload, ...]
    alarms: tuple[AlarmReport, ...]
    acknowledged_cycle: int
    cycles: int
    cycles_missed: int
    late_p50_ms: float
    late_p99_ms: float
    late_p999_ms: float
    late_max_ms: float
    rules_p99_ms: float
    input_age_p99_ms: float
    started_utc_s: float
    loop: LoopReport | None = None
    limits: tuple[LimitReport, ...] = ()
    shadow: bool = False
    recording: RecordingReport | None = None
    thermal: ThermalReport | None = None
    droop_w: float | None = None
    frequency_hz: float | None = None
    absorbers: tuple[AbsorberReport, ...] = ()
    surplus_unmet_w: float = 0.0


class LinkReport(Struct, frozen=True):
    """One connection's health. `state`: "closed", "open", "backoff". Times in ms; counts since start.

    `trip_*` are round trips of reads that were answered, one in eight, `scan_*` scans of the cycle's own class from
    their begin to their last answer, one in four; the last 128 each, 0.0 where there was none.
    """

    connection: int
    state: str
    reason: str
    round_trip_ms: float
    timeout_ms: float
    asked: int
    answered: int
    silent: int
    refused: int
    late: int
    reconnects: int
    slots_missed: int
    trip_p50_ms: float = 0.0
    trip_p99_ms: float = 0.0
    scan_p50_ms: float = 0.0
    scan_p99_ms: float = 0.0


class DeviceReport(Struct, frozen=True):
    """One device's health.

    `refresh_ms` is how often it really renews what it shows, as learnt from its answers: no shorter than the polling;
    None: not known, or hardly ever. `clock_offset_s` is its clock less ours by its newest time stamp (positive: it is
    ahead); a value that has not changed for long makes it look behind. None: it sends no time.
    """

    device: int
    points_not_good: int
    refresh_ms: float | None
    clock_offset_s: float | None


class FieldReport(Struct, frozen=True):
    """All connections and devices, once a second. `texts` are those of text points that are not BAD, by point."""

    utc_s: float
    links: tuple[LinkReport, ...]
    points_good: int
    points_uncertain: int
    points_bad: int
    devices_good: int
    devices: tuple[DeviceReport, ...] = ()
    texts: dict[int, str] = {}
