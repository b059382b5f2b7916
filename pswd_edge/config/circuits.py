"""Circuits of a site file: what hangs where, what cannot be, and the tree that the law guards."""

from collections.abc import Iterator, Mapping

from pswd_edge.config.control_form import BatteryForm, ControlForm, TierForm
from pswd_edge.config.mistakes import number
from pswd_edge.config.place import Place
from pswd_edge.config.site_form import CircuitForm, SiteFile
from pswd_edge.model.control import Branch, Input
from pswd_edge.model.point import Point

Circuits = Mapping[str, CircuitForm]


def hangs_somewhere(control: ControlForm) -> bool:
    """Whether anything of `control` says which circuit it hangs on; else circuits are only shown, not guarded."""
    return any(_hung(control))


def _hung(control: ControlForm) -> list[str | None]:
    """The circuit of each battery, tier and load controller."""
    return [*(b.circuit for b in control.batteries.values()), *(circuit_of(control, t) for t in control.tiers),
            *(c.circuit for c in control.load_controllers.values())]


def above(circuits: Circuits, id_: str | None) -> Iterator[str]:
    """A circuit and all above it, upward; nothing for one that is not known, and no circle twice."""
    seen: set[str] = set()
    while id_ is not None and id_ in circuits and id_ not in seen:
        yield id_
        seen.add(id_)
        id_ = circuits[id_].parent


def circuit_of(control: ControlForm, tier: TierForm) -> str | None:
    """The circuit that feeds a tier: its own, or that of the load controller that it caps."""
    controller = control.load_controllers.get(tier.device) if tier.action == "cap" else None
    return tier.circuit or (controller.circuit if controller is not None else None)


def check_circuits(form: SiteFile, place: Place) -> None:
    """Note what hangs on a circuit that is not there or cannot carry it. `place` is the document's top."""
    control, circuits = form.control, form.circuits
    here = place.at("control")
    for id_, battery in control.batteries.items():
        _known(battery.circuit, circuits, here.at("batteries", id_))
        _check_battery(battery, circuits, here.at("batteries", id_))
    for id_, controller in control.load_controllers.items():
        _known(controller.circuit, circuits, here.at("load_controllers", id_))
    for index, tier in enumerate(control.tiers):
        _known(tier.circuit, circuits, here.at("tiers", index))
        _check_tier(tier, control, here.at("tiers", index))
    for id_, circuit in circuits.items():
        _check_feeds(circuit, circuits, place.at("circuits", id_))
    for id_, circuit in circuits.items() if hangs_somewhere(control) else ():
        _check_floors(id_, circuit, form, place.at("circuits", id_))
        _check_sum(id_, circuit, circuits, place.at("circuits", id_))


def _known(id_: str | None, circuits: Circuits, place: Place) -> None:
    if id_ is not None and id_ not in circuits:
        place.complain(("circuit",), repr(id_), "one of " + ", ".join(circuits) if circuits else "none: no circuits")


def _check_battery(battery: BatteryForm, circuits: Circuits, place: Place) -> None:
    """A battery that no branch above it can carry would never do what it is rated for."""
    for id_ in above(circuits, battery.circuit):
        most_w = circuits[id_].rating_w
        for key, rating_w in (("charge_w", battery.charge_w), ("discharge_w", battery.discharge_w)):
            if rating_w > most_w:
                place.complain((key,), number(rating_w), f"the rating of circuit {id_}, {number(most_w)}, at most")


def _check_tier(tier: TierForm, control: ControlForm, place: Place) -> None:
    controller = control.load_controllers.get(tier.device) if tier.action == "cap" else None
    if controller is not None and tier.circuit is not None and tier.circuit != controller.circuit:
        found = "none" if controller.circuit is None else repr(controller.circuit)
        place.complain(("circuit",), repr(tier.circuit), f"that of load controller {tier.device}, {found}, or nothing")


