"""A compact controller by the same law, to see that the demo scenario can be served and that a tier must act.

Powers in MW, energies in MWh, time in s. It reads the plant through a pure delay and writes through the PCS's own.
The law: filtered feed-forward, ramp reference, viability bounds, load-dependent SoC, tracking when saturated; shed
tiers by the deficit. It follows the plant's words only; it is not the product's code and shares none with it.
"""

import math
from collections import deque
from dataclasses import dataclass

from simulators.plant import BatteryState, Plant

T = 0.1
ETA = 0.96
E_MIN, E_MAX = 0.1, 0.9
T_E = 1.0


@dataclass
class Settings:
    measure_delay_s: float = 0.05
    ramp: float = 6.5              # MW/min
    floor: float = 20.0
    ceiling: float = 100.0
    filter_hz: float = 0.15
    shed: bool = True
    shed_fast: float = 5.0
    shed_margin: float = 0.5
    shed_after: int = 2
    track_pending: bool = False    # subtract engaged but not yet visible tiers before tracking


class Tier:
    """Rack cap (floor 5 MW) or outlet 1 of pdu-1."""

    def __init__(self, device: str, floor: float) -> None:
        self.device, self.floor = device, floor
        self.engaged_s: float | None = None
        self.calm_s = 0.0
        self.taken = 0.0

    def power(self, plant: Plant) -> float:
        watts = plant.signals(self.device)["active_power_w"]
        return max(0.0, watts / 1e6 - self.floor)

    def switch(self, plant: Plant, on: bool) -> None:
        if self.device.startswith("pdu"):
            plant.write(self.device, "outlet_command[1]", 0.0 if on else 1.0)
        else:
            plant.write(self.device, "power_cap_w", self.floor * 1e6 if on else 25e6)


