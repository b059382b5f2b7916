"""Which points the rules read, and which may be written."""

from collections.abc import Iterator

from pswd_edge.control.coordination import thermal_points
from pswd_edge.model.site import Site


def watched_points(site: Site) -> list[int]:
    """Every point that the rules read."""
    return [p for p in _watched(site) if p is not None]


def actuated_points(site: Site) -> list[int]:
    """Every point that may be written; none in shadow mode, where the field has nothing to write with."""
    return [] if site.control.shadow else [p.index for p in site.points if p.write is not None]


def _watched(site: Site) -> Iterator[int | None]:
    spec = site.control
    yield spec.grid_power.point
    yield spec.frequency
    yield from (m.point for m in (*spec.grid_meters, *spec.load_meters))
    yield from (m.point for group in spec.load_substitutes for m in group)
    for b in spec.batteries:
        yield from (b.soc.point, b.power.point, b.setpoint, b.charge_limit, b.discharge_limit, b.state,
                    b.soc_other.point if b.soc_other else None, b.temperature if b.derating else None)
    yield from (u.point for u in spec.ups)
    for t in spec.tiers:
        yield from (t.power, t.read_back)
    yield from (a.power for a in spec.absorbers)
    yield from (c.power for c in spec.load_controllers)
    yield from (m.point for b in spec.branches for m in (*((b.meter,) if b.meter else ()), *b.loads))
    yield from thermal_points(spec)
