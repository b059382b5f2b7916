"""A small site of one meter and one battery on a raw Modbus server, under a real control on real time."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pswd_edge.app import compiled_site, control
from pswd_edge.control.commissioned import record_all
from pswd_edge.door import OPERATOR_SOCKET, DoorClient
from pswd_edge.errors import ImageError
from pswd_edge.image import ImageReader
from pswd_edge.model.command import Outcome
from pswd_edge.model.report import Report
from pswd_edge.model.site import Site
from tests.field.fieldmaker import RawDevice, until

WRITES = {5, 6, 15, 16}
METER = """
map: plain-meter
kind: meter
driver: modbus
vendor: test
source: test
rung: drafted
defaults: {type: uint16}
points:
  - {signal: active_power_w, unit: W, address: 10, scale: 1e4}
"""
BATTERY = """
map: plain-battery
kind: battery
driver: modbus
vendor: test
source: test
rung: drafted
defaults: {type: int16}
points:
  - {signal: soc_percent, unit: "%", address: 20}
  - {signal: power_w, unit: W, address: 21, scale: 1e4}
  - signal: power_setpoint_w
    unit: W
    address: 22
    scale: 1e4
    write: {min: -60e6, max: 60e6, revert_s: 30}
  - signal: heartbeat
    unit: "1"
    address: 23
    write: {min: 0, max: 60000}
"""
SITE = """
site: {{id: shadowed, facility_id: campus, name: Shadowed}}
state_dir: {folder}/state
runtime_dir: {folder}/run
maps_dir: {folder}
connections:
  c: {{driver: modbus, host: 127.0.0.1, port: {port}}}
devices:
  grid: {{map: plain-meter, connection: c, unit: 1, trend: [active_power_w]}}
  load: {{map: plain-meter, connection: c, unit: 2}}
  bess: {{map: plain-battery, connection: c, unit: 3}}
circuits:
  utility: {{rating_w: 140e6, meter: grid}}
control:
  shadow: {shadow}
  start_mode: auto
  auto_after_s: 0.5
  grid_power: grid.active_power_w
  load_meters: [load.active_power_w]
  ramp_limit_w_per_min: 30e6
  import_limit_w: 125e6
  load_range: {{floor_w: 20e6, ceiling_w: 70e6, maximum_w: 130e6}}
  delay_s: 0.25
  cooling_rating_w: 140e6
  batteries:
    bess: {{capacity_wh: 30e6, charge_w: 60e6, discharge_w: 60e6}}
"""


async def device() -> RawDevice:
    """A meter (units 1 and 2) and a battery (unit 3): 45 MW from the grid, 5 MW from the battery."""
    made = await RawDevice().start()
    made.words |= {10: 4500, 20: 60, 21: 500, 22: 500, 23: 0}
    return made


def site_of(folder: Path, port: int, *, shadow: bool) -> Site:
    (folder / "plain-meter.yaml").write_text(METER)
    (folder / "plain-battery.yaml").write_text(BATTERY)
    path = folder / "site.yaml"
    path.write_text(SITE.format(folder=folder, port=port, shadow=str(shadow).lower()))
    site = compiled_site(path)
    record_all(site, Path(site.state_dir), "test", time.time(), "test")
    return site


def written(device: RawDevice) -> list[bytes]:
    return [pdu for _, pdu in device.asked if pdu[0] in WRITES]


async def ask(folder: Path, kind: type, **fields) -> Outcome:
    client = DoorClient(folder / "run" / OPERATOR_SOCKET)
    try:
        return await client.ask(kind(id=str(uuid.uuid4()), origin="operator:test", role="operator",
                                     issued_utc_s=time.time(), **fields), 10.0)
    finally:
        client.close()


def report_of(folder: Path) -> Report | None:
    try:
        with ImageReader(folder / "run") as image:
            return image.report()
    except ImageError:
        return None


def leads(folder: Path) -> bool:
    """Whether the law decides on a known load and leads the battery."""
    report = report_of(folder)
    return report is not None and report.load_w is not None and any(s.winner == "law" for s in report.setpoints)


@asynccontextmanager
async def living(site: Site, folder: Path, **options: bool) -> AsyncIterator[None]:
    """Control of the site, from the first decision on a known load to its end."""
    begun_s, task = time.time(), asyncio.create_task(control(site, **options))
    try:
        await until(lambda: leads(folder) and report_of(folder).started_utc_s >= begun_s, 10.0)
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
