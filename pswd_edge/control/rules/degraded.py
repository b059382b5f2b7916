"""The degraded modes: one table of what can be wrong, what the law does then, and how it ends.

The law measures (`estimate.py`, `allocate.py`, `following.py`), asks this table, and does what it says: whether it
leads the batteries, restores their energy, sheds, gives back, and whether AUTO may begin. What an alarm says and how
bad it is stands in the table of alarms, by the same names.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

from pswd_edge.control.rules.allocate import DOES_NOT_FOLLOW, OSCILLATES
from pswd_edge.control.rules.derate import UPS_ON_BATTERY
from pswd_edge.control.rules.estimate import CONTRADICTED

OVERRUNS_MAX = 5              # cycles in a row that took longer than a period: then the loop cannot be trusted
Batteries = Literal["led", "others", "released"]


class Facts(NamedTuple):
    """What was measured in a cycle and may be wrong.

    `flaw` is what the estimate says of the grid meter or the batteries' power, `source` where the load comes from.
    `batteries`: id and why it cannot be used ("" where it can). `refused`: batteries whose device does not take its
    set-point. `outvoted`: places of grid meters that are not believed. `overruns`: cycles in a row that were too long.
    `silent`: supervisors that are not heard any more.
    """

    flaw: str = ""
    source: str = "grid"
    outvoted: tuple[int, ...] = ()
    load_meters_known: bool = True
    batteries: tuple[tuple[str, str], ...] = ()
    refused: tuple[str, ...] = ()
    soc_uncertain: tuple[str, ...] = ()
    not_commissioned: bool = False
    too_slow: bool = False
    insufficient: bool = False
    ups_on_battery: bool = False
    overruns: int = 0
    silent: tuple[str, ...] = ()
    ups_unknown: tuple[str, ...] = ()
    frequency_unknown: bool = False
    circuits_over: tuple[str, ...] = ()
    circuits_unknown: tuple[str, ...] = ()


class Row(NamedTuple):
    """One degraded mode.

    `name` is what reports and alarms call it; with a colon a subject follows. `found` gives the names in force.
    `batteries`: "led" as ever, "others" where one is left out and the others take over, "released" where all hold for a
    second and then go to zero at the ramp. `restores`: energy is restored. `sheds`, `gives_back`: tiers may go, may
    come back. `starts`: AUTO may begin by itself. `safe`: control goes to SAFE. `ends` says when it is over.
    """

    name: str
    found: Callable[[Facts], tuple[str, ...]]
    ends: str
    batteries: Batteries = "led"
    restores: bool = True
    sheds: bool = True
    gives_back: bool = True
    starts: bool = False
    safe: bool = False


class Policy(NamedTuple):
    """What all rows in force leave of the law."""

    names: tuple[str, ...] = ()
    released: bool = False
    restores: bool = True
    sheds: bool = True
    gives_back: bool = True
    starts: bool = True
    safe: bool = False


def _flaw(name: str) -> Callable[[Facts], tuple[str, ...]]:
    return lambda facts: (name,) if facts.flaw == name else ()


def _unreadable(facts: Facts) -> tuple[str, ...]:
    """A grid meter that cannot be read, for a reason that has no row of its own."""
    own = facts.flaw in _OWN_ROW or not facts.flaw.startswith("grid_meter_")
    return () if own else (facts.flaw,)


def _lost(facts: Facts) -> tuple[str, ...]:
    return tuple(f"battery_lost:{id_}" for id_, why in facts.batteries if why not in ("", DOES_NOT_FOLLOW, OSCILLATES))


def _not_following(facts: Facts) -> tuple[str, ...]:
    return tuple(f"battery_not_following:{id_}" for id_, why in facts.batteries
                 if why == DOES_NOT_FOLLOW and id_ not in facts.refused)


def _oscillating(facts: Facts) -> tuple[str, ...]:
    return tuple(f"battery_oscillates:{id_}" for id_, why in facts.batteries if why == OSCILLATES)


def _when(name: str, true: Callable[[Facts], bool]) -> Callable[[Facts], tuple[str, ...]]:
    return lambda facts: (name,) if true(facts) else ()


def _each(name: str, who: Callable[[Facts], tuple[str | int, ...]]) -> Callable[[Facts], tuple[str, ...]]:
    return lambda facts: tuple(f"{name}:{one}" for one in who(facts))


_OWN_ROW = frozenset({"grid_meter_frozen", "grid_meter_implausible", CONTRADICTED, "grid_meter_not_a_number"})
_GOOD_AGAIN = "with its first good value"

ROWS: tuple[Row, ...] = (
    Row("grid_meter_<reason>", _unreadable, _GOOD_AGAIN, restores=False, gives_back=False),
    Row("grid_meter_not_a_number", _flaw("grid_meter_not_a_number"), _GOOD_AGAIN, restores=False, gives_back=False),
    Row("grid_meter_frozen", _flaw("grid_meter_frozen"), "with its next other value", restores=False, gives_back=False),
    Row("grid_meter_implausible", _flaw("grid_meter_implausible"), _GOOD_AGAIN, restores=False, gives_back=False),
    Row(CONTRADICTED, _flaw(CONTRADICTED), "when the meters have agreed for a second", restores=False,
        gives_back=False),
    Row("grid_meter_outvoted:<place>", _each("grid_meter_outvoted", lambda f: f.outvoted), "when it agrees again",
        starts=True),
    Row("battery_power_unknown", _flaw("battery_power_unknown"), _GOOD_AGAIN, restores=False, gives_back=False),
    Row("load_meters_unknown", _when("load_meters_unknown", lambda f: not f.load_meters_known),
        "when all of one group are good", starts=True),
    Row("blind", _when("blind", lambda f: f.source == "none"), "with the first load that is known",
        batteries="released", restores=False, sheds=False, gives_back=False),
    Row("battery_lost:<id>", _lost, "when SoC, power and state are good again", batteries="others"),
    Row("battery_not_following:<id>", _not_following, "when it has kept to 0 for 20 s, then 40, and so on",
        batteries="others"),
    Row("battery_oscillates:<id>", _oscillating, "when it has stood still at 0 for 20 s, then 40, and so on",
        batteries="others"),
    Row("setpoint_refused:<id>", _each("setpoint_refused", lambda f: f.refused), "when its device takes a value",
        batteries="others"),
    Row("soc_uncertain:<id>", _each("soc_uncertain", lambda f: f.soc_uncertain), "when the SoC fits again",
        starts=True),
    Row(UPS_ON_BATTERY, _when(UPS_ON_BATTERY, lambda f: f.ups_on_battery), "when it is on the grid again",
        starts=True),
    Row("ups_unknown:<id>", _each("ups_unknown", lambda f: f.ups_unknown), "with its next answer", restores=False,
        starts=True),
    Row("frequency_unknown", _when("frequency_unknown", lambda f: f.frequency_unknown), _GOOD_AGAIN, starts=True),
    Row("circuit_overload:<id>", _each("circuit_overload", lambda f: f.circuits_over), "when it is within its rating",
        starts=True),
    Row("circuit_unknown:<id>", _each("circuit_unknown", lambda f: f.circuits_unknown), _GOOD_AGAIN, starts=True),
    Row("not_commissioned", _when("not_commissioned", lambda f: f.not_commissioned), "with its commissioning",
        batteries="others"),
    Row("loop_too_slow", _when("loop_too_slow", lambda f: f.too_slow), "when the measured delay is short enough"),
    Row("reserve_insufficient", _when("reserve_insufficient", lambda f: f.insufficient), "when both reserves fit again",
        starts=True),
    Row("supervision_lost:<who>", _each("supervision_lost", lambda f: f.silent), "with its next word", starts=True),
    Row("cycles_missed", _when("cycles_missed", lambda f: f.overruns > OVERRUNS_MAX), "by the operator's order",
        gives_back=False, safe=True),
)


def policy(facts: Facts) -> Policy:
    """What the rows in force leave of the law."""
    names: list[str] = []
    rows: list[Row] = []
    for row in ROWS:
        if found := row.found(facts):
            names += found
            rows.append(row)
    if not rows:
        return _ALL_IS_WELL
    return Policy(
        tuple(names), any(r.batteries == "released" for r in rows), all(r.restores for r in rows),
        all(r.sheds for r in rows), all(r.gives_back for r in rows), all(r.starts for r in rows),
        any(r.safe for r in rows))


_ALL_IS_WELL = Policy()
