"""`pswd-edge bench field`: the whole control process polling D devices, beside the bare loop in the same run."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from pswd_edge.bench.site import bench_site
from pswd_edge.errors import ImageError
from pswd_edge.image import ImageReader
from pswd_edge.model.site import Site, encode_site

_TICKS = os.sysconf("SC_CLK_TCK")
_WARM_S = 2.0


class Sample(NamedTuple):
    """Counters of the control process at one moment; `cpu_s` is user and system time."""

    asked: int
    answered: int
    missed: int
    cpu_s: float


class Load(NamedTuple):
    """What is polled. `fast` devices in every cycle, the others every 100 ms (None: all in every cycle)."""

    devices: int
    seconds: float
    period_ms: int
    port: int
    latency_ms: float = 0.0
    fast: int | None = None


@contextmanager
def process(*words: str) -> Iterator[subprocess.Popen[str]]:
    """One of our modules in a process of its own, ended with the block."""
    with subprocess.Popen([sys.executable, "-m", *words], stdout=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            child.terminate()
            child.wait(10)


def run(load: Load) -> dict[str, Any]:
    """Measure; the bare loop runs for half of the time before and half after, so that a drifting machine hits both."""
    with bench_folder() as folder:
        site = bench_site(load.devices, load.port, load.period_ms, folder, fast=load.fast)
        with process("simulators.servers.cheap", "--port", str(load.port), "--units", "1", "--registers", "100",
                     "--latency-ms", str(load.latency_ms)):
            wait_for(load.port)
            bare = [_bare(load)]
            with process("pswd_edge.bench.child", str(stored(site, folder))) as child:
                found = watch(child.pid, Path(site.runtime_dir), load.seconds)
            bare.append(_bare(load))
    bare_us = sum(b["cpu_us_per_poll"] for b in bare) / 2
    return {**load._asdict(), **found,
            "bare_polls_asked": sum(b["polls_asked"] for b in bare),
            "bare_polls_done": sum(b["polls_done"] for b in bare),
            "bare_cpu_us_per_poll": round(bare_us, 2), "cpu_ratio": round(found["cpu_us_per_poll"] / bare_us, 2)}


@contextmanager
def bench_folder() -> Iterator[Path]:
    """A folder on tmpfs, where there is one: the image belongs there."""
    with tempfile.TemporaryDirectory(prefix="pswd-bench-", dir=_fast_folder()) as name:
        yield Path(name)


def stored(site: Site, folder: Path) -> Path:
    """The compiled site as a file for the child."""
    path = folder / "site.bin"
    path.write_bytes(encode_site(site))
    return path


def _fast_folder() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108  # the image belongs on tmpfs


def wait_for(port: int) -> None:
    """Until something listens on loopback."""
    import socket  # noqa: PLC0415  # only to see whether the simulator listens

    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"the cheap simulator does not listen on 127.0.0.1:{port} after 10 s")


def _bare(load: Load) -> dict[str, float]:
    """Half of the time; all devices at 100 ms where only some are in the fast lane."""
    period_s = load.period_ms / 1000 if load.fast is None else max(0.1, load.period_ms / 1000)
    words = ["pswd_edge.bench.bare", "127.0.0.1",
             *map(str, (load.port, load.devices, load.seconds / 2, period_s))]
    done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def watch(pid: int, runtime: Path, seconds: float) -> dict[str, Any]:
    """What a control process did in `seconds`, after a short warming up."""
    image = opened(runtime)
    time.sleep(_WARM_S)
    before = _sample(image, pid)
    time.sleep(seconds)
    after = _sample(image, pid)
    report = image.report()
    assert report is not None  # the process has run for seconds
    memory = memory_mb(pid)
    done = after.answered - before.answered
    return {
        "polls_asked": after.asked - before.asked, "polls_done": done, "slots_missed": after.missed - before.missed,
        "cpu_us_per_poll": round((after.cpu_s - before.cpu_s) / max(1, done) * 1e6, 2),
        "cpu_percent_of_a_core": round(100 * (after.cpu_s - before.cpu_s) / seconds, 1),
        "tick_late_p50_ms": report.late_p50_ms, "tick_late_p99_ms": report.late_p99_ms,
        "tick_late_p999_ms": report.late_p999_ms, "tick_late_max_ms": report.late_max_ms,
        "cycles": report.cycles, "cycles_missed": report.cycles_missed, "input_age_p99_ms": report.input_age_p99_ms,
        "rss_mb": memory["VmRSS"], "anonymous_mb": memory["RssAnon"],
        "image_mb": round(image.layout.size / 1e6, 1)}


def opened(runtime: Path) -> ImageReader:
    """The image of a control process that has just been started."""
    for _ in range(200):
        try:
            image = ImageReader(runtime)
        except ImageError:
            time.sleep(0.1)
            continue
        if image.field_report() is not None:
            return image
        time.sleep(0.1)
    raise TimeoutError("the control process did not complete a cycle in 20 s")


def _sample(image: ImageReader, pid: int) -> Sample:
    """The counters are published once a second: wait for fresh ones, then read CPU time at that moment."""
    old = image.field_report()
    while (new := image.field_report()) is None or old is None or new.utc_s == old.utc_s:
        time.sleep(0.002)
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    cpu_s = (int(fields[11]) + int(fields[12])) / _TICKS
    return Sample(sum(x.asked for x in new.links), sum(x.answered for x in new.links),
                  sum(x.slots_missed for x in new.links), cpu_s)


def memory_mb(pid: int) -> dict[str, float]:
    """Resident memory of a process, all of it and the part that no file backs."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = {key: value for key, _, value in (line.partition(":") for line in lines)}
    return {key: round(int(found[key].split()[0]) / 1e3, 1) for key in ("VmRSS", "RssAnon")}
