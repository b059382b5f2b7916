"""Scenarios of meters, batteries and cycles that fail."""

from collections.abc import Callable

import numpy as np
from msgspec.structs import replace

from pswd_edge.control.rules import law
from pswd_edge.model.command import Mode
from pswd_edge.planning.traces import STEP_S
from pswd_edge.replay.loop import Case, Event, Loop
from pswd_edge.replay.making import FOREVER, Draw, Maker, replace_delay, store, two_batteries
from pswd_edge.replay.plant import Meter
from pswd_edge.replay.site import MW, battery


def limit_flips(draw: Draw) -> Case:
    """16: the BMS of one of two batteries allows nothing for a minute."""
    make = Maker(draw, 16)
    make.spec = replace(make.spec, batteries=two_batteries())

    def flip(share: float) -> Callable[[Loop], None]:
        def event(loop: Loop) -> None:
            loop.batteries[0].derated = share
        return event

    return make.case("a battery's own limit falls to 0", make.job([(40.0, FOREVER)]), soc=0.9,
                     events=[(140.0, flip(0.0)), (200.0, flip(1.0))])


def meter_faults(draw: Draw) -> Case:
    """17: frozen, NaN, sentinel, wrong sign, kW, swapped words: ten seconds of each."""
    make = Maker(draw, 17)
    names = ("frozen", "nan", "sentinel", "sign", "kilo", "words")

    def fault(name: str) -> Callable[[Loop], None]:
        def event(loop: Loop) -> None:
            loop.meter.fault = name
        return event

    events = [(60.0 + 30 * i, fault(n)) for i, n in enumerate(names)]
    events += [(70.0 + 30 * i, fault("")) for i in range(len(names))]
    return make.case("the grid meter lies in six ways", make.job([(40.0, FOREVER)]), soc=0.95, events=events)


def meter_stale(draw: Draw) -> Case:
    """18: silent for 0.4, 0.6 and 5 s; then blind for 1.5 s with an abort in it."""
    make = Maker(draw, 18)

    def fault(name: str, *, both: bool = False) -> Callable[[Loop], None]:
        def event(loop: Loop) -> None:
            loop.meter.fault = name
            loop.load_meter.fault = name if both else ""
        return event

    pauses = [(100.0, 0.4, False), (120.0, 0.6, False), (140.0, 5.0, False), (199.0, 1.5, True)]
    events = [e for at, length, both in pauses for e in ((at, fault("stale", both=both)), (at + length, fault("")))]
    return make.case("the grid meter is silent, then a step", make.job([(40.0, 200.0)]), soc=0.7, events=events)


def slow_meter(draw: Draw) -> Case:
    """19: a mean over a second, renewed once a second, polled at 100 ms."""
    make = Maker(replace_delay(draw, 1.25), 19)
    make.spec = replace(make.spec, grid_power=replace(make.spec.grid_power, max_age_ms=1500, latency_ms=500.0))
    batteries = [store(battery(0, 13 * MW, 100 * MW), 0.25, 0.95)]
    make.spec = replace(make.spec, batteries=(battery(0, 13 * MW, 100 * MW),))
    return make.case("a meter that renews once a second", make.job([(40.0, FOREVER)], [(140.0, 155.0, 0.45)]),
                     batteries=batteries, meter=Meter(1.0, 1.0))


def skew(draw: Draw) -> Case:
    """21: the meter (odd seeds) or the battery is 300 ms later than the site file says."""
    make = Maker(draw, 21)
    late = 0.3 if draw.seed % 2 else 0.0
    case = make.case("meter and battery 300 ms apart", make.job([(40.0, 200.0)]), soc=0.95, meter=Meter(late_s=late))
    if not late:
        case.batteries[0].delay_s += 0.3
    return case


def overruns(draw: Draw) -> Case:
    """23: two to five cycles missed, before, in and after steps."""
    make = Maker(draw, 23)

    def pause(cycles: int) -> Callable[[Loop], None]:
        def event(loop: Loop) -> None:
            loop.skip_cycles = cycles
        return event

    return make.case("cycles that come too late", make.job([(40.0, 200.0)]), soc=0.95,
                     events=[(39.9, pause(5)), (80.0, pause(2)), (120.0, pause(5)), (199.8, pause(5))])


