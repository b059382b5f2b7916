"""What is looked at once a second for the minute's row, and the sums of it."""

from typing import NamedTuple

from pswd_edge.gateway.live import LiveImage
from pswd_edge.gateway.services.cooling_systems import CoolingSystems
from pswd_edge.gateway.services.power import PowerService
from pswd_edge.gateway.services.power_columns import PowerQuality
from pswd_edge.gateway.services.whole import whole_sum
from pswd_edge.model.site import GridFacts

THD_MOST_PERCENT = 8.0          # EN 50160
FACTOR_LEAST = 0.9
FREQUENCY_OFF_PERCENT = 0.4     # 0.2 Hz at 50 Hz: the standard range of normal operation in Europe
STABILITY_LEAST_PERCENT = 90.0  # EN 50160: within 10 % of nominal
TEMPERATURE_OFF_K = 2.0


class Sample(NamedTuple):
    """One second; None where it is not known."""

    battery_w: float | None = None
    soc_percent: float | None = None
    quality_good: bool | None = None
    heat_w: float | None = None
    recovered_w: float | None = None
    cooling_efficiency: float | None = None
    temperature_off_k: float | None = None


class Sampler:
    """Looks at the live image."""

    def __init__(self, live: LiveImage, power: PowerService, cooling: CoolingSystems) -> None:
        self._live = live
        self._power = power
        self._cooling = cooling

    def sample(self) -> Sample:
        """The second that is now; all None where control is not alive."""
        if not self._live.alive:
            return Sample()
        site = self._live.site
        capacity_wh = [battery.capacity_wh for battery in site.control.batteries]
        levels = [self._live.value(battery.soc.point) for battery in site.control.batteries]
        charge = whole_sum([None if level is None else level * size
                         for level, size in zip(levels, capacity_wh, strict=True)])
        efficiency_percent = self._cooling.efficiency_percent()
        return Sample(
            whole_sum([self._live.value(battery.power.point) for battery in site.control.batteries]),
            None if charge is None else charge / sum(capacity_wh),
            in_bands(self._power.quality(), site.grid),
            self._of_kind("cdu", "heat_w"), self._of_kind("heat_exchanger", "heat_w"),
            None if efficiency_percent is None else efficiency_percent / 100, self._temperature_off_k(),
        )

    def _of_kind(self, kind: str, signal: str) -> float | None:
        return whole_sum([self._live.signal(device.id, signal) for device in self._live.site.devices_of(kind)])

    def _temperature_off_k(self) -> float | None:
        """The largest distance of a CDU's supply from its set-point; of the CDUs that tell both."""
        off_k = []
        for cdu in self._live.site.devices_of("cdu"):
            is_c = self._live.signal(cdu.id, "supply_temperature_c")
            goal_c = self._live.signal(cdu.id, "supply_temperature_setpoint_c")
            if is_c is not None and goal_c is not None:
                off_k.append(abs(is_c - goal_c))
        return max(off_k, default=None)


def in_bands(quality: PowerQuality, grid: GridFacts) -> bool | None:
    """True where everything that is measured at the grid connection lies in its band; None where nothing is."""
    nominal_hz = grid.nominal_frequency_hz
    good = [
        None if quality.thd_percent is None else quality.thd_percent <= THD_MOST_PERCENT,
        None if quality.power_factor is None else abs(quality.power_factor) >= FACTOR_LEAST,
        None if quality.frequency_hz is None
        else abs(quality.frequency_hz - nominal_hz) <= FREQUENCY_OFF_PERCENT / 100 * nominal_hz,
        None if quality.stability_percent is None else quality.stability_percent >= STABILITY_LEAST_PERCENT,
    ]
    known = [one for one in good if one is not None]
    return all(known) if known else None


class Sums:
    """The samples of one minute."""

    def __init__(self) -> None:
        self._samples: list[Sample] = []

    def add(self, sample: Sample) -> None:
        """One second more."""
        self._samples.append(sample)

    def fields(self) -> dict[str, float | None]:
        """The fields of a minute that come from seconds."""
        good = [s.quality_good for s in self._samples if s.quality_good is not None]
        off_k = [s.temperature_off_k for s in self._samples if s.temperature_off_k is not None]
        return {
            "battery_mean_w": self._mean("battery_w"), "soc_mean_percent": self._mean("soc_percent"),
            "quality_seen": float(len(good)), "quality_good": float(sum(good)),
            "heat_mean_w": self._mean("heat_w"), "recovered_mean_w": self._mean("recovered_w"),
            "cooling_efficiency": self._mean("cooling_efficiency"),
            "temperature_seen": float(len(off_k)),
            "temperature_good": float(sum(one <= TEMPERATURE_OFF_K for one in off_k)),
            "temperature_off_mean_k": sum(off_k) / len(off_k) if off_k else None,
        }

    def _mean(self, field: str) -> float | None:
        known = [value for sample in self._samples if (value := getattr(sample, field)) is not None]
        return sum(known) / len(known) if known else None
