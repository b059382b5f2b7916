"""A site of D devices with 100 registers each, all asked every cycle: built in code, since no YAML would be read."""

from pathlib import Path

from pswd_edge.model.control import ControlSpec, Input
from pswd_edge.model.device import Connection, Device
from pswd_edge.model.point import ModbusAddress, Point
from pswd_edge.model.site import Site

REGISTERS = 100


def bench_site(devices: int, port: int, period_ms: int, folder: Path, *, fast: int | None = None, units: int = 1,
               last_port: int | None = None) -> Site:
    """`units` devices share a connection to the cheap simulator on `port`; the last connection goes to `last_port`.

    The first `fast` devices are read in every cycle (None: all), the others every 100 ms at most. The grid meter, whose
    age the cycle reports, is the first register of the first device.
    """
    points = []
    for d in range(devices):
        every_ms = period_ms if fast is None or d < fast else max(100, period_ms)
        points += [
            Point(index=d * REGISTERS + r, id=f"meter-{d}.register_{r}", device=d, signal=f"register_{r}", unit="1",
                  address=ModbusAddress(register=r, type="uint16"), scale=0.1, invalid=(65535.0,), minimum=0.0,
                  maximum=6553.4, period_ms=every_ms, trend=d == 0 and r < 10) for r in range(REGISTERS)]
    last = (devices - 1) // units
    ports = {last: last_port or port}
    return Site(
        id="bench", facility_id="bench", name="Benchmark",
        connections=tuple(
            Connection(c, f"c{c}", "modbus", {"host": "127.0.0.1", "port": ports.get(c, port)})
            for c in range(last + 1)),
        devices=tuple(Device(d, f"meter-{d}", "meter", d // units, 1 + d % units, "bench", d * REGISTERS, REGISTERS)
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