def _check_floors(id_: str, circuit: CircuitForm, form: SiteFile, place: Place) -> None:
    """What is left when every tier below has gone must fit."""
    control = form.control
    below = [t for t in control.tiers if id_ in above(form.circuits, circuit_of(control, t))]
    floor_w = sum(t.floor_w for t in below)
    if floor_w > circuit.rating_w:
        names = ", ".join(t.id for t in below)
        place.complain(("rating_w",), number(circuit.rating_w),
                       f"the floors of the tiers below it, {number(floor_w)} ({names}), at least")


def _check_feeds(circuit: CircuitForm, circuits: Circuits, place: Place) -> None:
    """What is for one purpose is measured once."""
    if circuit.feeds is None:
        return
    if circuit.meter is None:
        place.complain(("feeds",), f"{circuit.feeds} without a meter", "a meter, or nothing")
    higher = next((name for name in above(circuits, circuit.parent) if circuits[name].feeds is not None), None)
    if higher is not None:
        place.complain(("feeds",), f"{circuit.feeds} below {higher}, which feeds {circuits[higher].feeds}",
                       "it at one of both")


def _check_sum(id_: str, circuit: CircuitForm, circuits: Circuits, place: Place) -> None:
    """A sum with a part that can never be known is never known."""
    for child, below in circuits.items() if circuit.sums and circuit.meter is None else ():
        if below.parent == id_ and below.meter is None and not below.sums:
            place.complain(("sums",), f"true above {child}, which has neither meter nor sums", "one of both there")


def unguarded(form: SiteFile) -> list[tuple[tuple[str | int, ...], str]]:
    """Circuits with something below that cannot be looked at, each with its path."""
    control = form.control
    used = {id_ for on in _hung(control) for id_ in above(form.circuits, on)}
    text = "neither meter nor sums: its rating bounds where workloads are placed, but is not guarded"
    return [(("circuits", id_), f"circuits.{id_}: {text}") for id_, circuit in form.circuits.items()
            if id_ in used and circuit.meter is None and not circuit.sums]


def compile_branches(control: ControlForm, circuits: Circuits, points: Mapping[str, Point]) -> tuple[Branch, ...]:
    """The tree, children before parents; empty where nothing hangs on it. `points` by id."""
    if not hangs_somewhere(control):
        return ()
    order = sorted(circuits, key=lambda id_: -len(list(above(circuits, id_))))
    place = {id_: i for i, id_ in enumerate(order)}
    return tuple(_branch(id_, circuits, control, place, points) for id_ in order)


def _branch(id_: str, circuits: Circuits, control: ControlForm, place: Mapping[str, int],
            points: Mapping[str, Point]) -> Branch:
    circuit = circuits[id_]
    stores = [b.circuit for b in control.batteries.values()]
    racks = [c.circuit for c in control.load_controllers.values()]
    tiers = [circuit_of(control, t) for t in control.tiers]

    def below(hung: list[str | None]) -> tuple[int, ...]:
        return tuple(i for i, on in enumerate(hung) if id_ in above(circuits, on))

    return Branch(
        id=id_, rating_w=circuit.rating_w, parent=None if circuit.parent is None else place[circuit.parent],
        meter=None if circuit.meter is None else _input(circuit, points[f"{circuit.meter}.active_power_w"]),
        children=tuple(place[c] for c in circuits if circuits[c].parent == id_),
        loads=_loads(id_, circuit, control, points), stores=tuple(i for i, on in enumerate(stores) if on == id_),
        batteries=below(stores), tiers=below(tiers), controllers=below(racks), sums=circuit.sums)


def _loads(id_: str, circuit: CircuitForm, control: ControlForm, points: Mapping[str, Point]) -> tuple[Input, ...]:
    """What measures the loads that hang on this circuit itself."""
    racks = [f"{c}.active_power_w" for c, form in control.load_controllers.items() if form.circuit == id_]
    others = [t.power or f"{t.device}.active_power_w" for t in control.tiers if t.action != "cap" and t.circuit == id_]
    return tuple(_input(circuit, points[p]) for p in dict.fromkeys([*racks, *others]))


def _input(circuit: CircuitForm, point: Point) -> Input:
    return Input(point.index, circuit.max_age_ms, circuit.latency_ms)
