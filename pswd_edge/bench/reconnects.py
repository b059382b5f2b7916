"""`pswd-edge bench reconnects`: what thousands of broken connections leave behind."""

import signal
import time
from pathlib import Path
from typing import Any

from pswd_edge.bench.field import bench_folder, memory_mb, opened, process, stored, wait_for
from pswd_edge.bench.site import bench_site
from pswd_edge.image import ImageReader

_BETWEEN_S = 0.35             # a cycle or two to be polled again


def run(count: int, devices: int, port: int) -> dict[str, Any]:
    """Cut all connections together until there were `count` reconnects; memory and files before, halfway and after."""
    with bench_folder() as folder, process("simulators.servers.cheap", "--port", str(port)) as simulator:
        site = bench_site(devices, port, 100, folder)
        wait_for(port)
        with process("pswd_edge.bench.child", str(stored(site, folder))) as child:
            image = opened(Path(site.runtime_dir))
            _cut(simulator.pid, image, count // 10)       # until allocators have what they need
            before = _held(child.pid)
            _cut(simulator.pid, image, count // 10 + count // 2)
            halfway = _held(child.pid)
            _cut(simulator.pid, image, count // 10 + count)
            after = _held(child.pid)
            time.sleep(3.0)
            report = image.field_report()
            assert report is not None  # it has run for long
            good, links = report.devices_good, report.links
    return {"reconnects": sum(x.reconnects for x in links), "devices": devices, "devices_good_at_the_end": good,
            **{f"{key}_{when}": value for when, found in (("before", before), ("halfway", halfway), ("after", after))
               for key, value in found.items()}}


def _cut(simulator: int, image: ImageReader, until: int) -> None:
    import os  # noqa: PLC0415  # only to send the signal

    while (report := image.field_report()) is None or sum(x.reconnects for x in report.links) < until:
        os.kill(simulator, signal.SIGUSR2)
        time.sleep(_BETWEEN_S)


def _held(pid: int) -> dict[str, float]:
    """Resident memory in MB, open files and threads."""
    return {"anonymous_mb": memory_mb(pid)["RssAnon"], "files": len(list(Path(f"/proc/{pid}/fd").iterdir())),
            "threads": len(list(Path(f"/proc/{pid}/task").iterdir()))}
