"""What the demo says at its end: the summary, and every limit that was broken."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from pswd_edge.image import ImageReader
from pswd_edge.model.site import Site

MISSED_MAX = 2
RAMP_10S_MAX_MW_PER_MIN = 19.0


class Result(NamedTuple):
    """The summary as printed, and a sentence for each limit that did not hold."""

    summary: dict[str, Any]
    broken: list[str]


def result_of(site: Site, image: ImageReader, rows: Path, truth: dict[str, Any], seconds: float) -> Result:
    """Judge a run: `truth` is what the plant really did, by the simulators' own score."""
    report, field = image.report(), image.field_report()
    assert report is not None  # the demo waited for AUTO
    assert field is not None  # published with the first report
    uplink = _counters(rows / "uplink.json")
    limit = site.control.ramp_limit_w_per_min / 1e6
    summary: dict[str, Any] = {
        "seconds": round(seconds, 1), "cycles": report.cycles, "cycles_missed": report.cycles_missed,
        "tick_late_p99_ms": round(report.late_p99_ms, 3), "devices": len(site.devices),
        "devices_good": field.devices_good, "points": len(site.points), "ramp_limit_mw_per_min": limit,
        **{k: round(v, 3) for k, v in truth["summary"].items()},
        "mqtt_published": uplink.get("published", 0), "mqtt_acknowledged": uplink.get("acknowledged", 0),
        "mode": report.mode.value}
    broken = _broken(site, summary)
    summary["ok"] = not broken
    return Result(summary, broken)


def _counters(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}  # the gateway has not counted yet: nothing was published
    return found


def _broken(site: Site, found: dict[str, Any]) -> list[str]:
    low = min(b.soc_min_percent for b in site.control.batteries)
    high = max(b.soc_max_percent for b in site.control.batteries)
    limits = [
        ("cycles_missed", 0, MISSED_MAX), ("ramp_60s_max_mw_per_min", 0, found["ramp_limit_mw_per_min"]),
        ("ramp_10s_max_mw_per_min", 0, RAMP_10S_MAX_MW_PER_MIN), ("soc_min_percent", low, high),
        ("soc_max_percent", low, high), ("devices_good", min(16, len(site.devices)), len(site.devices)),
    ]
    return [f"{name}: got {found[name]}: expected {a:g} to {b:g}" for name, a, b in limits if not a <= found[name] <= b]
