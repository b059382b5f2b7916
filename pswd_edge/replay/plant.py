"""A site of numbers that is cheap to step: batteries, meters and tiers around a load that is known beforehand.

Each part has what the real ones have and what goes wrong with them: delay, lag, coarse and late registers, faults.
Inside a cycle of 100 ms everything moves in steps of 20 ms.
"""

import math
from collections import deque
from dataclasses import dataclass, field

from pswd_edge.planning.traces import STEP_S


@dataclass
class Battery:
    """One battery with its converter; W, Wh, s. What is public may be changed while it runs: that is how faults come.

    `follows`: "ok", "ignores" (takes set-points and does nothing), "slow" (a lag of 2 s), "oscillates". `soc_step` is
    the resolution of its SoC register in %, renewed each `soc_renewal_s`. `available`: contactor closed, not in LOCAL.
    `listens`: False, and it falls back to 0 after `revert_s`. `derated`: share of the ratings that it can give.
    """

    capacity_wh: float
    discharge_w: float
    charge_w: float
    energy_wh: float
    delay_s: float = 0.1
    lag_s: float = 0.05
    efficiency: float = 0.96
    soc_step: float = 0.01
    soc_renewal_s: float = 1.0
    soc_offset: float = 0.0
    revert_s: float = 12.0
    follows: str = "ok"
    available: bool = True
    listens: bool = True
    derated: float = 1.0
    temperature_c: float = 25.0
    power_w: float = 0.0
    shown_soc: float = 0.0
    _command_w: float = 0.0
    _coming: deque[tuple[float, float]] = field(default_factory=deque)
    _heard_s: float = 0.0
    _renewed_s: float = -math.inf

    def __post_init__(self) -> None:
        """Its register shows what it holds from the first look on."""
        self._show()

    def command(self, power_w: float, now_s: float) -> None:
        """A set-point arrives at its register, and counts `delay_s` later."""
        if self.listens:
            self._heard_s = now_s
            self._coming.append((now_s + self.delay_s, power_w))

    def step(self, now_s: float) -> float:
        """One step to `now_s`; returns the power that it gives."""
        while self._coming and self._coming[0][0] <= now_s + 1e-9:
            self._command_w = self._coming.popleft()[1]
        wanted = self._wanted(now_s)
        lag = 2.0 if self.follows == "slow" else self.lag_s
        self.power_w += (1 - math.exp(-STEP_S / lag)) * (wanted - self.power_w)
        if self.energy_wh <= 0:
            self.power_w = min(self.power_w, 0.0)
        if self.energy_wh >= self.capacity_wh:
            self.power_w = max(self.power_w, 0.0)
        drawn = self.power_w / self.efficiency if self.power_w > 0 else self.power_w * self.efficiency
        self.energy_wh -= drawn * STEP_S / 3600
        if now_s - self._renewed_s >= self.soc_renewal_s:
            self._renewed_s = now_s
            self._show()
        return self.power_w

    def _show(self) -> None:
        soc = 100 * self.energy_wh / self.capacity_wh + self.soc_offset
        self.shown_soc = round(soc / self.soc_step) * self.soc_step

    def _wanted(self, now_s: float) -> float:
        if not self.available:
            return 0.0
        if self.follows == "ignores":
            return self.power_w
        if now_s - self._heard_s > self.revert_s:
            return 0.0
        wanted = min(max(self._command_w, -self.charge_w * self.derated), self.discharge_w * self.derated)
        return wanted + (0.1 * self.discharge_w * math.sin(8 * now_s) if self.follows == "oscillates" else 0.0)


