"""A rack group under a power controller: what its jobs want, what its cap allows."""

import math
from collections.abc import Mapping
from enum import IntEnum

from simulators.plant.lag import Delay, Gain
from simulators.plant.range import check_range
from simulators.plant.spec import RackSpec

_WARM_S = 30.0


class RunCommand(IntEnum):
    """Values of `run_command`. PAUSE keeps the job's progress, STOP loses it; both drop the rack to idle."""

    STOP = 0
    RUN = 1
    PAUSE = 2


class RackState(IntEnum):
    """Values of `state`."""

    STOPPED = 0
    RUNNING = 1
    PAUSED = 2
    IDLE = 3
    CAPPED = 4


class Rack:
    """`demand_w` is set by the plant each step; `power_w` follows it, up to the cap.

    A rack cannot draw less than idle: a cap below idle holds it there. Energy that a cap keeps from a job is
    counted in `unserved_wh`; what a pause or a stop saves is not (nobody wants it then).
    """

    def __init__(self, spec: RackSpec) -> None:
        self.spec = spec
        self.demand_w = 0.0
        self.power_w = spec.idle_w
        self.unserved_wh = 0.0
        self.temperature_c = 35.0
        self.progress_percent = 0.0
        self.duration_s = math.inf
        self._run = RunCommand.RUN
        self._cap_w = spec.rating_w
        self._cap = Delay(spec.rating_w, spec.cap_delay_s)
        self._limit_w = spec.rating_w
        self._lag = Gain(spec.cap_lag_s)

    def begin(self, duration_s: float) -> None:
        """A new job of so many seconds at full power."""
        self.progress_percent = 0.0
        self.duration_s = duration_s

    def step(self, time_s: float, dt_s: float) -> None:
        """Advance by one step that ends at `time_s`."""
        spec = self.spec
        wanted_w = spec.idle_w
        if self._run is RunCommand.RUN and self.demand_w > wanted_w:
            wanted_w = min(self.demand_w, spec.rating_w)
        target_w = self._cap.advance(time_s)
        if target_w < self._limit_w:
            # the regulator works on what the rack draws: no lag is lost on unused room above it
            start_w = max(target_w, min(self._limit_w, self.power_w))
            self._limit_w = start_w + (target_w - start_w) * self._lag.over(dt_s)
        elif target_w > self._limit_w:
            self._limit_w += (target_w - self._limit_w) * self._lag.over(dt_s)
        self.power_w = min(wanted_w, max(self._limit_w, spec.idle_w))
        self.unserved_wh += (wanted_w - self.power_w) * dt_s / 3600.0

    def warm(self, dt_s: float) -> None:
        """Advance temperature and progress."""
        target_c = 28.0 + 42.0 * self.power_w / self.spec.rating_w
        self.temperature_c += (target_c - self.temperature_c) * min(1.0, dt_s / _WARM_S)
        if self._run is RunCommand.RUN and self.demand_w > self.spec.idle_w:
            done = dt_s / self.duration_s * min(1.0, self.power_w / self.demand_w)
            self.progress_percent = min(100.0, self.progress_percent + 100.0 * done)

    def write(self, signal: str, value: float, time_s: float) -> None:
        """Take a register; ValueError where it is not writable or out of range."""
        if signal == "power_cap_w":
            self._cap_w = check_range(self.spec.id, signal, value, 0.0, self.spec.rating_w)
            self._cap.put(time_s, self._cap_w)
        elif signal == "run_command":
            if value not in tuple(RunCommand):
                raise ValueError(f"{self.spec.id}.{signal}: got {value}, expected 0 (stop), 1 (run) or 2 (pause)")
            self._run = RunCommand(int(value))
            if self._run is RunCommand.STOP:
                self.progress_percent = 0.0
        else:
            raise ValueError(f"{self.spec.id}.{signal}: not writable; nothing was written")

    def _state(self) -> RackState:
        if self._run is not RunCommand.RUN:
            return RackState.STOPPED if self._run is RunCommand.STOP else RackState.PAUSED
        if self.demand_w <= self.spec.idle_w:
            return RackState.IDLE
        return RackState.CAPPED if self.power_w < min(self.demand_w, self.spec.rating_w) else RackState.RUNNING

    def signals(self) -> Mapping[str, float]:
        """Current values by the standard names."""
        return {
            "active_power_w": self.power_w, "temperature_c": self.temperature_c,
            "progress_percent": self.progress_percent, "state": float(self._state()),
            "power_cap_w": self._cap_w, "run_command": float(self._run),
        }
