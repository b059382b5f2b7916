"""A small campus for the gateway's tests: a site, an image with fake cycles, a door that records."""

from pathlib import Path

import msgspec
import numpy as np

from pswd_edge.clock import FakeClock
from pswd_edge.errors import DoorError
from pswd_edge.image import ImageWriter
from pswd_edge.model.circuit import Circuit
from pswd_edge.model.command import Accepted, Mode, Outcome, Request
from pswd_edge.model.control import BatteryControl, ControlSpec, Input, LoadController
from pswd_edge.model.device import Connection, Device
from pswd_edge.model.point import ModbusAddress, Point
from pswd_edge.model.quality import Quality, Reason
from pswd_edge.model.report import BatteryReport, Report, SetpointReport
from pswd_edge.model.site import ApiLimits, GridFacts, Listener, RateSpec, Site
from pswd_edge.model.workload import Announcement, Headroom, Workload, WorkloadState

PERIOD_S = 0.1

# device: (kind, {signal: (value, trend)})
CAMPUS = {
    "pcc": ("meter", {"active_power_w": (60e6, True), "frequency_hz": (49.98, True),
                      "reactive_power_var": (45e6, False), "thd_percent": (2.5, False)}),
    "hall-a": ("meter", {"active_power_w": (30e6, True)}),
    "hall-b": ("meter", {"active_power_w": (40e6, True)}),
    "bess-1": ("battery", {"soc_percent": (40.0, True), "power_w": (6e6, True), "temperature_c": (27.0, False),
                           "state": (3, False), "power_setpoint_w": (6e6, False)}),
    "bess-2": ("battery", {"soc_percent": (70.0, True), "power_w": (4e6, True), "temperature_c": (29.0, False),
                           "state": (3, False), "power_setpoint_w": (4e6, False)}),
    "cdu-1": ("cdu", {"supply_temperature_c": (30.0, False), "return_temperature_c": (40.0, False),
                      "flow_lpm": (1000.0, False), "pressure_bar": (2.0, False), "heat_w": (20e6, False)}),
    "cdu-2": ("cdu", {"supply_temperature_c": (33.0, False), "return_temperature_c": (46.0, False),
                      "flow_lpm": (2000.0, False), "pressure_bar": (3.0, False), "heat_w": (30e6, False)}),
    "hx-1": ("heat_exchanger", {"heat_w": (5e6, False)}),
    "rack-1": ("load_controller", {"active_power_w": (20e6, True), "temperature_c": (55.0, False),
                                   "progress_percent": (33.0, False), "power_cap_w": (25e6, False)}),
    "rack-2": ("load_controller", {"active_power_w": (10e6, True), "temperature_c": (60.0, False),
                                   "progress_percent": (50.0, False), "power_cap_w": (25e6, False)}),
}


# The clock of a test stands still, and so do the buckets: what tests the rates asks for `ApiLimits()`.
WIDE = ApiLimits(**dict.fromkeys(("authentication", "workload", "monitoring", "control", "grid"),
                                 RateSpec(1e6, 100_000)))


def make_site(profiles: tuple[str, ...] = ("pswd",), campus: dict = CAMPUS, **changes: object) -> Site:
    devices, points = [], []
    for number, (name, (kind, signals)) in enumerate(campus.items()):
        devices.append(Device(number, name, kind, 0, 1, "test-map", len(points), len(signals)))
        for signal, (_, trend) in signals.items():
            labels = {3: "running", 8: "maintenance"} if signal == "state" else {}
            points.append(Point(len(points), f"{name}.{signal}", number, signal, "W", ModbusAddress(0, "int16"),
                                trend=trend, labels=labels))
    index = {p.id: p.index for p in points}
    settings = {
        "id": "campus-test", "facility_id": "facility-test", "name": "Test campus",
        "connections": (Connection(0, "field", "modbus", {}),), "devices": tuple(devices), "points": tuple(points),
        "circuits": (Circuit("utility", None, 140e6, index["pcc.active_power_w"]),
                     Circuit("hall-a", "utility", 70e6, index["hall-a.active_power_w"]),
                     Circuit("hall-b", "utility", 70e6, index["hall-b.active_power_w"])),
        "control": make_control(index), "listeners": (Listener("127.0.0.1", 0, profiles),),
        "grid": GridFacts("grid-test", 50.0, 210.0, 46.0, 61.5), "api_limits": WIDE,
    }
    return Site(**{**settings, **changes})


def make_control(index: dict[str, int]) -> ControlSpec:
    batteries = tuple(
        BatteryControl(name, 0, Input(index[f"{name}.soc_percent"]), Input(index[f"{name}.power_w"]),
                       index[f"{name}.power_setpoint_w"], capacity, 60e6, 60e6, state=index[f"{name}.state"],
                       temperature=index[f"{name}.temperature_c"])
        for name, capacity in (("bess-1", 9e6), ("bess-2", 6e6)))
    racks = tuple(
        LoadController(name, 0, index[f"{name}.power_cap_w"], index[f"{name}.active_power_w"], 25e6,
                       temperature=index[f"{name}.temperature_c"], progress=index[f"{name}.progress_percent"])
        for name in ("rack-1", "rack-2"))
    return ControlSpec(
        period_ms=100, input_deadline_percent=60, start_mode="auto", auto_after_s=5,
        grid_power=Input(index["pcc.active_power_w"]),
        load_meters=(Input(index["hall-a.active_power_w"]), Input(index["hall-b.active_power_w"])),
        frequency=index["pcc.frequency_hz"], ramp_limit_w_per_min=10e6, ramp_up_w_per_s=1e5, ramp_down_w_per_s=1e5,
        import_limit_w=125e6, load_floor_w=20e6, load_ceiling_w=100e6, load_maximum_w=130e6, delay_s=0.25,
        filter_hz=0.15, frozen_after=20, batteries=batteries, tiers=(), load_controllers=racks, cooling_rating_w=100e6)


