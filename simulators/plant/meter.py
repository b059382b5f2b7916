"""Power meters: active power from the plant, the rest of a three-phase meter's registers from it."""

import math
from collections.abc import Mapping

_PHASE_SPREAD = (1.0, 1.004, 0.996)


class Meter:
    """`power_w` positive imports. `reactive_ratio` is var per W of the load behind it.

    The current's sign is lost, as in real meters; the power factor has the active power's sign.
    """

    def __init__(self, rating_w: float, nominal_v: float, reactive_ratio: float) -> None:
        self.power_w = 0.0
        self.import_wh = 0.0
        self.export_wh = 0.0
        self._rating_w = rating_w
        self._phase_v = nominal_v / math.sqrt(3.0)
        self._reactive_ratio = reactive_ratio

    def step(self, power_w: float, dt_s: float) -> None:
        """Measure one step; the energies integrate."""
        self.power_w = power_w
        if power_w >= 0.0:
            self.import_wh += power_w * dt_s / 3600.0
        else:
            self.export_wh -= power_w * dt_s / 3600.0

    @property
    def reactive_var(self) -> float:
        """Reactive power of the load behind it."""
        return abs(self.power_w) * self._reactive_ratio

    def signals(self, frequency_hz: float, voltage_share: float, reactive_var: float) -> Mapping[str, float]:
        """Current values by the standard names; `voltage_share` is the supply's voltage over nominal."""
        power_w = self.power_w
        apparent_va = math.hypot(power_w, reactive_var)
        phase_v = self._phase_v * voltage_share * (1.0 - 0.015 * power_w / self._rating_w)
        voltages = [phase_v * spread for spread in _PHASE_SPREAD]
        currents = [apparent_va / 3.0 / v for v in voltages]
        return {
            "active_power_w": power_w, "reactive_power_var": reactive_var, "apparent_power_va": apparent_va,
            "power_factor": power_w / apparent_va if apparent_va > 0.0 else 1.0, "frequency_hz": frequency_hz,
            "voltage_l1_v": voltages[0], "voltage_l2_v": voltages[1], "voltage_l3_v": voltages[2],
            "current_l1_a": currents[0], "current_l2_a": currents[1], "current_l3_a": currents[2],
            "thd_percent": 1.5 + 2.0 * min(1.0, abs(power_w) / self._rating_w),
            "energy_import_wh": self.import_wh, "energy_export_wh": self.export_wh,
        }