def follows(draw: Draw) -> Case:
    """24: one of two batteries is slow, oscillates, ignores."""
    make = Maker(draw, 24)
    make.spec = replace(make.spec, batteries=two_batteries())

    def follow(how: str) -> Callable[[Loop], None]:
        def event(loop: Loop) -> None:
            loop.batteries[0].follows = how
        return event

    return make.case("a battery that does not follow", make.job([(40.0, FOREVER)]), soc=0.9,
                     events=[(80.0, follow("slow")), (140.0, follow("oscillates")), (180.0, follow("ignores")),
                             (240.0, follow("ok"))], viable=False,
                     why="what a converter does on its own is on the grid before anybody can see it")


def silent(draw: Draw) -> Case:
    """25: one of two batteries hears nothing for a minute and falls back to 0."""
    make = Maker(draw, 25)
    make.spec = replace(make.spec, batteries=two_batteries())

    def listens(*, yes: bool) -> Callable[[Loop], None]:
        def event(loop: Loop) -> None:
            loop.batteries[0].listens = yes
        return event

    return make.case("set-points that do not arrive", make.job([(40.0, FOREVER)]), soc=0.9,
                     events=[(120.0, listens(yes=False)), (180.0, listens(yes=True))])


def local(draw: Draw) -> Case:
    """26: one of two batteries is taken into LOCAL for a minute."""
    make = Maker(draw, 26)
    make.spec = replace(make.spec, batteries=two_batteries())

    def local(*, on: bool) -> Callable[[Loop], None]:
        def event(loop: Loop) -> None:
            loop.batteries[1].available = not on
        return event

    return make.case("a battery in LOCAL", make.job([(40.0, FOREVER)]), soc=0.9,
                     events=[(140.0, local(on=True)), (200.0, local(on=False))])


def unequal(draw: Draw) -> Case:
    """33: four batteries from 40 to 95 %, and the fullest is lost."""
    make = Maker(draw, 33)
    make.spec = replace(make.spec, batteries=tuple(battery(i, 5 * MW, 40 * MW) for i in range(4)))
    batteries = [store(b, draw.delay_s, soc) for b, soc in zip(make.spec.batteries, (0.95, 0.8, 0.6, 0.4), strict=True)]

    def lose(loop: Loop) -> None:
        loop.batteries[0].available = False

    return make.case("four batteries of unequal charge, one is lost", make.job([(40.0, FOREVER)]),
                     batteries=batteries, events=[(150.0, lose)])


def outage(draw: Draw) -> Case:
    """36: grid and load are gone for 30 s."""
    make = Maker(draw, 36)
    job = make.job([(20.0, FOREVER)])
    time_s = np.arange(len(job)) * STEP_S
    dark = (time_s >= 150.0) & (time_s < 180.0)
    case = make.case("the grid is gone for 30 s", np.where(dark, 0.0, job), soc=0.5, viable=False,
                     why="the load falls to nothing with the grid, and is back at once")
    case.base_w[dark] = 0.0
    return case


def restarted(draw: Draw) -> Case:
    """41: a new control process in mid-ramp, which observes for 5 s first."""
    make = Maker(draw, 41)

    def restart(loop: Loop) -> None:
        loop.state = law.start(loop.spec)
        loop.orders = loop.orders._replace(mode=Mode.OBSERVE)

    def again(loop: Loop) -> None:
        loop.orders = loop.orders._replace(mode=Mode.AUTO)

    def keep(loop: Loop) -> None:
        loop.batteries[0].command(loop.batteries[0].power_w, loop.now_s)

    keeps: list[Event] = [(100.1 + k, keep) for k in range(5)]
    return make.case("control restarted in mid-ramp", make.job([(40.0, FOREVER)]), soc=0.95,
                     events=[(100.0, restart), *keeps, (105.0, again)])