class ReferenceController:
    """Call `cycle(plant)` every 100 ms of plant time."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.s = settings or Settings()
        self.step_mw = self.s.ramp / 60.0 * T
        self.samples: deque[tuple[float, float, float]] = deque()
        self.load_c = self.target = self.ref = math.nan
        self.tiers = [Tier("rack-4", 5.0), Tier("rack-3", 5.0), Tier("pdu-1", 0.25)]
        self.deficit_cycles = 0
        self.log: list[tuple[float, str, float]] = []
        self.max_deficit = 0.0
        self.saturated = 0
        self.last_restore_s = -1e9

    # reserves, MWh
    def _sum(self, x: float) -> float:
        if x <= 0.0:
            return 0.0
        n = math.floor(x / self.step_mw)
        return T / 3600.0 * (n * x - self.step_mw * n * (n + 1) / 2)

    def _up(self, r: float) -> float:
        x = max(0.0, self.s.ceiling - r)
        return (self._sum(x) + x * T_E / 3600.0 + self.step_mw / T * T_E**2 / 7200.0) / ETA

    def _down(self, r: float) -> float:
        x = max(0.0, r - self.s.floor)
        return ETA * (self._sum(x) + x * T_E / 3600.0 + self.step_mw / T * T_E**2 / 7200.0)

    def cycle(self, plant: Plant) -> None:
        load = self._measure(plant)
        ready = [b for b in plant.batteries.values() if b.state in (BatteryState.RUNNING, BatteryState.THROTTLED)]
        energy = sum(b.energy_wh for b in ready) / 1e6
        e_min = sum(b.spec.capacity_wh for b in ready) * E_MIN / 1e6
        e_max = sum(b.spec.capacity_wh for b in ready) * E_MAX / 1e6
        rate_d = sum(b.discharge_limit_w for b in ready) / 1e6
        rate_c = sum(b.charge_limit_w for b in ready) / 1e6
        if math.isnan(self.ref):
            self.load_c = self.target = load
            self.ref = plant.true_grid_w / 1e6
        self.load_c += (1.0 - math.exp(-2 * math.pi * self.s.filter_hz * T)) * (load - self.load_c)
        avail_d = max(0.0, min(rate_d, 3600 * ETA * (energy - e_min) / (T + T_E)))
        avail_c = max(0.0, min(rate_c, 3600 * (e_max - energy) / (ETA * (T + T_E))))
        if self.s.shed:
            self._shed(plant, avail_d, max(0.0, energy - e_min))
        r = self._reference(energy, e_min, e_max, rate_d, rate_c)
        load_c = self.load_c - (self._pending(plant.time_s) if self.s.track_pending else 0.0)
        wanted = load_c - r
        b = min(avail_d, max(-avail_c, wanted))
        if abs(b - wanted) > 1e-9:
            self.saturated += 1
            r = load_c - b
        self.ref = r
        total = sum(battery.spec.rating_w for battery in ready)
        for battery in plant.batteries.values():
            share = battery.spec.rating_w / total if battery in ready else 0.0
            plant.write(battery.spec.id, "power_setpoint_w", b * 1e6 * share)

    def _measure(self, plant: Plant) -> float:
        self.samples.append((plant.time_s, plant.true_grid_w / 1e6, plant.true_battery_w / 1e6))
        while len(self.samples) > 1 and self.samples[1][0] <= plant.time_s - self.s.measure_delay_s + 1e-9:
            self.samples.popleft()
        _, grid, battery = self.samples[0]
        return grid + battery

    def observe(self, plant: Plant) -> None:
        """Between cycles: keep finer samples, so that the delay is not rounded to cycles."""
        self._measure(plant)

    def _reference(self, energy: float, e_min: float, e_max: float, rate_d: float, rate_c: float) -> float:
        s, rho = self.s, self.ref
        floor, ceiling = min(s.floor, self.load_c), max(s.ceiling, self.load_c)
        self.target += (1.0 - math.exp(-T / 60.0)) * (self.load_c - self.target)
        e_ref = e_min + self._up(rho) + 0.5 * (e_max - e_min - self._up(rho) - self._down(rho))
        power_e = min(2.0, max(-2.0, 3600.0 * (e_ref - energy) / 300.0))
        if abs(e_ref - energy) < 0.005 * (e_max - e_min):
            power_e = 0.0
        low, high = max(floor, rho - self.step_mw), min(ceiling + 2.0, rho + self.step_mw)
        if low > high:
            low = high = rho + math.copysign(self.step_mw, floor - rho)

        def phi(power: float) -> float:
            return T / 3600.0 * (power / ETA if power > 0 else power * ETA)

        def viable_up(r: float) -> bool:
            return energy - phi(self.load_c - r) - e_min - self._up(r) >= 0

        def viable_down(r: float) -> bool:
            return e_max - energy + phi(self.load_c - r) - self._down(r) >= 0

        a = _smallest(viable_up, low, high)
        b = -_smallest(lambda r: viable_down(-r), -high, -low)
        a = min(high, max(a, ceiling - rate_d))
        b = max(low, min(b, floor + rate_c))
        if a > b:
            return min(high, max(low, 0.5 * (a + b)))
        return min(b, max(a, self.target + power_e))

    def _pending(self, now_s: float) -> float:
        """Tier power engaged, not yet in the filtered load: 0.4 s of actuation, then the filter."""
        tau = 1.0 / (2 * math.pi * self.s.filter_hz)
        pending = 0.0
        for tier in self.tiers:
            if tier.engaged_s is not None:
                pending += tier.taken * math.exp(-max(0.0, now_s - tier.engaged_s - 0.5) / tau)
        return pending

    def _shed(self, plant: Plant, avail_d: float, usable: float) -> None:
        now_s = plant.time_s
        serviceable = min(
            self.ref + self.step_mw + avail_d,
            self.ref + math.sqrt(2 * self.s.ramp * 60.0 * ETA * usable),
        )
        deficit = self.load_c - serviceable - self._pending(now_s)
        self.max_deficit = max(self.max_deficit, deficit)
        self.deficit_cycles = self.deficit_cycles + 1 if deficit > 0 else 0
        if self.deficit_cycles >= self.s.shed_after or deficit > self.s.shed_fast:
            self._engage(plant, deficit + self.s.shed_margin)
        for tier in reversed(self.tiers):
            if tier.engaged_s is None:
                continue
            tier.calm_s = tier.calm_s + T if deficit + tier.taken + self.s.shed_margin <= 0 else 0.0
            if tier.calm_s >= 30.0 and now_s - tier.engaged_s >= 30.0 and now_s - self.last_restore_s >= 10.0:
                tier.switch(plant, on=False)
                tier.engaged_s, self.last_restore_s = None, now_s
                self.log.append((now_s, f"release {tier.device}", deficit))

    def _engage(self, plant: Plant, needed: float) -> None:
        for tier in self.tiers:
            if needed <= 0.0:
                return
            if tier.engaged_s is not None:
                continue
            tier.taken = tier.power(plant)
            if tier.taken <= 0.1:
                continue
            tier.switch(plant, on=True)
            tier.engaged_s, tier.calm_s = plant.time_s, 0.0
            self.log.append((plant.time_s, f"engage {tier.device}", needed))
            needed -= tier.taken


def _smallest(holds, low: float, high: float) -> float:
    """The smallest r in [low, high] for which `holds`, or `high` where there is none; it grows with r."""
    if holds(low):
        return low
    if not holds(high):
        return high
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
