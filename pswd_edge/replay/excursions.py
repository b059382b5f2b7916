"""Scenarios of the grid's frequency: the reference site with droop, at steady training."""

from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace

from pswd_edge.model.control import DroopSpec
from pswd_edge.planning.run import Series
from pswd_edge.planning.traces import STEP_S
from pswd_edge.replay.loop import Case, Event, Loop
from pswd_edge.replay.making import FOREVER, Draw, Maker
from pswd_edge.replay.site import FREQUENCY, MW, battery

NOMINAL_HZ = 50.0
DROOP_W = 10 * MW             # the most: a tenth of the battery's rating, for a minute and a half
DROOP = DroopSpec(nominal_hz=NOMINAL_HZ, w_per_hz=100 * MW / (0.05 * NOMINAL_HZ), power_max_w=DROOP_W, reserve_s=90.0)
LOW_HZ, LOW_FROM_S, LOW_S = 49.7, 150.0, 60.0
_INSIDE_HZ, _ACROSS_HZ, _PERIOD_S = 0.03, 0.05, 20.0


@dataclass
class Grid(Maker):
    """The maker of a site that answers the frequency; the battery has droop's energy beside the load's."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.spec = replace(self.spec, frequency=FREQUENCY, droop=DROOP,
                            batteries=(battery(0, 11 * MW, 110 * MW),))

    def steady(self, name: str, frequency_hz: Series, *events: Event) -> Case:
        """A job that starts at 10 s and trains; so much of the frequency as it is long."""
        job_w = self.job([(10.0, FOREVER)])
        return self.case(name, job_w, events=events, frequency_hz=frequency_hz[: len(job_w)], viable=False,
                         comparable=False,
                         why="the ramp has droop in it, which is exempt: the grid asked for megawatts at once")


def _seconds(draw: Draw) -> Series:
    return np.arange(round(draw.seconds / STEP_S) + 1, dtype=np.float64) * STEP_S


def _wave(time_s: Series, deviation_hz: float) -> Series:
    return NOMINAL_HZ + deviation_hz * np.sin(2 * np.pi * time_s / _PERIOD_S)


def low_frequency(draw: Draw) -> Case:
    """49.7 Hz from 150 s to 210 s, before and after it to and fro inside the deadband."""
    time_s = _seconds(draw)
    low = (time_s >= LOW_FROM_S) & (time_s < LOW_FROM_S + LOW_S)
    return Grid(draw, 50).steady("low-frequency", np.where(low, LOW_HZ, _wave(time_s, _INSIDE_HZ)))


def lost_frequency(draw: Draw) -> Case:
    """Across the deadband every ten seconds; from 150 s on 0.2 Hz too much, and none known from 170 s to 200 s."""
    time_s = _seconds(draw)
    frequency = np.where(time_s < LOW_FROM_S, _wave(time_s, _ACROSS_HZ), NOMINAL_HZ + 0.2)
    return Grid(draw, 51).steady("lost-frequency", frequency, (170.0, _silent), (200.0, _heard))


def _silent(loop: Loop) -> None:
    loop.frequency_known = False


def _heard(loop: Loop) -> None:
    loop.frequency_known = True
