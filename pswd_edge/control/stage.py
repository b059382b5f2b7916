"""What a trial works with: it wants, waits, reads and takes means; and the words that all trials share."""

import asyncio
import math
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from pswd_edge.clock import Clock
from pswd_edge.errors import PswdError
from pswd_edge.model.command import Trial
from pswd_edge.model.point import Point, WriteRule
from pswd_edge.model.ports import FieldPort
from pswd_edge.model.quality import Quality
from pswd_edge.model.site import Site

ANSWER_S = 5.0                # for acknowledgement and read-back of one value
STAND_S = 1.0                 # a value stands so long before and after: what the meters' means are taken over
SEEN_SHARE = 0.5              # of the move that a meter must show
ARRIVED = ("acknowledged", "verified", "effective", "ineffective")
TAKEN = ("verified", "effective", "ineffective")
"""States of what the device has, and of what it also shows."""


class TrialError(PswdError):
    """The point did not do what was expected; the text says what was seen."""


class Stage(NamedTuple):
    """What a trial works with. `wanted` is what is written while it stands there; `allowed`: the mode still is."""

    site: Site
    field: FieldPort
    clock: Clock
    wanted: dict[int, float]
    allowed: Callable[[], bool]

    def rule(self, index: int) -> tuple[Point, WriteRule]:
        """A point and its write rule."""
        point = self.site.points[index]
        assert point.write is not None, "asked for actuated points only"
        return point, point.write

    def read(self, index: int | None) -> float:
        """A good value of now; NaN where there is none."""
        if index is None:
            return math.nan
        reading = self.field.reading(index, self.clock.monotonic_s())
        return reading.value if reading.quality is Quality.GOOD else math.nan

    async def tick(self) -> None:
        """Until the next cycle has been. Raises TrialError where the mode is no longer one for trials."""
        await asyncio.sleep(self.site.control.period_ms / 1000)
        if not self.allowed():
            raise TrialError("the mode changed meanwhile")

    async def until(self, true: Callable[[], bool], seconds: float) -> bool:
        """Whether it became true in time."""
        ends_s = self.clock.monotonic_s() + seconds
        while not true():
            if self.clock.monotonic_s() > ends_s:
                return False
            await self.tick()
        return True

    async def stand(self, seconds: float = STAND_S) -> None:
        """Let what is written stand for a while."""
        await self.until(lambda: False, seconds)

    async def mean(self, index: int | None, seconds: float = STAND_S) -> tuple[float, float]:
        """Mean and spread (largest less smallest) over a time; NaN where it was not good throughout."""
        ends_s, values = self.clock.monotonic_s() + seconds, [self.read(index)]
        while self.clock.monotonic_s() < ends_s:
            await self.tick()
            values.append(self.read(index))
        return sum(values) / len(values), max(values) - min(values)

    async def put(self, index: int, value: float) -> None:
        """Have a value written, and wait until the device has it (and shows it, where it can)."""
        point, rule = self.rule(index)
        self.wanted[index] = value
        good = TAKEN if rule.read_back is not None else ARRIVED

        def arrived() -> bool:
            slot = self.field.slot(index)
            near = slot.written is not None and abs(slot.written - value) <= max(rule.tolerance, 1e-9 * abs(value))
            return near and slot.state in good

        wait_s = self._wait_s(rule, value, self.field.slot(index).written)
        if not await self.until(arrived, wait_s):
            state = self.field.slot(index).state
            raise TrialError(f"wrote {value:g} {point.unit} to {point.id}, after {wait_s:.0f} s it is {state}, the "
                             f"device shows {text_of(self.read(rule.read_back))}")

    def _wait_s(self, rule: WriteRule, value: float, written: float | None) -> float:
        """How long a value may take: the point's own pauses and rate, and two reads of what shows it."""
        travel_s = abs(value - written) / rule.rate_per_s if rule.rate_per_s > 0 and written is not None else 0.0
        period_ms = 0 if rule.read_back is None else self.site.points[rule.read_back].period_ms
        return ANSWER_S + rule.min_interval_s + travel_s + 2 * period_ms / 1000


async def and_back(
    stage: Stage, trial: Coroutine[Any, Any, Trial], back: Callable[[], Coroutine[Any, Any, None]]
) -> Trial:
    """Carry a trial out and put things back, also where it failed; in another mode they are let go already."""
    try:
        found = await trial
    except TrialError as error:
        left = ""
        try:
            if stage.allowed():
                await back()
        except TrialError as second:
            left = f"; putting it back failed too: {second}"
        raise TrialError(f"{error}{left}") from error
    await back()
    return found


def moved(now: float, before: float, move: float) -> bool:
    """Whether a meter shows at least half of the move, in the right direction; NaN does not."""
    return (now - before) * math.copysign(1.0, move) >= SEEN_SHARE * abs(move)


def text_of(value: float) -> str:
    """A value for a sentence."""
    return "nothing good" if math.isnan(value) else f"{value:g}"
