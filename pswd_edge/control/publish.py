"""From a cycle's decision to the report in the image."""

import math
from collections.abc import Collection
from typing import NamedTuple

from pswd_edge.control.arbiter import Verdict
from pswd_edge.control.limits import HeldLimit, tightest
from pswd_edge.control.modes import ModeKeeper
from pswd_edge.control.rules.delay import total_s
from pswd_edge.control.rules.droop import frequency_hz
from pswd_edge.control.rules.following import stray_w
from pswd_edge.control.rules.law import Decision, LawState
from pswd_edge.control.timing import Histogram
from pswd_edge.model.control import ControlSpec
from pswd_edge.model.ports import FieldPort
from pswd_edge.model.report import (
    AbsorberReport,
    AlarmReport,
    BatteryReport,
    LimitReport,
    LoopReport,
    RecordingReport,
    Report,
    SetpointReport,
    ThermalReport,
    TierReport,
)
from pswd_edge.model.workload import Headroom, Workload


class Timings(NamedTuple):
    """What is brought up to date once a second: percentiles in ms, and how the recording goes."""

    late_p50_ms: float = 0.0
    late_p99_ms: float = 0.0
    late_p999_ms: float = 0.0
    late_max_ms: float = 0.0
    rules_p99_ms: float = 0.0
    input_age_p99_ms: float = 0.0
    recording: RecordingReport | None = None


class Clocks(NamedTuple):
    """When the cycle began, and how many there were."""

    cycle: int
    utc_s: float
    monotonic_s: float
    cycles: int
    missed: int
    started_utc_s: float


def timings_of(late: Histogram, rules: Histogram, age: Histogram, recording: RecordingReport) -> Timings:
    """Read the histograms."""
    return Timings(late.percentile_ms(50), late.percentile_ms(99), late.percentile_ms(99.9), late.max_ms,
                   rules.percentile_ms(99), age.percentile_ms(99), recording)


def known(value: float) -> float | None:
    """NaN becomes None: what is not known is absent."""
    return None if math.isnan(value) else value


def report_of(
    spec: ControlSpec, clocks: Clocks, keeper: ModeKeeper, decision: Decision, state: LawState,
    verdicts: list[Verdict], field: FieldPort, workloads: tuple[Workload, ...], room: Headroom,
    alarms: tuple[AlarmReport, ...], target_w: float | None, timings: Timings, limits: tuple[LimitReport, ...] = (),
    thermal: ThermalReport | None = None,
) -> Report:
    """Everything that explains this cycle."""
    made, found = decision.step, decision.estimate
    fleet = decision.fleet
    usable = [b for b, found_now in zip(spec.batteries, fleet.batteries, strict=True) if found_now.usable]
    return Report(
        cycle=clocks.cycle, utc_s=clocks.utc_s, monotonic_s=clocks.monotonic_s,
        mode=keeper.mode, mode_reason=keeper.reason,
        load_w=known(found.load_w), grid_w=known(found.grid_w),
        reference_w=None if state.reference is None else state.reference.reference_w,
        load_filtered_w=None if state.feed is None else state.feed.filtered_w,
        battery_w=known(found.battery_w), energy_wh=fleet.energy_wh if usable else None,
        energy_min_wh=sum(b.capacity_wh * b.soc_min_percent / 100 for b in usable),
        energy_max_wh=sum(b.capacity_wh * b.soc_max_percent / 100 for b in usable),
        load_floor_w=decision.limits.floor_w, load_ceiling_w=decision.limits.ceiling_w,
        reference_low_w=None if made is None else made.low_w, reference_high_w=None if made is None else made.high_w,
        binding=decision.binding, deficit_w=max(0.0, decision.need.deficit_w), surplus_w=decision.need.surplus_w,
        shed_wh=state.shed_wh, battery_target_w=target_w, headroom=room, degraded=decision.degraded,
        batteries=tuple(
            BatteryReport(b.id, b.usable, b.energy_wh, b.charge_available_w, b.discharge_available_w,
                          decision.shares.get(b.id, 0.0)) for b in fleet.batteries),
        tiers=tuple(TierReport(t.id, s.engaged, s.shed_w) for t, s in zip(spec.tiers, state.shed.tiers, strict=True)),
        setpoints=tuple(_setpoint(v, field) for v in verdicts),
        workloads=workloads, alarms=alarms, acknowledged_cycle=field.acknowledged_cycle(clocks.cycle),
        loop=_loop(spec, decision, state),
        cycles=clocks.cycles, cycles_missed=clocks.missed, started_utc_s=clocks.started_utc_s, limits=limits,
        shadow=spec.shadow, thermal=thermal, absorbers=_absorbers(spec, state),
        surplus_unmet_w=state.absorbed.unmet_w,
        droop_w=decision.droop_w, frequency_hz=known(frequency_hz(spec.droop, state.droop)), **timings._asdict())


def _absorbers(spec: ControlSpec, state: LawState) -> tuple[AbsorberReport, ...]:
    return tuple(AbsorberReport(a.id, found.ordered_w, known(found.shown_w))
                 for a, found in zip(spec.absorbers, state.absorbed.absorbers, strict=True))


def limits_of(held: Collection[HeldLimit], now_s: float) -> tuple[LimitReport, ...]:
    """Every limit that is held, and which of them bind."""
    binding = tightest(held, now_s)
    return tuple(LimitReport(h.name, h.value, h.origin, int(h.level), binding.get(h.name) is h, h.emergency,
                             max(0.0, h.until_s - now_s), max(0.0, h.from_s - now_s)) for h in held)


def _loop(spec: ControlSpec, decision: Decision, state: LawState) -> LoopReport:
    tuning = decision.tuning
    share = state.feed.share if state.feed is not None and spec.predicts else None
    stray = stray_w(state.following, [b.power_w for b in decision.fleet.batteries])
    return LoopReport(tuning.delay_s, total_s(state.delay), tuning.filter_hz, tuning.peak_gain, tuning.up_w_per_s,
                      tuning.down_w_per_s, share, stray)


def _setpoint(verdict: Verdict, field: FieldPort) -> SetpointReport:
    slot = field.slot(verdict.point)
    return SetpointReport(verdict.point, verdict.value, verdict.winner, verdict.level, verdict.limit, verdict.losers,
                          slot.state, slot.written, slot.waiting_since, slot.took_ms)
