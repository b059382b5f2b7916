"""What control keeps of its state when the site changes while it runs. Pure."""

from collections.abc import Mapping
from typing import TypeVar

from msgspec.structs import replace

from pswd_edge.control.rules import delay, droop
from pswd_edge.control.rules.circuits import BranchState
from pswd_edge.control.rules.estimate import Memory
from pswd_edge.control.rules.following import Following
from pswd_edge.control.rules.law import LawState
from pswd_edge.control.rules.shed import ShedState, TierState
from pswd_edge.control.rules.surplus import Absorbing
from pswd_edge.model.site import Site

_T = TypeVar("_T")

NEED_RESTART = ("id", "state_dir", "runtime_dir", "snmp_traps", "recording")
"""What belongs to the process itself: a change of these takes effect with a restart only."""


def why_restart(old: Site, new: Site) -> str:
    """What of a change cannot be taken up while running; empty where all of it can."""
    names = [name for name in NEED_RESTART if getattr(old, name) != getattr(new, name)]
    if old.control.period_ms != new.control.period_ms:
        names.append("control.period_ms")
    if old.control.shadow is not new.control.shadow:
        names.append("control.shadow")
    return ", ".join(names)


def shadowed(site: Site) -> Site:
    """The same site, of which control decides and writes nothing."""
    return replace(site, control=replace(site.control, shadow=True))


def carried_law(old: Site, new: Site, state: LawState) -> LawState:
    """The law's state under the new site.

    With the same batteries nothing is lost. With others, histories begin anew and the reference is taken from what is
    measured, so that the change makes no step; tiers, absorbers and circuits keep their state by their ids. So does
    each battery what it was told. How late they are is learnt anew: others may be faster or slower. Droop that is not
    given any more makes no step either: the grid stays where it is.
    """
    before, after = old.control, new.control
    tiers = {t.id: s for t, s in zip(before.tiers, state.shed.tiers, strict=True)}
    droop_w = state.droop.power_w
    if droop.fed_w(before.droop, droop_w) != droop.fed_w(after.droop, droop_w):
        state = state._replace(droop=droop.NONE, reference=None, feed=None, budget=None)
    shed: ShedState = state.shed._replace(tiers=tuple(tiers.get(t.id, TierState()) for t in after.tiers))
    found = {a.id: s for a, s in zip(before.absorbers, state.absorbed.absorbers, strict=True)}
    absorbed = state.absorbed._replace(absorbers=tuple(found.get(a.id, Absorbing()) for a in after.absorbers))
    branches = dict(zip([b.id for b in before.branches], state.circuits, strict=False))
    circuits = tuple([branches.get(b.id, BranchState()) for b in after.branches])
    state = state._replace(shed=shed, circuits=circuits, absorbed=absorbed)
    if _sources(old) == _sources(new):
        return state
    return state._replace(memory=Memory(), reference=None, feed=None, missed_w=0.0, delay=delay.begun(),
                          energy=(), following=_followed(old, new, state))


def _followed(old: Site, new: Site, state: LawState) -> tuple[Following, ...]:
    """What is known of each battery that both sites have, by id, power and set-point; nothing of the others."""
    known = dict(zip(_batteries(old), state.following, strict=True))
    return tuple(known.get(name, Following()) for name in _batteries(new))


def _sources(site: Site) -> list[str]:
    """What the estimate is made from, by name."""
    spec, points = site.control, site.points
    return [points[spec.grid_power.point].id, *_batteries(site)]


def _batteries(site: Site) -> list[str]:
    points = site.points
    return [f"{b.id} {points[b.power.point].id} {points[b.setpoint].id}" for b in site.control.batteries]


def moved_points(old: Site, new: Site) -> dict[int, int]:
    """Old index to new, of the points that both have."""
    return {p.index: new.point_index[p.id] for p in old.points if p.id in new.point_index}


def moved_controllers(old: Site, new: Site) -> dict[int, int]:
    """Old place to new, of the load controllers that both have."""
    after = {c.id: i for i, c in enumerate(new.control.load_controllers)}
    return {i: after[c.id] for i, c in enumerate(old.control.load_controllers) if c.id in after}


def moved_keys(found: Mapping[int, _T], moved: Mapping[int, int]) -> dict[int, _T]:
    """A mapping by index under the new indices; what is gone is left out."""
    return {moved[i]: value for i, value in found.items() if i in moved}


def difference(old: Site, new: Site) -> str:
    """What changed, for a person: devices and connections by name."""
    parts = []
    for what, before, after in (("connection", {c.id: _told(c) for c in old.connections},
                                 {c.id: _told(c) for c in new.connections}),
                                ("device", _devices(old), _devices(new))):
        for verb, names in (("added", sorted(after.keys() - before.keys())),
                            ("removed", sorted(before.keys() - after.keys())),
                            ("changed", sorted(n for n in after.keys() & before.keys() if after[n] != before[n]))):
            if names:
                parts.append(f"{what} {verb}: {', '.join(names)}")
    if _told(old.control) != _told(new.control) and not parts:
        parts.append("control settings changed")
    if old.planner != new.planner:
        parts.append(f"planner switched {'on' if new.planner.enabled else 'off'}")
    parts += [f"{name} changed: takes effect when the gateway is restarted"
              for name in ("listeners", "api_limits", "uplink") if getattr(old, name) != getattr(new, name)]
    return "; ".join(parts) or "nothing that matters here"


def _devices(site: Site) -> dict[str, object]:
    """Devices by id, each with its points, without the numbers that only count places."""
    return {d.id: [site.connections[d.connection].id, d.unit, d.map, *(
        _told(p) for p in site.points[d.first_point : d.first_point + d.point_count])] for d in site.devices}


def _told(thing: object) -> list[object]:
    """The fields of a struct but for its place in the site."""
    fields: tuple[str, ...] = thing.__struct_fields__  # type: ignore[attr-defined]
    return [getattr(thing, f) for f in fields if f not in {"index", "device", "connection", "first_point", "write"}]
