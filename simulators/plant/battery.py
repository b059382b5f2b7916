"""A battery system: cells, BMS limits and a power converter with delay, lag, ramp and a set-point watchdog."""

import math
import random
from collections.abc import Mapping
from enum import IntEnum

from simulators.plant.lag import Delay, Gain
from simulators.plant.range import check_range, check_switch
from simulators.plant.spec import BatterySpec

_LAGGING_S = 2.0
_TRIP_S = 0.04            # the converter blocks within two mains periods of the contactor's opening
_RESTART_S = 1.0          # pre-charge before the contactor closes again
_CELLS_IN_SERIES = 400
_RESISTANCE_PER_CELL_OHM = 2e-6
FAULTS = ("contactor_open", "local_mode", "lagging")


class BatteryState(IntEnum):
    """Values of `state`: those of SunSpec model 701, InvSt. RUNNING with `enable` 0 or in LOCAL mode too."""

    STARTING = 2
    RUNNING = 3
    THROTTLED = 4
    FAULT = 6


class Battery:
    """Discharge is positive, in W. `alarms` is a bit field in the order of FAULTS.

    A trip by the contactor clears the set-point: after the return it waits for a new one. In LOCAL mode the
    converter holds the local set-point of 0 W and keeps what is written without obeying it.
    """

    def __init__(self, spec: BatterySpec, rng: random.Random) -> None:
        self.spec = spec
        self.power_w = 0.0
        self.energy_wh = spec.capacity_wh * spec.start_soc_percent / 100.0
        self.charge_limit_w = self.discharge_limit_w = spec.rating_w
        self.state = BatteryState.RUNNING
        self.setpoint_w = 0.0
        self.revert_timeout_s = spec.revert_timeout_s
        self.temperature_c = 25.0
        self._enable = 1.0
        self._heartbeat = 0.0
        self._faults: set[str] = set()
        self._starting_until_s = -math.inf
        self._deadline_s = math.inf
        self._written_s = 0.0
        self._command = Delay(0.0, spec.delay_s)
        self._lag = Gain(spec.lag_s)
        self._trip_w_per_s = spec.rating_w / _TRIP_S
        self._cell_offsets_v = [rng.gauss(0.0, 0.003) for _ in range(spec.cells_shown)]
        self._cell_offsets_c = [rng.gauss(0.0, 0.8) for _ in range(spec.cells_shown)]
        self._limit()

    @property
    def soc_percent(self) -> float:
        """State of charge."""
        return 100.0 * self.energy_wh / self.spec.capacity_wh

    def step(self, time_s: float, dt_s: float) -> None:
        """Advance by one step that ends at `time_s`."""
        if time_s >= self._deadline_s:
            self._take(time_s, 0.0)
            self._deadline_s = math.inf
        wanted_w = self._command.advance(time_s)
        if self.state is BatteryState.FAULT or self.state is BatteryState.STARTING:
            self._ride_out(time_s, dt_s)
        else:
            self._follow(wanted_w if self._enable and "local_mode" not in self._faults else 0.0, dt_s)
        power_w, efficiency = self.power_w, self.spec.efficiency
        drawn_w = power_w / efficiency if power_w > 0.0 else power_w * efficiency
        self.energy_wh -= drawn_w * dt_s / 3600.0
        self._limit()

    def _follow(self, wanted_w: float, dt_s: float) -> None:
        target_w = min(self.discharge_limit_w, max(-self.charge_limit_w, wanted_w))
        if self.spec.reports_throttled:
            self.state = BatteryState.RUNNING if target_w == wanted_w else BatteryState.THROTTLED
        reach_w = self.spec.ramp_w_per_s * dt_s
        change_w = (target_w - self.power_w) * self._lag.over(dt_s)
        power_w = self.power_w + min(reach_w, max(-reach_w, change_w))
        self.power_w = min(self.discharge_limit_w, max(-self.charge_limit_w, power_w))

    def _ride_out(self, time_s: float, dt_s: float) -> None:
        reach_w = self._trip_w_per_s * dt_s
        self.power_w -= min(reach_w, max(-reach_w, self.power_w))
        if self.state is BatteryState.STARTING and time_s >= self._starting_until_s:
            self.state = BatteryState.RUNNING

    def _limit(self) -> None:
        spec = self.spec
        if self.state is BatteryState.FAULT or self.state is BatteryState.STARTING:
            self.charge_limit_w = self.discharge_limit_w = 0.0
            return
        fill = self.energy_wh / spec.capacity_wh
        taper = spec.taper_percent / 100.0
        self.discharge_limit_w = spec.rating_w * min(1.0, max(0.0, fill / taper))
        self.charge_limit_w = spec.rating_w * min(1.0, max(0.0, (1.0 - fill) / taper))

    def warm(self, dt_s: float) -> None:
        """Advance the slow part: the cells warm by 4 % of the power at full rating, and cool to 25 degC."""
        target_c = 25.0 + 15.0 * (self.power_w / self.spec.rating_w) ** 2
        self.temperature_c += (target_c - self.temperature_c) * min(1.0, dt_s / 300.0)

    def write(self, signal: str, value: float, time_s: float) -> None:
        """Take a register; ValueError where it is not writable or out of range."""
        rating_w = self.spec.rating_w
        match signal:
            case "power_setpoint_w":
                self._take(time_s, check_range(self.spec.id, signal, value, -rating_w, rating_w))
                self._written_s = time_s
                self._arm()
            case "enable":
                self._enable = check_switch(self.spec.id, signal, value)
            case "heartbeat":
                self._heartbeat = check_range(self.spec.id, signal, value, 0.0, 4294967295.0)
            case "revert_timeout_s":
                self.revert_timeout_s = check_range(self.spec.id, signal, value, 0.0, 3600.0)
                self._arm()
            case _:
                raise ValueError(f"{self.spec.id}.{signal}: not writable; nothing was written")

    def _arm(self) -> None:
        running = self.revert_timeout_s > 0.0 and self.setpoint_w != 0.0
        self._deadline_s = self._written_s + self.revert_timeout_s if running else math.inf

    def _take(self, time_s: float, setpoint_w: float) -> None:
        self.setpoint_w = setpoint_w
        self._command.put(time_s, setpoint_w)

    def fault(self, name: str, time_s: float, *, active: bool) -> None:
        """Switch a physical fault of FAULTS; ValueError for another."""
        if name not in FAULTS:
            raise ValueError(f"{self.spec.id}: fault {name!r}, expected one of {', '.join(FAULTS)}")
        if active == (name in self._faults):
            return
        (self._faults.add if active else self._faults.discard)(name)
        self._lag = Gain(_LAGGING_S if "lagging" in self._faults else self.spec.lag_s)
        if name == "contactor_open":
            self.setpoint_w = 0.0
            self._command.reset(0.0)
            self._deadline_s = math.inf
            self._starting_until_s = time_s + _RESTART_S
            self.state = BatteryState.FAULT if active else BatteryState.STARTING
            self._limit()

    def signals(self) -> Mapping[str, float]:
        """Current values by the standard names; cells 1..n show the spread of the pack."""
        spec, soc = self.spec, self.soc_percent
        open_v = 3.0 + 0.006 * soc - 0.4 * math.exp(-soc / 6.0)
        pack_v = _CELLS_IN_SERIES * open_v
        current_a = self.power_w / pack_v
        cell_v = open_v - current_a * _RESISTANCE_PER_CELL_OHM
        values = {
            "soc_percent": soc, "soh_percent": 98.5, "power_w": self.power_w,
            "dc_voltage_v": cell_v * _CELLS_IN_SERIES, "dc_current_a": current_a, "temperature_c": self.temperature_c,
            "cell_voltage_min_v": cell_v + min(self._cell_offsets_v),
            "cell_voltage_max_v": cell_v + max(self._cell_offsets_v),
            "charge_limit_w": self.charge_limit_w, "discharge_limit_w": self.discharge_limit_w,
            "state": float(self.state),
            "alarms": float(sum(1 << bit for bit, name in enumerate(FAULTS) if name in self._faults)),
            "power_setpoint_w": self.setpoint_w, "enable": self._enable, "heartbeat": self._heartbeat,
            "revert_timeout_s": self.revert_timeout_s,
        }
        for cell in range(spec.cells_shown):
            values[f"cell_voltages_v[{cell + 1}]"] = cell_v + self._cell_offsets_v[cell]
            values[f"cell_temperatures_c[{cell + 1}]"] = self.temperature_c + self._cell_offsets_c[cell]
        return values
