"""Scenarios of limits, orders and batteries that are too small."""

from collections.abc import Callable

from msgspec.structs import replace

from pswd_edge.model.command import Mode
from pswd_edge.model.control import Absorber
from pswd_edge.replay.loop import Case, Loop
from pswd_edge.replay.making import FOREVER, Draw, Maker, shedders, tiers
from pswd_edge.replay.plant import Shedder, Soak
from pswd_edge.replay.site import MW, battery, tier


def ceiling_lowered(draw: Draw) -> Case:
    """13: an API lowers the promised range below the load that is there."""
    make = Maker(draw, 13)

    def lower(loop: Loop) -> None:
        loop.orders = loop.orders._replace(ceiling_w=70 * MW)

    return make.case("ceiling lowered below the load", make.job([(40.0, FOREVER)]), soc=0.95, events=[(120.0, lower)])


def undersized(draw: Draw) -> Case:
    """14: half the energy that the range needs, and tiers."""
    make = Maker(draw, 14)
    make.spec = replace(make.spec, batteries=(battery(0, 4 * MW, 100 * MW),), tiers=tiers())
    return make.case("half the battery that is needed", make.job([(40.0, FOREVER)]), soc=0.95,
                     shedders=shedders(), viable=False, why="3.2 MWh of 6.5 that any load in the range needs")


def derated(draw: Draw) -> Case:
    """15: charging weaker than discharging, both halved by heat in mid-ramp."""
    make = Maker(draw, 15)
    make.spec = replace(make.spec, batteries=(battery(0, 10 * MW, 100 * MW, charge_rating_w=80 * MW),), tiers=tiers())

    def hot(loop: Loop) -> None:
        loop.batteries[0].derated = 0.5

    case = make.case("uneven ratings, derated in mid-ramp", make.job([(40.0, FOREVER)]), soc=0.95,
                     events=[(90.0, hot)], shedders=shedders(), viable=False,
                     why="from 90 s on the batteries give 50 MW where 60 are asked")
    case.batteries[0].charge_w = 80 * MW
    return case


def contradictions(draw: Draw) -> Case:
    """27: battery requests against energy, ramp and a curtailed import."""
    make = Maker(draw, 27)

    def ask(**orders: object) -> Callable[[Loop], None]:
        def event(loop: Loop) -> None:
            loop.orders = loop.orders._replace(**orders)  # type: ignore[arg-type]
        return event

    return make.case("requests against limits", make.job([(40.0, FOREVER)]), soc=0.5, viable=False, comparable=False,
                     why="a request holds the batteries where the law would not",
                     events=[(60.0, ask(target_w=90 * MW)), (110.0, ask(target_w=-90 * MW)),
                             (160.0, ask(target_w=50 * MW, import_limit_w=60 * MW)),
                             (220.0, ask(target_w=None, import_limit_w=None))])


def mode_flapping(draw: Draw) -> Case:
    """29: MANUAL and AUTO in turns, each cycle."""
    make = Maker(draw, 29)

    def flap(loop: Loop) -> None:
        manual = loop.orders.mode is Mode.AUTO
        loop.orders = loop.orders._replace(mode=Mode.MANUAL if manual else Mode.AUTO,
                                           manual_w=loop.state.battery_w if manual else None)

    return make.case("manual and automatic in turns", make.job([(40.0, FOREVER)]), soc=0.9,
                     events=[(100.0 + k / 10, flap) for k in range(100)])


def bad_tiers(draw: Draw) -> Case:
    """30: the first tier reports too much or too little, sticks on or off, by seed."""
    make = Maker(draw, 30)
    make.spec = replace(make.spec, batteries=(battery(0, 5 * MW, 25 * MW),), tiers=tiers())
    kinds: list[dict[str, object]] = [{"reports": 2.0}, {"reports": 0.5}, {"sticks": "on"}, {"sticks": "off"}]
    return make.case("tiers that are not what they say", make.job([(40.0, FOREVER)]), soc=0.6,
                     shedders=shedders(**kinds[draw.seed % 4]), viable=False, why="25 MW of battery for a step of 78")


