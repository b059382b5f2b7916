"""Set-points that go to their value gradually. Pure."""

import math

from pswd_edge.model.thermal import Lead, ThermalSpec


def toward(value: float, goal: float, most: float) -> float:
    """`goal`, or as far toward it from `value` as `most` allows; the goal where it is not known where it stands."""
    return goal if math.isnan(value) else min(max(goal, value - most), value + most)


def slower(asked_per_s: float, declared_per_s: float) -> float:
    """The slower of two rates, of which 0 means none; 0 where there is neither."""
    return min((r for r in (asked_per_s, declared_per_s) if r > 0), default=0.0)


def leads(spec: ThermalSpec | None) -> dict[int, Lead]:
    """Every set-point that the thermal part declares, by point: its limits and its rate hold for all who ask."""
    if spec is None:
        return {}
    found = [lead for cooler in spec.coolers for lead in cooler.leads]
    found += [lead for export in spec.exports for lead in (export.setpoint, export.flow)]
    return {lead.point: lead for lead in found}


def declared_rates(spec: ThermalSpec | None) -> dict[int, float]:
    """The rate of each of them, in its unit per second."""
    return {point: lead.rate_per_s for point, lead in leads(spec).items()}