def make_report(cycle: int, clock: FakeClock, **changes: object) -> Report:
    batteries = tuple(BatteryReport(name, True, 4e6, 50e6, 55e6, 0.0) for name in ("bess-1", "bess-2"))
    settings = {
        "cycle": cycle, "utc_s": clock.utc_s(), "monotonic_s": clock.monotonic_s(), "mode": Mode.AUTO,
        "mode_reason": "inputs good", "load_w": 70e6, "grid_w": 60e6, "reference_w": 60e6, "load_filtered_w": 70e6,
        "battery_w": 10e6, "energy_wh": 8e6, "energy_min_wh": 1.5e6, "energy_max_wh": 13.5e6, "load_floor_w": 20e6,
        "load_ceiling_w": 100e6, "reference_low_w": 0.0, "reference_high_w": 125e6, "binding": "target",
        "deficit_w": 0.0, "surplus_w": 0.0, "shed_wh": 0.0, "battery_target_w": None,
        "headroom": Headroom(30e6, 50e6, 20e6), "degraded": (), "batteries": batteries, "tiers": (), "setpoints": (),
        "workloads": (), "alarms": (), "acknowledged_cycle": cycle, "cycles": cycle, "cycles_missed": 0,
        "late_p50_ms": 0.1, "late_p99_ms": 0.5, "late_p999_ms": 1.0, "late_max_ms": 2.0, "rules_p99_ms": 1.0,
        "input_age_p99_ms": 50.0, "started_utc_s": 0.0,
    }
    return Report(**{**settings, **changes})


def make_workload(name: str = "wl-1", state: WorkloadState = WorkloadState.APPROVED, **changes: object) -> Workload:
    settings = {
        "announcement": Announcement(name, "ai_training", 30e6, 10e6, 1e6, duration_s=3600), "state": state,
        "approved_w": 30e6, "controllers": (0, 1), "reserved_w": (20e6, 10e6), "conditions": (),
        "announced_utc_s": 1_780_000_000.0, "headroom": Headroom(30e6, 50e6, 20e6),
    }
    return Workload(**{**settings, **changes})


class Control:
    """Plays the control process: writes what it is told, one cycle at a time, on a fake clock."""

    def __init__(self, runtime_dir: Path, site: Site | None = None, clock: FakeClock | None = None) -> None:
        self.site = site or make_site()
        self.clock = clock or FakeClock()
        self.writer = ImageWriter(runtime_dir, self.site)
        self.cycle = 0
        self.changes: dict[str, object] = {}
        size = len(self.site.points)
        self.value = np.full(size, np.nan)
        self.quality = np.full(size, Quality.GOOD, np.uint8)
        self.reason = np.full(size, Reason.NONE, np.uint8)
        self.received_s = np.full(size, np.nan)
        for device, (_, signals) in CAMPUS.items():
            for signal, (value, _) in signals.items():
                point = self.site.find(device, signal)
                if point is not None:
                    self.value[point] = value

    def set(self, point: str, value: float) -> None:
        self.value[self.site.point_index[point]] = value

    def spoil(self, point: str) -> None:
        """BAD, as the field does it: NaN in place of the last value."""
        index = self.site.point_index[point]
        self.value[index], self.quality[index], self.reason[index] = np.nan, Quality.BAD, Reason.STALE

    def run(self, cycles: int = 1, **changes: object) -> None:
        """`cycles` cycles; `changes` of the report stay in force."""
        self.changes.update(changes)
        for _ in range(cycles):
            self.clock.advance(PERIOD_S)
            self.cycle += 1
            self.publish()

    def publish(self) -> None:
        now_s, utc_s = self.clock.monotonic_s(), self.clock.utc_s()
        received_s = np.where(np.isnan(self.received_s), now_s, self.received_s)
        nothing = np.full(len(self.value), np.nan)
        self.writer.publish_latest(self.cycle, self.value, nothing, received_s, self.quality, self.reason)
        self.writer.publish_row(self.cycle, now_s, utc_s, self.value, self.quality)
        report = make_report(self.cycle, self.clock, **self.changes)
        self.writer.publish_report(self.cycle, msgspec.msgpack.encode(report))
        self.writer.beat(now_s)

    def setpoint(self, point: str, state: str, waiting_since: int | None = None) -> SetpointReport:
        return SetpointReport(self.site.point_index[point], 1.0, "law", 5, "", (), state, 1.0, waiting_since)


class FakeDoor:
    """Answers with `outcome` and keeps what was asked; an exception in its place is raised."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.outcome: Outcome | DoorError | None = None

    async def ask(self, request: Request, timeout_s: float) -> Outcome:
        self.asked.append(request)
        if isinstance(self.outcome, DoorError):
            raise self.outcome
        answer = self.outcome or Accepted(id="")
        return msgspec.structs.replace(answer, id=request.id)
