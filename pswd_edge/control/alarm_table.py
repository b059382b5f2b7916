"""Every alarm that control can raise: how bad it is, whether it latches, what it means, what to do."""

from typing import Literal, NamedTuple

Severity = Literal["info", "warning", "critical"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")
OFF_DELAY_S = 5.0             # gone for so long before it is over: what flaps is one alarm that came more than once


class Kind(NamedTuple):
    """One kind of alarm. `text` and `advice` are Markdown for documents and people.

    A kind that latches stays listed until it is over and acknowledged. It is raised after its condition has held for
    `on_delay_s`.
    """

    severity: Severity
    latch: bool
    text: str
    advice: str
    on_delay_s: float = 0.0


KINDS: dict[str, Kind] = {
    "grid_meter_stale": Kind(
        "warning", False, "the grid meter's value is older than `max_age_ms`",
        "look at its connection in `status`; control goes on with the load meters"),
    "grid_meter_<reason>": Kind(
        "warning", False, "its value cannot be used; the reason is in the table below",
        "the same; look at the meter's own display"),
    "grid_meter_not_a_number": Kind(
        "warning", False, "it sends no finite number", "look at map and meter: type, word order"),
    "grid_meter_frozen": Kind(
        "warning", False, "its value stood still while the batteries moved",
        "restart the meter or its gateway; a slow meter wants a larger `frozen_after`"),
    "grid_meter_contradicted": Kind(
        "warning", False, "it says something else than load meters and batteries together",
        "look at sign, scale and word order of its map, and at a meter that was exchanged"),
    "grid_meter_implausible": Kind(
        "warning", False, "over 1.5 times the site's maximum load", "look at scale, word order and unit of the map"),
    "battery_power_unknown": Kind(
        "warning", False, "a battery does not tell its power", "look at its connection"),
    "battery_lost:<id>": Kind(
        "warning", False, "a battery cannot be used: no SoC, no power, or a state that takes no set-point",
        "look at its state on its own display (LOCAL, fault, contactor)"),
    "grid_meter_outvoted:<place>": Kind(
        "warning", False, "one of several grid meters says something else than the others, or nothing; 0: `grid_power`",
        "look at that meter; the others speak"),
    "load_meters_unknown": Kind(
        "warning", False, "neither load meters nor a substitute tell the whole load",
        "restore them: with the grid meter gone too, control would be blind"),
    "battery_not_following:<id>": Kind(
        "warning", False, "a battery's power is none of what it was told",
        "look at its display: LOCAL, a limit of its own, another master"),
    "battery_oscillates:<id>": Kind(
        "warning", False, "a battery's power swings around what it was told, by itself",
        "look at its controller's gains and at what was changed there; a weak grid, a second master"),
    "setpoint_refused:<id>": Kind(
        "warning", False, "its device refused its set-point for a second, or did not answer",
        "look at the connection and at what the device wants before it takes a set-point"),
    "soc_uncertain:<id>": Kind(
        "warning", False, "its SoC jumped by over 2 %, or its two registers are over 2 % apart",
        "compare with the BMS' own display; a BMS that recalibrated settles within a minute"),
    "ups_on_battery": Kind(
        "warning", False, "a UPS lives on its own store: batteries do not charge", "look at its feeder"),
    "ups_unknown:<id>": Kind(
        "warning", False, "a UPS did not answer for 30 s: batteries do not restore their energy, or with `when_lost: "
        "bar` do not charge", "look at its agent and its connection", on_delay_s=60.0),
    "frequency_unknown": Kind(
        "warning", False, "the grid's frequency is missing, old, or none that a grid can have: no droop",
        "look at the meter that `control.frequency` names; what was given for it goes back at the ramp limit"),
    "circuit_overload:<id>": Kind(
        "critical", False, "a circuit carries more than its rating for two cycles, or over 1.1 times of it",
        "take load off below it, or place it elsewhere; its tiers and load controllers are held down meanwhile"),
    "circuit_unknown:<id>": Kind(
        "warning", False, "what a circuit carries is not known: neither its meter nor all below it can be read",
        "restore its meter; until then batteries below it charge no more than they did, and nothing below comes back"),
    "loop_too_slow": Kind(
        "warning", False, "meter and batteries are so late that steps alone would use up the ramp limit",
        "look at the measured delay in `status`: a meter that renews once a second, a battery that follows slowly; "
        "repair, or narrow `load_range`"),
    "reserve_insufficient": Kind(
        "warning", False, "energy or power is too small for the guaranteed range",
        "tighten `load_range`, or end fast workloads; the ramp limit holds for milder steps only"),
    "blind": Kind(
        "critical", False, "neither grid meter nor load meters: the load is not known",
        "restore a meter; batteries hold for 1 s and go to zero; think of `mode SAFE`"),
    "safe_state": Kind(
        "critical", True, "the mode is SAFE", "find out why (`status` says it), order a mode, then acknowledge it"),
    "not_commissioned": Kind(
        "warning", False, "actuators that AUTO leaves out: never tried here, or changed since; the text says which",
        "[commission](#commissioning-actuators) them"),
    "tier_stuck": Kind(
        "warning", False, "an engaged tier's own meter shows less than half of what it was to take off; the tiers "
        "after it are asked instead",
        "look at its outlet, cap and meter; it is not counted on until its meter shows the load gone"),
    "over_temperature:<id>": Kind(
        "critical", False, "an interlock's temperature is at its limit; the text says which step is in force, and "
        "whether it is latched",
        "look at pumps, valves and chiller of that hall; a latch goes when it is below `reset_c` and you order a mode"),
    "interlock_latched:<id>": Kind(
        "critical", False, "an interlock has tripped; all its steps stay, over a restart of control too",
        "find out why it was so hot; when it is below `reset_c`, order a mode: that lets go of the latch"),
    "temperature_lost:<id>": Kind(
        "warning", False, "an interlock's temperature cannot be used; the text says what it counts as",
        "look at its device; nothing is given back meanwhile"),
    "heat_export_off:<id>": Kind(
        "warning", False, "the heat network's supply could not be held in its band: switched off",
        "nothing: it is tried again by itself; look at the heat pump where it lasts"),
    "surplus": Kind(
        "critical", True, "for 1 s, the load has been falling faster than the ramp with batteries that are full, and "
        "no absorber is left: the grid falls with the load",
        "lower nothing: raise load, or let the batteries be emptied; more room in the batteries (`load_range`) or an "
        "absorber keeps it from coming again", on_delay_s=1.0),
    "contradiction:<point>": Kind(
        "warning", False, "for 1 s, two of one level have wanted different values of a point: neither is taken, "
        "the next lower level leads it, or nobody",
        "look at `explain` for who they are: parts of the site file that lead one point twice", on_delay_s=1.0),
    "supervision_lost:<who>": Kind(
        "warning", False, "a supervisor of `control.supervision` has not been heard for longer than it may; its "
        "set-points and targets were let go",
        "look at that program and its way here; it is over with its next word"),
    "ledger": Kind(
        "warning", False, "decisions cannot be written down, or the chain of entries is broken; the text says where",
        "free the disk; for a broken chain see [the ledger](#the-ledger). Control goes on; requests fail while the "
        "disk is full"),
    "shadow": Kind(
        "info", False, "[shadow mode](#shadow-mode): control decides and writes nothing",
        "nothing, where that is meant; else take `control.shadow` out of the site file, or `--shadow` off, and restart "
        "control"),
    "recording": Kind(
        "info", False, "the [recording](#recording) has holes or has ended: the disk is too slow or full",
        "free the disk, start it again; control is not affected"),
    "alarms_not_kept": Kind(
        "info", False, "the list of alarms cannot be written to `alarms.json` of the state folder",
        "free the disk, look at the folder's owner; what is latched or shelved now would be forgotten by a restart"),
    "tiers_not_kept": Kind(
        "info", False, "which loads are shed cannot be written to `tiers.json` of the state folder",
        "free the disk, look at the folder's owner; a restart now would not know what it shed"),
    "alarms_left_out": Kind(
        "warning", False, "more alarms than the list holds; the text says how many are left out, the milder ones first",
        "look for the one cause of the many: a switch, a power supply"),
}

_WILD = sorted(((code.partition("<")[0], kind) for code, kind in KINDS.items() if "<" in code),
               key=lambda found: -len(found[0]))  # the longest first: grid_meter_outvoted: is no grid_meter_


def kind_of(code: str) -> Kind | None:
    """The kind of an alarm's code, as `battery_lost:bess-1` is of `battery_lost:<id>`; None where there is none."""
    found = KINDS.get(code)
    if found is None:
        found = next((kind for start, kind in _WILD if code.startswith(start) and code != start), None)
    return found
