"""`pswd-edge read`: what devices say, from the image of a running control, or fresh from the devices."""

import argparse
import asyncio
import fnmatch
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pswd_edge.app import compiled_site
from pswd_edge.clock import iso_utc
from pswd_edge.commands.running import add_runtime_dir, open_image, refuse_while_running
from pswd_edge.commands.session import Devices, controls_devices, own_devices
from pswd_edge.commands.table import table
from pswd_edge.errors import PswdError
from pswd_edge.image import ImageReader
from pswd_edge.model.look import FreshReading
from pswd_edge.model.point import Point
from pswd_edge.model.quality import Quality
from pswd_edge.model.site import Site

EPILOG = """examples:
  pswd-edge read                              every point of the running site
  pswd-edge read pcc bess-1.soc_percent       a device, and one signal of another
  pswd-edge read 'rack-*.active_power_w'      a pattern (quoted, for the shell)
  pswd-edge read pcc --raw                    asked just now, with the registers and the request
  pswd-edge read --site site.yaml pcc         opens the device from here, while no control runs"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.epilog, parser.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    parser.add_argument("targets", nargs="*", help="DEVICE, DEVICE.SIGNAL or a pattern of these; all points without")
    parser.add_argument("--site", type=Path, help="open the devices of this site from here; refused while control runs")
    add_runtime_dir(parser)
    parser.add_argument("--fresh", action="store_true", help="ask the devices now, through control's own sessions")
    parser.add_argument("--raw", action="store_true", help="also the registers and the request; implies --fresh")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")


def run(options: argparse.Namespace) -> int:
    """0 where every value is good, 1 where one is not."""
    if options.site is not None:
        site = compiled_site(options.site)
        refuse_while_running(site, options.runtime_dir)
        rows = asyncio.run(_fresh_rows(site, chosen(site, options.targets), None))
    else:
        with open_image(options.runtime_dir) as image:
            points = chosen(image.site, options.targets)
            if options.fresh or options.raw:
                rows = asyncio.run(_fresh_rows(image.site, points, options.runtime_dir))
            else:
                rows = [_image_row(image, p) for p in points if p.readable]
    shown(rows, raw=options.raw, as_json=options.json)
    return 0 if all(r["quality"] == Quality.GOOD.name for r in rows) else 1


def chosen(site: Site, targets: Sequence[str]) -> list[Point]:
    """The points that the targets name, in the site's order. Raises PswdError for one that names nothing."""
    if not targets:
        return list(site.points)
    found: set[int] = set()
    for target in targets:
        hits = [p for p in site.points if fnmatch.fnmatchcase(p.id, target)
                or fnmatch.fnmatchcase(site.devices[p.device].id, target)]
        if not hits:
            raise PswdError(f"{target}: {_no_such(site, target)}")
        found.update(p.index for p in hits)
    return [site.points[i] for i in sorted(found)]


def _no_such(site: Site, target: str) -> str:
    device = target.partition(".")[0]
    if device in site.device_index:
        signals = ", ".join(p.signal for p in site.points if site.devices[p.device].id == device)
        return f"{device} has no such signal; it has: {signals}"
    return f"no such device on {site.id}; there are: {', '.join(site.device_index)}"


def label(point: Point, value: float | None) -> str:
    """The name of an enumeration's value, or nothing."""
    return point.labels.get(int(value), "") if value is not None and value.is_integer() else ""


def _image_row(image: ImageReader, point: Point) -> dict[str, Any]:
    reading, source_utc_s = image.value(point.index, time.monotonic())
    value = reading.value if math.isfinite(reading.value) else None
    return _row(point, value, reading.quality.name, reading.reason.name,
                reading.age_s if math.isfinite(reading.age_s) else None,
                source_utc_s if math.isfinite(source_utc_s) else None)


def _row(point: Point, value: float | None, quality: str, reason: str, age_s: float | None,
         source_utc_s: float | None) -> dict[str, Any]:
    return {"point": point.id, "value": value, "unit": point.unit, "label": label(point, value), "quality": quality,
            "reason": reason, "age_s": age_s, "source_time": None if source_utc_s is None else iso_utc(source_utc_s)}


async def _fresh_rows(site: Site, points: Sequence[Point], runtime_dir: Path | None) -> list[dict[str, Any]]:
    async with own_devices(site) if runtime_dir is None else controls_devices(site, runtime_dir) as devices:
        return await fresh_rows(devices, [p for p in points if p.readable])


async def fresh_rows(devices: Devices, points: Sequence[Point]) -> list[dict[str, Any]]:
    """Rows as of the image, asked now: with request, registers, round trip and what went wrong."""
    by_id = {p.id: p for p in points}
    return [fresh_row(by_id[r.point], r) for r in await devices.read(points)]


def fresh_row(point: Point, r: FreshReading) -> dict[str, Any]:
    """One fresh reading as a row."""
    row = _row(point, r.value, r.quality, r.reason, 0.0 if r.value is not None else None, r.source_utc_s)
    return {**row, "request": r.request, "raw": r.raw, "round_trip_ms": round(r.round_trip_ms, 2), "error": r.error}


def shown(rows: Sequence[dict[str, Any]], *, raw: bool, as_json: bool) -> None:
    """Print rows."""
    if as_json:
        print(json.dumps({"readings": list(rows)}))
        return
    names = ["point", "value", "unit", "quality", "reason", "age", "source time"]
    columns = [*names, "raw", "request", "ms"] if raw else names
    print(table(columns, [_cells(r, raw=raw) for r in rows], right=("value", "age")))
    for request, error in dict.fromkeys((r.get("request", ""), r["error"]) for r in rows if r.get("error")):
        print(f"{request or rows[0]['point']}: {error}")


def _cells(row: dict[str, Any], *, raw: bool) -> list[str]:
    value = "-" if row["value"] is None else f"{row['value']:.10g}"
    unit = row["label"] or ("" if row["unit"] == "1" else row["unit"])
    age = "never" if row["age_s"] is None else f"{row['age_s']:.1f} s"
    reason = "" if row["reason"] == "NONE" else row["reason"]
    cells = [row["point"], value, unit, row["quality"], reason, age, row["source_time"] or ""]
    return [*cells, row["raw"], row["request"], f"{row['round_trip_ms']:.1f}"] if raw else cells
