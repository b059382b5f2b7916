"""`pswd-edge bench streams`: how evenly rows reach many WebSocket clients, some of which do not read."""

import math
import os
import re
from pathlib import Path
from typing import Any

from pswd_edge.bench.field import memory_mb
from pswd_edge.commands.bench_site import Place, generator, stream_identities
from pswd_edge.commands.campus import Rig, running_site, until_auto

_PATHS = ("/dcpi/api/v1/stream/power/realtime", "/dcpi/api/v1/stream/thermal/realtime")
_CUT = re.compile(r"client cut.*(does not keep up|no sign of life)")
_EACH = 20          # streams of one client; the gateway gives it 25
_TICKS = os.sysconf("SC_CLK_TCK")


async def measure(place: Place, clients: int, stalled: int, seconds: float) -> dict[str, Any]:
    """Half of the clients on each stream, over TLS with a client certificate; the last `stalled` do not read.

    Jitter is how far the time between two arrivals at a live client is from the site's period.
    """
    async with running_site(place.site, place.folder, place.http_port) as rig:
        await until_auto(rig)
        targets = stream_targets(rig, clients)
        child = await generator("stream_clients", {"targets": targets, "stalled": stalled, "seconds": seconds,
                                                   "period_ms": rig.site.control.period_ms})
        if await child.line() != "connected":
            raise RuntimeError("the clients could not connect")
        before = _processes(rig)
        found = await child.result()
        after = _processes(rig)
        report = rig.image.report()
        assert report is not None  # the site was in AUTO
        cpu = {f"{name}_cpu_percent": round(100 * (after[name][0] - before[name][0]) / seconds, 1) for name in after}
        return {"clients": clients, "seconds": seconds, **found, **cpu, "cut_by_gateway": _cut(rig.folder),
                "gateway_rss_begin_mb": before["gateway"][1], "gateway_rss_end_mb": after["gateway"][1],
                "cycles_missed": report.cycles_missed}


def stream_targets(rig: Rig, count: int) -> list[dict[str, Any]]:
    """So many connections on either stream in turn, `_EACH` of every client."""
    listener = next(found for found in rig.site.listeners if "dcpi" in found.profiles)
    who = stream_identities(rig, math.ceil(count / _EACH))
    return [{"host": listener.host, "port": listener.port, "path": _PATHS[n % 2], "tls": who[n // _EACH]}
            for n in range(count)]


def _processes(rig: Rig) -> dict[str, tuple[float, float]]:
    """CPU time in s and resident memory in MB of control and gateway."""
    found = {}
    for name, unit in rig.supervisor.units.items():
        if unit.pid is not None:
            fields = Path(f"/proc/{unit.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            found[name] = ((int(fields[11]) + int(fields[12])) / _TICKS, memory_mb(unit.pid)["VmRSS"])
    return found


def _cut(folder: Path) -> int:
    """How many clients the gateway says that it cut."""
    return sum(bool(_CUT.search(line)) for line in (folder / "gateway.log").read_text(encoding="utf-8").splitlines())
