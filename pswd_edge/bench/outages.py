"""`pswd-edge bench outages`: what the death of a device costs the others, and how long it is believed.

One of D devices on a connection of its own goes away, in turn as a black hole (its process is stopped) and with its
port closed (killed and started again); then one unit of eight behind one gateway falls silent.
"""

import contextlib
import signal
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

from pswd_edge.bench.field import bench_folder, opened, process, stored, wait_for
from pswd_edge.bench.site import REGISTERS, bench_site
from pswd_edge.image import ImageReader
from pswd_edge.model.quality import Quality
from pswd_edge.model.report import FieldReport

_UNITS, _MUTE = 8, 3
_LOOK_S = 0.002


def run(devices: int, seconds: float, trials: int, port: int) -> dict[str, Any]:
    """Both measurements; `seconds` for each state, at least 52 for the last 128 measured scans to be of that state."""
    return {**_one_of_many(devices, seconds, trials, port), **_one_unit_of_eight(seconds, port + 2)}


def _cheap(port: int, *words: str) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
    return process("simulators.servers.cheap", "--port", str(port), *words)


def _one_of_many(devices: int, seconds: float, trials: int, port: int) -> dict[str, Any]:
    victim = (devices - 1) * REGISTERS
    with bench_folder() as folder, _cheap(port), contextlib.ExitStack() as mortal:
        device = mortal.enter_context(_cheap(port + 1))
        site = bench_site(devices, port, 100, folder, last_port=port + 1)
        wait_for(port)
        wait_for(port + 1)
        with process("pswd_edge.bench.child", str(stored(site, folder))):
            image = opened(Path(site.runtime_dir))
            time.sleep(seconds)
            healthy = _others(_fresh(image))
            device.send_signal(signal.SIGSTOP)
            time.sleep(seconds)
            outage = _others(_fresh(image))
            device.send_signal(signal.SIGCONT)
            _until(image, victim, good=True)
            stale, back = [], []
            for trial in range(trials):
                time.sleep(0.5 + 0.037 * trial)
                device.send_signal(signal.SIGSTOP if trial % 2 == 0 else signal.SIGKILL)
                stale.append(_until(image, victim, good=False))
                time.sleep(1.0 + trial)
                if trial % 2 == 0:
                    device.send_signal(signal.SIGCONT)
                else:
                    device = mortal.enter_context(_cheap(port + 1))
                    wait_for(port + 1)
                back.append(_until(image, victim, good=True))
    return {"devices": devices, "others_scan_p99_ms_healthy": healthy, "others_scan_p99_ms_outage": outage,
            "trials": trials,
            "stale_after_max_ms": round(1e3 * max(stale)), "good_again_max_ms": round(1e3 * max(back)),
            "stale_after_median_ms": round(1e3 * statistics.median(stale)),
            "good_again_median_ms": round(1e3 * statistics.median(back))}


def _others(report: FieldReport) -> float:
    """The slowest scan p99 of all connections but the last."""
    return round(max(link.scan_p99_ms for link in report.links[:-1]), 2)


def _fresh(image: ImageReader) -> FieldReport:
    old = image.field_report()
    for _ in range(500):
        new = image.field_report()
        if new is not None and (old is None or new.utc_s != old.utc_s):
            return new
        time.sleep(0.01)
    raise TimeoutError("control published no health report in 5 s")


def _until(image: ImageReader, point: int, *, good: bool) -> float:
    """Seconds until the point is good, or is not."""
    started_s = time.monotonic()
    while time.monotonic() < started_s + 10.0:
        reading, _ = image.value(point, time.monotonic())
        if (reading.quality is Quality.GOOD) is good:
            return time.monotonic() - started_s
        time.sleep(_LOOK_S)
    raise TimeoutError(f"point {point}: not {'good' if good else 'bad'} in 10 s")


def _one_unit_of_eight(seconds: float, port: int) -> dict[str, Any]:
    with bench_folder() as folder, _cheap(port, "--units", str(_UNITS), "--mute", str(_MUTE)) as gateway:
        site = bench_site(_UNITS, port, 100, folder, units=_UNITS)
        wait_for(port)
        with process("pswd_edge.bench.child", str(stored(site, folder))):
            image = opened(Path(site.runtime_dir))
            time.sleep(seconds)
            before = _fresh(image).links[0]
            gateway.send_signal(signal.SIGUSR1)
            time.sleep(seconds)
            after = _fresh(image).links[0]
    lost = after.silent - before.silent
    return {"gateway_scan_p99_ms_healthy": round(before.scan_p99_ms, 2),
            "gateway_scan_p50_ms_outage": round(after.scan_p50_ms, 2),
            "gateway_scan_p99_ms_outage": round(after.scan_p99_ms, 2),
            "gateway_time_outs": lost, "gateway_mean_back_off_ms": round(1e3 * seconds / max(1, lost)),
            "gateway_time_out_ms": round(after.timeout_ms), "gateway_slots_missed": after.slots_missed}
