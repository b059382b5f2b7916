"""Scenarios of what the load does."""


import numpy as np
from msgspec.structs import replace

from pswd_edge.planning import traces
from pswd_edge.planning.traces import STEP_S
from pswd_edge.replay.loop import Case
from pswd_edge.replay.making import FOREVER, REFERENCE, Draw, Maker
from pswd_edge.replay.site import CEILING_W, JOB_W, MW


def steady(draw: Draw) -> Case:
    """0: training from 20 s on, nothing else: what the rhythm becomes on the grid."""
    make = Maker(draw, 0)
    return make.case("steady training", make.job([(20.0, FOREVER)]), soc=0.9)


def step_up(draw: Draw) -> Case:
    """1: the whole job at once, from idle, batteries nearly full."""
    make = Maker(draw, 1)
    return make.case("step up from idle", make.job([(60.0, FOREVER)]), soc=0.95)


def abort(draw: Draw) -> Case:
    """2: the whole job gone within 200 ms, batteries nearly empty."""
    make = Maker(draw, 2)
    return make.case("abort from full load", make.job([(0.0, 120.0)]), soc=0.1)


def abort_in_ramp(draw: Draw) -> Case:
    """3: the job aborts while the reference still climbs."""
    make = Maker(draw, 3)
    return make.case("abort while the reference climbs", make.job([(40.0, 120.0)]), soc=0.95)


def restart(draw: Draw) -> Case:
    """4: an abort, and the job again a second later."""
    make = Maker(draw, 4)
    return make.case("restart a second after an abort", make.job([(40.0, 150.0), (151.0, FOREVER)]), soc=0.95)


def dips(draw: Draw) -> Case:
    """5: checkpoints of 5, 15 and 60 s while the reference climbs."""
    make = Maker(draw, 5)
    dips = [(90.0, 95.0, 0.45), (130.0, 145.0, 0.45), (190.0, 250.0, 0.4)]
    return make.case("checkpoints of 5, 15 and 60 s", make.job([(40.0, FOREVER)], dips), soc=0.95)


def two_jobs(draw: Draw) -> Case:
    """6: a job in one step, then two of half its power whose rhythms beat."""
    make = Maker(draw, 6)
    half = draw.seconds / 2
    together = make.job([(40.0, half)], power_w=JOB_W)
    first = make.job([(half, FOREVER)], power_w=JOB_W / 2)
    other = traces.pulses(make.rng, draw.seconds, draw.f0_hz * 1.13)
    second = JOB_W / 2 * traces.scheduled(other, [(half, FOREVER)])
    before = np.arange(len(together)) * STEP_S < half
    return make.case("two jobs, in step and then beating", np.where(before, together, first + second), soc=0.95)


def sweep(draw: Draw) -> Case:
    """7: every rhythm from 0.05 to 5 Hz."""
    make = Maker(draw, 7)
    count = round(draw.seconds / STEP_S)
    sweep = np.geomspace(0.05, 5.0, count)
    running = traces.pulses(make.rng, draw.seconds, sweep, jitter=0.0)
    return make.case("rhythm from 0.05 to 5 Hz", JOB_W * traces.scheduled(running, [(20.0, FOREVER)]), soc=0.95)


def drift(draw: Draw) -> Case:
    """8: a rhythm that wanders, beside the jitter of each period."""
    make = Maker(draw, 8)
    count = round(draw.seconds / STEP_S)
    wander = traces.smoothed(make.rng.normal(0.0, 8.0, count), 30.0)
    running = traces.pulses(make.rng, draw.seconds, draw.f0_hz * np.clip(1 + wander, 0.6, 1.6))
    return make.case("rhythm that drifts", JOB_W * traces.scheduled(running, [(20.0, FOREVER)]), soc=0.95)


def sawtooth(draw: Draw) -> Case:
    """9: a load that climbs as fast as the grid may, and falls at once."""
    make = Maker(draw, 9)
    time_s = np.arange(round(draw.seconds / STEP_S)) * STEP_S
    rise = make.spec.ramp_limit_w_per_min / 60 * (1 + 0.02 * make.rng.uniform(-1, 1))
    phase = np.mod(time_s, 240.0)
    return make.case("sawtooth at the ramp limit", 0.1 * JOB_W + rise * np.minimum(phase, 239.0), soc=0.6)


def steps_in_ramp(draw: Draw) -> Case:
    """10: steps up and down while the reference moves the same way, from half charge."""
    make = Maker(draw, 10)
    first = make.job([(40.0, FOREVER)], power_w=0.6 * JOB_W)
    second = make.job([(80.0, 140.0), (200.0, FOREVER)], power_w=0.4 * JOB_W)
    return make.case("steps with and against a climbing reference", first + second, soc=0.5)


def edges(draw: Draw) -> Case:
    """11: even seeds begin empty before a start, odd ones full before an abort."""
    make = Maker(draw, 11)
    low = draw.seed % 2 == 0
    job = make.job([(40.0, FOREVER)] if low else [(0.0, 60.0)])
    return make.case("batteries at the edge of their window", job, soc=0.0 if low else 1.0, viable=False,
                     why="the batteries begin empty before a start, or full before an abort")


def outside_range(draw: Draw) -> Case:
    """12: more and less load than was promised."""
    make = Maker(draw, 12)
    make.spec = replace(make.spec, load_ceiling_w=0.75 * CEILING_W, load_floor_w=35 * MW)
    return make.case("load outside the promised range", make.job([(40.0, 200.0)]), soc=0.9)


def reference(draw: Draw) -> Case:
    """100: start, checkpoint, abort, restart, abort."""
    make = Maker(draw, REFERENCE)
    abort, restart, end = 0.55 * draw.seconds, 0.55 * draw.seconds + 60.0, 0.93 * draw.seconds
    return make.case("ref-100MW: start, checkpoint, abort, restart, abort",
                     make.job([(30.0, abort), (restart, end)], [(100.0, 115.0, 0.45)]), soc=0.95)
