"""A site of D devices with 100 registers each, all asked every cycle: built in code, since no YAML would be read."""

from pathlib import Path

from pswd_edge.model.control import ControlSpec, Input
from pswd_edge.model.device import Connection, Device
from pswd_edge.model.point import ModbusAddress, Point
from pswd_edge.model.site import Site

REGISTERS = 100


def bench_site(devices: int, port: int, period_ms: int, folder: Path) -> Site:
    """Each device has a connection of its own to the cheap simulator on `port`."""
    points = []
    for d in range(devices):
        points += [
            Point(index=d * REGISTERS + r, id=f"meter-{d}.register_{r}", device=d, signal=f"register_{r}", unit="1",
                  address=ModbusAddress(register=r, type="uint16"), scale=0.1, invalid=(65535.0,), minimum=0.0,
                  maximum=6553.4, period_ms=period_ms, trend=d == 0 and r < 10) for r in range(REGISTERS)]
    return Site(
        id="bench", facility_id="bench", name="Benchmark",
        connections=tuple(Connection(d, f"c{d}", "modbus", {"host": "127.0.0.1", "port": port})
                          for d in range(devices)),
        devices=tuple(Device(d, f"meter-{d}", "meter", d, 1, "bench", d * REGISTERS, REGISTERS)
                      for d in range(devices)),
        points=tuple(points), circuits=(), control=_control(period_ms),
        state_dir=str(folder / "state"), runtime_dir=str(folder / "run"))


def _control(period_ms: int) -> ControlSpec:
    return ControlSpec(
        period_ms=period_ms, input_deadline_percent=60, start_mode="observe", auto_after_s=5.0,
        grid_power=Input(point=0), load_meters=(), frequency=None, ramp_limit_w_per_min=10e6,
        ramp_up_w_per_s=1e5, ramp_down_w_per_s=1e5, import_limit_w=1e8, load_floor_w=0.0, load_ceiling_w=5e7,
        load_maximum_w=1e8, delay_s=0.25, filter_hz=0.15, frozen_after=0, batteries=(), tiers=(), load_controllers=(),
        cooling_rating_w=1e8)