def threshold(draw: Draw) -> Case:
    """31: a load that crosses the need to shed every six seconds."""
    make = Maker(draw, 31)
    make.spec = replace(make.spec, batteries=(battery(0, 6 * MW, 25 * MW),), tiers=tiers())
    dips = [(60.0 + 12 * k, 66.0 + 12 * k, 0.7) for k in range(18)]
    return make.case("a load that swings around the need to shed", make.job([(40.0, FOREVER)], dips), soc=0.6,
                     shedders=shedders(), viable=False, why="25 MW of battery for a step of 78")


def pickup(draw: Draw) -> Case:
    """32: tiers come back with half as much again for a minute."""
    make = Maker(draw, 32)
    make.spec = replace(make.spec, batteries=(battery(0, 6 * MW, 25 * MW),), tiers=tiers())
    shedders = [Shedder(0.2, 0.1, pickup=1.5) for _ in range(4)]
    return make.case("loads that come back with half as much again", make.job([(40.0, FOREVER)]), soc=0.7,
                     shedders=shedders, viable=False, why="25 MW of battery for a step of 78")


def import_lowered(draw: Draw) -> Case:
    """34: the import limit falls by 60 MW."""
    make = Maker(draw, 34)
    make.spec = replace(make.spec, batteries=(battery(0, 10 * MW, 60 * MW),), tiers=tiers())

    def curtail(loop: Loop) -> None:
        loop.orders = loop.orders._replace(import_limit_w=40 * MW)

    return make.case("import limit lowered below what batteries can hold", make.job([(0.0, FOREVER)]), soc=0.6,
                     shedders=shedders(), events=[(100.0, curtail)], viable=False, comparable=False,
                     why="the limit falls by 60 MW at once: loads must go")


def ramp_changed(draw: Draw) -> Case:
    """35: the ramp limit is lowered to a fifth, and raised again."""
    make = Maker(draw, 35)

    def ramp(limit_w: float | None) -> Callable[[Loop], None]:
        def event(loop: Loop) -> None:
            loop.orders = loop.orders._replace(ramp_w_per_min=limit_w)
        return event

    return make.case("ramp limit 10, 2, 10 MW/min", make.job([(40.0, 160.0)]), soc=0.95,
                     events=[(100.0, ramp(2 * MW)), (200.0, ramp(None))])


def export(draw: Draw) -> Case:
    """37: the job is gone while the batteries discharge."""
    make = Maker(draw, 37)
    make.spec = replace(make.spec, export_limit_w=0.0)
    return make.case("abort under discharge, no export allowed", make.job([(40.0, 60.0)]), soc=0.95)


def full(draw: Draw) -> Case:
    """52: the job is aborted while half the batteries that are needed are nearly full; load banks take the rest."""
    make = Maker(draw, 52)
    banks = tuple(Absorber(f"bank-{i + 1}", 300 + 2 * i, 301 + 2 * i, 40 * MW) for i in range(2))
    make.spec = replace(make.spec, batteries=(battery(0, 4 * MW, 100 * MW),), absorbers=banks)
    return make.case("abort with full batteries, and load banks", make.job([(-FOREVER, 60.0)]), soc=1.0,
                     soaks=[Soak(), Soak()], comparable=False)


def chillers(draw: Draw) -> Case:
    """53: the import limit falls below the load for good; a chiller takes two minutes to help."""
    make = Maker(draw, 53)
    slow = tier(0, 16 * MW, action="demand_limit", engaged_value=40.0, released_value=100.0, floor_w=6 * MW,
                actuation_s=120.0, min_on_s=300.0, min_off_s=600.0, max_events_per_h=4)
    make.spec = replace(make.spec, batteries=(battery(0, 4 * MW, 60 * MW),), tiers=(slow, *tiers()[1:]))

    def curtail(loop: Loop) -> None:
        loop.orders = loop.orders._replace(import_limit_w=60 * MW)

    return make.case("a chiller comes while the batteries carry", make.job([(-FOREVER, FOREVER)]), soc=0.6,
                     shedders=[Shedder(0.2, 0.4, 40.0), *shedders()[1:]], events=[(60.0, curtail)], viable=False,
                     comparable=False, why="the limit stays below the load: in the end loads must go")
