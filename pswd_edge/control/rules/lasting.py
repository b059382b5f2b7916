"""The load that lasts: what the batteries' energy has to carry is the mean of a load that swings, not its peaks."""

import math

from pswd_edge.control.rules.deficit import MEAN_S
from pswd_edge.control.rules.tiers import ShedState, pending_w
from pswd_edge.model.control import ControlSpec


def remembered(spec: ControlSpec, shed: ShedState, filtered_w: float, now_s: float, dt_s: float) -> ShedState:
    """Follow the mean of the load as it would be with nothing shed, so that a tier is no step of it."""
    unshed_w = filtered_w - pending_w(spec, shed, now_s) + told_w(shed)
    if math.isnan(shed.unshed_w):
        return shed._replace(unshed_w=unshed_w)
    part = 1 - math.exp(-dt_s / MEAN_S)
    return shed._replace(unshed_w=shed.unshed_w + part * (unshed_w - shed.unshed_w))


def lasting_w(spec: ControlSpec, shed: ShedState, filtered_w: float, now_s: float) -> float:
    """The mean of the load with what is shed taken off, what the filtered load does not show yet left in.

    Never above the load itself: what has gone need not be carried.
    """
    if math.isnan(shed.unshed_w):
        return filtered_w
    return min(filtered_w, shed.unshed_w - told_w(shed) + pending_w(spec, shed, now_s))


def told_w(shed: ShedState) -> float:
    """What engaged tiers were told to take off, W."""
    return sum([t.shed_w for t in shed.tiers if t.engaged])