@dataclass
class Meter:
    """A power meter: mean over `window_s`, `late_s` ago, renewed each `renewal_s`. `fault`: what is wrong with it.

    Faults: "stale" (no answer), "frozen", "nan", "sentinel" (6.8e38), "sign", "kilo" (1000 times less), "words" (the
    halves of 32 bits swapped).
    """

    window_s: float = 0.1
    renewal_s: float = 0.1
    late_s: float = 0.0
    fault: str = ""
    shown_w: float = 0.0
    received_s: float = -math.inf
    unchanged: int = 0
    _past: deque[float] = field(default_factory=deque)
    _renewed_s: float = -math.inf

    def see(self, power_w: float) -> None:
        """The true power of one step."""
        self._past.append(power_w)
        if len(self._past) > self._steps(self.window_s) + round(self.late_s / STEP_S):
            self._past.popleft()

    @staticmethod
    def _steps(seconds: float) -> int:
        return max(1, round(seconds / STEP_S))

    def poll(self, now_s: float) -> None:
        """An answer to a request, unless it is silent."""
        if self.fault == "stale":
            return
        before = self.shown_w
        if self.fault != "frozen" and now_s - self._renewed_s > self.renewal_s - 1e-6:
            self._renewed_s = now_s
            seen = list(self._past)[: self._steps(self.window_s)]
            self.shown_w = self._raw(sum(seen) / len(seen) if seen else math.nan)
        self.unchanged = self.unchanged + 1 if self.shown_w == before else 0
        self.received_s = now_s

    def _raw(self, power_w: float) -> float:
        if self.fault == "nan":
            return math.nan
        if self.fault == "sentinel":
            return 6.8e38
        if self.fault == "words":
            bits = int(power_w) & 0xFFFFFFFF
            swapped = (bits >> 16) | (bits & 0xFFFF) << 16
            return float(swapped - (1 << 32) if swapped >= 1 << 31 else swapped)
        return power_w * {"sign": -1.0, "kilo": 1e-3}.get(self.fault, 1.0)


@dataclass
class Shedder:
    """What a tier acts on: a share of the job's power. `sticks`: "" (obeys), "on" (never goes), "off" (stays away).

    `reports`: what its meter shows, times the truth. After it is given back it draws `pickup` times its power for 60 s.
    """

    share: float
    floor_share: float = 0.0
    actuation_s: float = 0.3
    sticks: str = ""
    reports: float = 1.0
    pickup: float = 1.0
    cut: float = 0.0              # 0: all there, 1: down to the floor
    _engaged: bool = False
    _cap_w: float = 0.0
    _released_s: float = -math.inf

    def order(self, engaged: bool, now_s: float, cap_w: float = 0.0) -> None:
        """The tier's set-point: down to the floor, or to `cap_w` where that is more."""
        engaged = {"on": False, "off": True}.get(self.sticks, engaged)
        if self._engaged and not engaged:
            self._released_s = now_s
        self._engaged, self._cap_w = engaged, 0.0 if self.sticks == "off" else cap_w

    def step(self, job_w: float, now_s: float) -> tuple[float, float]:
        """What it takes off the job's load, and what is left, W."""
        full = self.share * job_w * (self.pickup if now_s - self._released_s < 60 else 1.0)
        most = max(full * (1 - self.floor_share), 1.0)
        goal = min(max(full - self._cap_w / self.reports, 0.0) / most, 1.0) if self._engaged else 0.0
        self.cut += (1 - math.exp(-STEP_S / self.actuation_s)) * (goal - self.cut)
        left = full * (1 - self.cut * (1 - self.floor_share))
        return self.share * job_w - left, left


@dataclass
class Soak:
    """A load that can be added, as a load bank: it draws what it is told, `lag_s` late. `sticks`: it draws nothing."""

    lag_s: float = 0.1
    sticks: bool = False
    power_w: float = 0.0
    _ordered_w: float = 0.0

    def order(self, power_w: float) -> None:
        """Its set-point."""
        self._ordered_w = 0.0 if self.sticks else power_w

    def step(self) -> float:
        """What it draws now."""
        self.power_w += (1 - math.exp(-STEP_S / self.lag_s)) * (self._ordered_w - self.power_w)
        return self.power_w
