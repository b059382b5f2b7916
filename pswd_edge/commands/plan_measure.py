"""How long requests and scans take in truth: from a running control's own counts, or by reading the devices."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from pswd_edge.commands.plan_time import Measured
from pswd_edge.commands.progress import Progress
from pswd_edge.commands.running import control_runs
from pswd_edge.commands.session import Sessions
from pswd_edge.errors import ImageError, PswdError
from pswd_edge.field.drivers.base import ReadRequest
from pswd_edge.field.siteplan import plan_site
from pswd_edge.image import ImageReader
from pswd_edge.model.site import Site


def from_control(site: Site, runtime_dir: Path) -> dict[str, Measured]:
    """What control has measured of this site's connections. Raises PswdError where it does not run, or runs another."""
    if not control_runs(runtime_dir):
        raise PswdError(f"{runtime_dir}: no control runs there, so nothing is measured: start it, or let plan read the "
                        "devices itself with --measure")
    with ImageReader(runtime_dir) as image:
        report, running = image.field_report(), image.site
    if report is None:
        raise ImageError(f"{runtime_dir}: control has not reported its connections yet: ask again in a second")
    if [c.id for c in running.connections] != [c.id for c in site.connections]:
        raise PswdError(f"{runtime_dir}: control runs site {running.id} with other connections: restart it with this "
                        "file first")
    return {running.connections[r.connection].id: Measured(r.trip_p50_ms, r.trip_p99_ms, r.scan_p50_ms, r.scan_p99_ms,
                                                           r.answered) for r in report.links if r.answered}


async def by_reading(site: Site, times: int) -> tuple[dict[str, Measured], list[str]]:
    """Read every request `times` times, connections side by side as control does; and what could not be read."""
    sessions, progress = Sessions(site), Progress("measure")
    notes: list[str] = []

    async def one(index: int) -> tuple[str, Measured] | None:
        connection = site.connections[index]
        try:
            driver = await sessions.driver(index)
            mine = replace(site, devices=tuple(d for d in site.devices if d.connection == index))
            requests = plan_site(mine, {index: driver})
            return connection.id, await _passes(sessions, index, requests, times, progress)
        except PswdError as error:  # a device that does not answer, a secret that cannot be read
            notes.append(f"{connection.id}: {error}")
            return None

    try:
        with progress.over(times * len(site.connections)):
            found = await asyncio.gather(*(one(c.index) for c in site.connections))
    finally:
        await sessions.close()
    return dict(f for f in found if f is not None), notes


async def _passes(sessions: Sessions, index: int, requests: Sequence[ReadRequest], times: int, progress: Progress
                  ) -> Measured:
    """Raises DeviceError where a request is not answered at all."""
    connection = sessions.site.connections[index]
    fastest_ms = min(r.period_ms for r in requests)
    trips, scans = [], []
    for _ in range(times):
        scan_s = 0.0
        for request in requests:
            started_s = time.monotonic()
            await (await sessions.driver(index)).read(request, connection.timeout_max_ms / 1000)
            trip_s = time.monotonic() - started_s
            await asyncio.sleep(connection.min_gap_ms / 1000)
            trips.append(trip_s)
            scan_s += (time.monotonic() - started_s) if request.period_ms == fastest_ms else 0.0
        scans.append(scan_s)
        progress.step()
    return Measured(*_percentiles_ms(trips), *_percentiles_ms(scans), len(trips))


def _percentiles_ms(seconds: Sequence[float]) -> tuple[float, float]:
    kept = sorted(seconds)
    return 1e3 * kept[len(kept) // 2], 1e3 * kept[min(len(kept) - 1, len(kept) * 99 // 100)]
