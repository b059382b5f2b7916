"""A real control process over one small device, and the commands as they are typed."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from msgspec.structs import replace

from pswd_edge.commands.running import envelope, operator
from pswd_edge.model.command import Mode, SetMode
from pswd_edge.model.point import Point, WriteRule
from pswd_edge.model.site import Site, encode_site
from tests.field.fieldmaker import RawDevice, modbus_point, small_site

ROOT = Path(__file__).parents[2]


class Typed(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


async def typed(*words: object, stdin: str = "", timeout_s: float = 30.0) -> Typed:
    """Run `pswd-edge WORDS` in a process of its own, as an engineer does."""
    command = [sys.executable, "-m", "pswd_edge", *map(str, words)]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe)
    try:
        async with asyncio.timeout(timeout_s):
            out, err = await process.communicate(stdin.encode())
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    found = Typed(process.returncode or 0, out.decode(), err.decode())
    assert "Traceback" not in found.err, found.err
    return found


def device_points() -> list[Point]:
    """A power, a state with labels and a set-point that is read back."""
    return [
        modbus_point(10, "float32", signal="power", period_ms=100),
        modbus_point(12, signal="state", unit="1", labels={0: "off", 3: "running"}, period_ms=100),
        modbus_point(20, signal="cap", write=WriteRule(0, 5000, read_back=2, tolerance=0.5), period_ms=100),
    ]


def tool_site(device: RawDevice, folder: Path) -> Site:
    """One meter behind one connection: dev0.p0 power, dev0.p1 state, dev0.p2 cap."""
    device.words.update({10: 0x449A, 11: 0x5000, 12: 3, 20: 0})
    site = small_site([device.port], [device_points()], [(0, 1)], period_ms=100)
    return replace(site, runtime_dir=str(folder / "run"), state_dir=str(folder / "state"))


@asynccontextmanager
async def control_of(site: Site, folder: Path) -> AsyncIterator[Path]:
    """A control process of this site; yields its runtime folder once it listens."""
    path = folder / "site.bin"
    path.write_bytes(encode_site(site))
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "pswd_edge.bench.child", str(path), cwd=ROOT)
    try:
        async with asyncio.timeout(20):
            while not (Path(site.runtime_dir) / "operator.sock").exists():  # noqa: ASYNC110  # a file tells nobody
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        yield Path(site.runtime_dir)
    finally:
        process.terminate()
        await process.wait()


async def ordered(runtime_dir: Path, mode: Mode) -> None:
    """The operator's word, and the cycle that follows it."""
    client = operator(runtime_dir)
    await client.ask(SetMode(**envelope(), mode=mode))
    client.close()
    await asyncio.sleep(0.3)


def site_file(folder: Path, port: int, changes: Sequence[tuple[str, str]] = ()) -> Path:
    """A site file with one grid meter (a map of its own) and one battery at an address where nobody is."""
    folder.joinpath("maps").mkdir()
    device_map = {
        "map": "small-meter", "kind": "meter", "driver": "modbus", "vendor": "Small", "source": "a test",
        "rung": "drafted", "points": [
            {"signal": "active_power_w", "unit": "W", "address": 10, "type": "float32"},
            {"id": "mode", "unit": "1", "address": 12, "type": "uint16", "labels": {0: "off", 3: "running"}},
            {"id": "cap", "unit": "W", "address": 20, "type": "uint16", "write": {"min": 0, "max": 5000}}]}
    (folder / "maps" / "small-meter.yaml").write_text(yaml.safe_dump(device_map))
    text = (ROOT / "tests" / "config" / "small.yaml").read_text()
    text = text.replace("port: 502}", f"port: {port}}}").replace("map: janitza-umg801", "map: small-meter")
    folders = f"maps_dir: maps\nruntime_dir: {folder}/run\nstate_dir: {folder}/state\n"
    text = text.replace("control:\n", f"{folders}control:\n", 1)
    text = text.replace("  frequency: pcc.frequency_hz\n", "")
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    path = folder / "site.yaml"
    path.write_text(text)
    return path
