"""Scenarios in which somebody says beforehand what the load will do. The batteries are those that this needs, no more.

The promised range is that of the idle site; firm announcements move it.
"""

from dataclasses import replace as other

import numpy as np
from msgspec.structs import replace

from pswd_edge.control.rules import law
from pswd_edge.model.command import Mode
from pswd_edge.planning.run import Series
from pswd_edge.planning.traces import STEP_S
from pswd_edge.replay.announced import Said, planned
from pswd_edge.replay.loop import Case
from pswd_edge.replay.making import Draw, Maker
from pswd_edge.replay.site import BASE_W, CEILING_W, FLOOR_W, MW, RAMP_W_PER_MIN, battery

SWING_W = CEILING_W - FLOOR_W
BOUND_WH = SWING_W**2 / (8 * RAMP_W_PER_MIN * 60)
USABLE_SHARE = 0.8            # of a battery's capacity
IDLE_W = 30 * MW              # no more while no job runs
SURELY_W, AT_MOST_W = 48 * MW, 75 * MW  # what a job of 80 MW adds to the low and the high end of that
MEAN_W = 62 * MW
LEAD_S, AFTER_S = 290.0, 280.0  # for half the swing at the ramp
CHECKPOINT_S, CHECKPOINT_W = 20.0, 40 * MW


def step(draw: Draw, usable_wh: float = 1.3 * BOUND_WH, said: Said | None = None, rises_w: float = SWING_W,
         comes_s: float = LEAD_S, soc: float = 0.04, ceiling_w: float = FLOOR_W + MW) -> Case:
    """45: a step of the whole range that is firm to 10 s, no swing beside it, from an empty battery.

    What comes may be another step than `said`, at another time. Nothing is said where that has no step. The load is
    promised to be below `ceiling_w` where nothing is said.
    """
    make = Maker(other(draw, seconds=LEAD_S + AFTER_S + 60.0), 45)
    make.spec = replace(make.spec, batteries=(battery(0, usable_wh / USABLE_SHARE, 100 * MW),))
    time_s = np.arange(round(make.draw.seconds / STEP_S)) * STEP_S
    job_w = FLOOR_W - BASE_W + np.where(time_s >= comes_s, rises_w, 0.0)
    told = Said(LEAD_S, SWING_W, SWING_W, SWING_W, late_s=10.0, firm=True) if said is None else said
    return _told(make, "an announced step of the whole range", job_w, soc, [told] if told.step_w else [],
                 ceiling_w)


def start_and_stop(draw: Draw) -> Case:
    """46: a training job that is started and stopped as announced, with 4 MWh."""
    make = Maker(other(draw, seconds=max(draw.seconds, 930.0)), 46)
    make.spec = replace(make.spec, batteries=(battery(0, 4 * MW / USABLE_SHARE, 100 * MW),))
    stop_s = make.draw.seconds - 310.0
    said = [_start(LEAD_S), _stop(stop_s)]
    return _told(make, "a job started and stopped as announced", make.job([(LEAD_S, stop_s)]), 0.1, said, IDLE_W)


def checkpoint(draw: Draw) -> Case:
    """47: an announced checkpoint of 20 s, which nothing but its return is near to."""
    make = Maker(other(draw, seconds=max(draw.seconds, 600.0)), 47)
    make.spec = replace(make.spec, batteries=(battery(0, 4 * MW / USABLE_SHARE, 100 * MW),))
    job_w = make.job([(0.0, 1e9)], [(LEAD_S, LEAD_S + CHECKPOINT_S, 0.45)])
    said = [Said(LEAD_S, -CHECKPOINT_W, -CHECKPOINT_W, -CHECKPOINT_W, late_s=10.0, firm=True),
            Said(LEAD_S + CHECKPOINT_S, CHECKPOINT_W, CHECKPOINT_W, CHECKPOINT_W, late_s=10.0, firm=True)]
    case = _told(make, "an announced checkpoint", job_w, 0.5, said, CEILING_W)
    assert case.orders is not None
    return other(case, orders=case.orders._replace(floor_w=IDLE_W + SURELY_W))


def _start(at_s: float) -> Said:
    return Said(at_s, MEAN_W, SURELY_W, AT_MOST_W, late_s=10.0, firm=True)


def _stop(at_s: float) -> Said:
    return Said(at_s, -MEAN_W, -SURELY_W, -AT_MOST_W, late_s=10.0, firm=True)


def _told(make: Maker, name: str, job_w: Series, soc: float, said: list[Said], ceiling_w: float) -> Case:
    case = make.case(name, job_w, soc=soc, orders=law.Orders(Mode.AUTO, ceiling_w))
    return planned(case, said)[0]
