"""The frozen inputs of one cycle."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from pswd_edge.model.quality import Quality, Reason


class Reading(NamedTuple):
    """One value as the rules see it.

    `value` is NaN where the quality is BAD: it poisons arithmetic instead of passing for 0. `age_s` counts from
    the moment at which the device answered; infinite where it never did. `received_s` is that moment (monotonic).
    `unchanged` counts the answers in a row that brought bit-identical values.
    """

    value: float
    quality: Quality
    reason: Reason
    age_s: float
    received_s: float
    unchanged: int = 0

    def usable(self, max_age_s: float) -> bool:
        """Whether a rule may still count on it: not BAD and not older than `max_age_s`."""
        return self.quality is not Quality.BAD and self.age_s <= max_age_s


NEVER = Reading(float("nan"), Quality.BAD, Reason.NEVER_READ, float("inf"), float("-inf"))


class Snapshot(NamedTuple):
    """The points that control watches, at one moment; `readings` by point index, read-only."""

    cycle: int
    time_s: float
    utc_s: float
    readings: Mapping[int, Reading]

    def read(self, point: int | None) -> Reading:
        """The reading of a point; NEVER where there is no such point."""
        return NEVER if point is None else self.readings.get(point, NEVER)


def freeze(cycle: int, time_s: float, utc_s: float, readings: dict[int, Reading]) -> Snapshot:
    """A snapshot that nobody can change."""
    return Snapshot(cycle, time_s, utc_s, MappingProxyType(readings))
