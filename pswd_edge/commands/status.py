"""`pswd-edge status`: what control does now, read from the image."""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from pswd_edge.clock import iso_utc
from pswd_edge.commands.limit import limit_line
from pswd_edge.commands.running import add_runtime_dir
from pswd_edge.image import ImageReader
from pswd_edge.model.quality import Quality, Reason
from pswd_edge.model.report import AlarmReport, FieldReport, LoopReport, Report, ThermalReport
from pswd_edge.model.site import Site

ALIVE_S = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    add_runtime_dir(parser)
    parser.add_argument("--json", action="store_true", help="the whole report as JSON")


def runtime_dir(options: argparse.Namespace) -> Path:
    """The folder of a running site."""
    path: Path = options.runtime_dir
    return path


def run(options: argparse.Namespace) -> int:
    """0 where control lives, 1 where it does not."""
    with ImageReader(runtime_dir(options)) as image:
        report, field = image.report(), image.field_report()
        age_s = time.monotonic() - image.beat_s
        alive = report is not None and age_s < ALIVE_S
        if options.json:
            texts = {} if field is None else {image.site.points[i].id: text for i, text in field.texts.items()}
            found = {"alive": alive, "report": msgspec.to_builtins(report), "field": msgspec.to_builtins(field),
                     "texts": texts}
            print(msgspec.json.encode(found).decode())
        elif report is None:
            print("control has not completed a cycle yet")
        else:
            print("\n".join(_lines(image.site, report, field, age_s)))
            print("\n".join(_bad_points(image)))
        return 0 if alive else 1


def _mw(value: float | None) -> str:
    return "     ?" if value is None else f"{value / 1e6:6.2f}"


def _loads(report: Report) -> Iterator[str]:
    """Loads that can be added and loads that can be shed."""
    for bank in report.absorbers:
        yield f"  absorber {bank.id:8} told to draw {_mw(bank.ordered_w)} MW, draws {_mw(bank.power_w)}"
    for t in report.tiers:
        yield f"  tier {t.id:12} {'SHED ' + _mw(t.shed_w) + ' MW' if t.engaged else 'free'}"


def _lines(site: Site, report: Report, field: FieldReport | None, age_s: float) -> Iterator[str]:
    state = "alive" if age_s < ALIVE_S else f"SILENT for {age_s:.0f} s"
    yield f"{site.id}: control {state}, {report.mode.value} ({report.mode_reason})"
    if report.shadow:
        yield "SHADOW: decides and writes nothing; set-points are what would be written"
    yield (f"load {_mw(report.load_w)} MW  grid {_mw(report.grid_w)} MW  battery {_mw(report.battery_w)} MW  "
           f"reference {_mw(report.reference_w)} MW, bound by {report.binding}")
    yield (f"guaranteed load {_mw(report.load_floor_w)} to {_mw(report.load_ceiling_w)} MW; energy "
           f"{_mw(report.energy_wh)} MWh of {_mw(report.energy_min_wh)} to {_mw(report.energy_max_wh)}")
    yield from _parts(report)
    for b in report.batteries:
        yield (f"  {b.id:12} {'usable' if b.usable else 'LOST  '} set-point {_mw(b.setpoint_w)} MW, can give "
               f"{_mw(b.discharge_available_w)} and take {_mw(b.charge_available_w)} MW")
    yield from (f"  {limit_line(limit)}" for limit in report.limits)
    yield from _loads(report)
    for a in report.alarms:
        yield f"  ALARM {a.severity} {a.code}: {a.message} since {iso_utc(a.since_utc_s)}{alarm_state(a)}"
    yield (f"{report.cycles} cycles, {report.cycles_missed} missed; late p99 {report.late_p99_ms:.2f} ms, "
           f"max {report.late_max_ms:.2f} ms; rules p99 {report.rules_p99_ms:.2f} ms")
    if field is not None:
        yield f"points: {field.points_good} good, {field.points_uncertain} uncertain, {field.points_bad} bad"
        for link in field.links:
            if link.state != "open":
                yield f"  {site.connections[link.connection].id}: {link.state}: {link.reason}"


def _parts(report: Report) -> Iterator[str]:
    """One line for each part of control that this site has."""
    if report.loop is not None:
        yield _loop(report.loop)
    if report.droop_w is not None:
        yield _droop(report.droop_w, report.frequency_hz)
    if report.thermal is not None:
        yield _thermal(report.thermal)


def _loop(loop: LoopReport) -> str:
    measured = "not measured yet" if loop.measured_delay_s is None else f"measured {loop.measured_delay_s:.2f} s"
    predicted = "" if loop.predicted_share is None else f"; follows {loop.predicted_share:.0%} of the predicted swing"
    up, down = loop.ramp_up_w_per_s * 60, loop.ramp_down_w_per_s * 60
    return (f"loop: delay {loop.delay_s:.2f} s ({measured}), filter {loop.filter_hz:.3f} Hz, worst swing times "
            f"{loop.peak_gain:.2f}; inner ramps {_mw(up).strip()} up, {_mw(down).strip()} down MW/min{predicted}")


def _thermal(found: ThermalReport) -> str:
    said = [] if found.cooling_share is None else [f"cooling {found.cooling_share:.0%} of ready"]
    for lock in found.interlocks:
        state = "LATCHED" if lock.latched else f"step {lock.step} of {lock.steps}" if lock.step else "free"
        said.append(f"{lock.id} {_degrees(lock.temperature_c)} {state}")
    said += [f"heat export {e.id} {'on' if e.on else 'OFF'} at {_degrees(e.supply_c)}" for e in found.exports]
    return f"thermal: {'; '.join(said) or 'nothing to lead'}"


def _degrees(value: float | None) -> str:
    return "? degC" if value is None else f"{value:.1f} degC"


def _droop(power_w: float, frequency_hz: float | None) -> str:
    at = "frequency not known" if frequency_hz is None else f"{frequency_hz:.3f} Hz"
    return f"droop: {_mw(power_w).strip()} MW at {at}"


def alarm_state(alarm: AlarmReport) -> str:
    """What else there is to know: how often it came, whether it is over, who has seen or shelved it; "" for nothing."""
    found = [f"{alarm.count} times"] if alarm.count > 1 else []
    if alarm.ended_utc_s is not None:
        found.append(f"over since {iso_utc(alarm.ended_utc_s)}")
    if alarm.acknowledged_utc_s is not None:
        found.append(f"acknowledged by {alarm.acknowledged_by}")
    elif not alarm.active and alarm.latched:
        found.append("not acknowledged")
    if alarm.shelved_until_utc_s is not None:
        found.append(f"shelved until {iso_utc(alarm.shelved_until_utc_s)} by {alarm.shelved_by}")
    return f" ({', '.join(found)})" if found else ""


def _bad_points(image: ImageReader) -> Iterator[str]:
    """One line a device and cause: a dead device has a hundred bad points and one trouble."""
    _, quality, reason, _, _ = image.latest()
    causes: dict[tuple[str, str, str], list[str]] = {}
    for point in image.site.points:
        if point.readable and quality[point.index] != Quality.GOOD:
            device = image.site.devices[point.device].id
            cause = (device, Quality(quality[point.index]).name, Reason(reason[point.index]).name)
            causes.setdefault(cause, []).append(point.signal)
    for (device, how, why), signals in causes.items():
        more = f" and {len(signals) - 3} more" if len(signals) > 3 else ""
        yield f"  {device}: {how} {why}: {', '.join(signals[:3])}{more}"
