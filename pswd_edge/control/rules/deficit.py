"""What of the load can be neither served nor absorbed within ramp, import limit and batteries (control law, 2.4)."""

import math
from typing import NamedTuple

from pswd_edge.control.rules.allocate import Fleet
from pswd_edge.control.rules.reserve import Range
from pswd_edge.model.control import ControlSpec, Tier

PRE_ARM_S = 5.0               # beyond a tier's actuation time: so long before the batteries are empty it must go
SLOW_S = 10.0                 # a tier that takes longer is no answer to a deficit that is there

MEAN_S = 10.0                 # of what lasts of a load: several swings of a training job, and little energy


class Need(NamedTuple):
    """What cannot be served within ramp and import limit, and what cannot be absorbed.

    A negative deficit is headroom; the surplus is never negative. `early_w` is the deficit that there will be when the
    slow tiers have worked; minus infinity where there are none. `room_w`: by how much the load may fall without a
    surplus; negative where there is one.
    """

    deficit_w: float
    surplus_w: float
    early_w: float = -math.inf
    room_w: float = math.inf


def is_slow(tier: Tier) -> bool:
    """Whether it must be engaged long before it is needed."""
    return tier.actuation_s > SLOW_S


def warning_s(spec: ControlSpec) -> float:
    """How long before the batteries are empty shedding by the quick tiers must begin."""
    return max((t.actuation_s for t in spec.tiers if not is_slow(t)), default=0.0) + PRE_ARM_S


def found(spec: ControlSpec, filtered_w: float, reference_w: float, fleet: Fleet, limits: Range,
          import_limit_w: float, lasting_w: float | None = None) -> Need:
    """The needs of a site: `needs` with the warning that its own tiers want."""
    need = needs(filtered_w, reference_w, fleet, limits, import_limit_w, warning_s(spec), spec.shed_margin_w, lasting_w)
    slow = [t.actuation_s for t in spec.tiers if is_slow(t)]
    if not slow:
        return need
    lasting_w = filtered_w if lasting_w is None else lasting_w
    reference_w, later = _then(lasting_w, reference_w, fleet, limits, import_limit_w, max(slow) + PRE_ARM_S)
    early = needs(lasting_w, reference_w, later, limits, import_limit_w, PRE_ARM_S, spec.shed_margin_w)
    return need._replace(early_w=early.deficit_w)


def _then(filtered_w: float, reference_w: float, fleet: Fleet, limits: Range, import_limit_w: float,
          after_s: float) -> tuple[float, Fleet]:
    """Reference and batteries after a time with this load: the one has climbed, the others have given the rest.

    What is over by then needs no slow tier: the ramp has brought it.
    """
    gap_w = max(0.0, filtered_w - reference_w)
    climb_w = min(limits.up_w_per_s * after_s, max(0.0, min(filtered_w, import_limit_w) - reference_w))
    climb_s = climb_w / limits.up_w_per_s
    used_ws = (gap_w - climb_w / 2) * climb_s + (gap_w - climb_w) * (after_s - climb_s)
    left_wh = max(0.0, fleet.above_min_wh - used_ws / 3600 / limits.discharge_efficiency)
    return reference_w + climb_w, fleet._replace(above_min_wh=left_wh)


def needs(
    filtered_w: float, reference_w: float, fleet: Fleet, limits: Range, import_limit_w: float, warning_s: float,
    tolerance_w: float = 0.0, lasting_w: float | None = None,
) -> Need:
    """What the load takes beyond what the reference and the batteries can serve from now on.

    What is above the import limit stays with the batteries for good: of that they are asked to hold `warning_s`, the
    time that shedding takes. A ramp that is broken by less than `tolerance_w` is no deficit: the tier's own step would
    be the larger evil. Energy has to carry what lasts of the load, `lasting_w`, and its present excess until that is
    seen to last; power all of it.
    """
    mean_w = filtered_w if lasting_w is None else lasting_w
    stored_wh = kept_wh(fleet.above_min_wh * limits.discharge_efficiency, filtered_w, mean_w)
    powered_w = reference_w + limits.up_w_per_s * limits.period_s + fleet.discharge_available_w
    carried_w = _carried_w(reference_w, stored_wh, limits.up_w_per_s * 3600, import_limit_w, warning_s / 3600)
    deficit = max(filtered_w - powered_w - tolerance_w, mean_w - carried_w - tolerance_w,
                  filtered_w - fleet.discharge_available_w - import_limit_w)
    down_wh_per = 2 * limits.down_w_per_s * 3600 / limits.charge_efficiency
    absorbed = max(reference_w - limits.down_w_per_s * limits.period_s - fleet.charge_available_w,
                   reference_w - math.sqrt(down_wh_per * fleet.below_max_wh))
    return Need(deficit, max(0.0, absorbed - filtered_w), room_w=filtered_w - absorbed)


def kept_wh(stored_wh: float, filtered_w: float, lasting_w: float) -> float:
    """Energy that is left if the load stays where it is: until the mean has followed, the difference is carried too."""
    return max(0.0, stored_wh - max(0.0, filtered_w - lasting_w) * MEAN_S / 3600)


def _carried_w(
    reference_w: float, stored_wh: float, ramp_w_per_h: float, import_limit_w: float, warning_h: float
) -> float:
    """The highest load whose energy the batteries have, from this reference on.

    Up to the import limit the reference climbs to the load and the energy is the triangle gap²/(2·ramp). Of a load
    that is x above the limit the triangle lacks its tip, and x goes on: gap² + 2·gap·x + 2·ramp·x·warning for the gap
    from reference to limit, all over 2·ramp.
    """
    gap_w = max(0.0, import_limit_w - reference_w)
    free = 2 * ramp_w_per_h * stored_wh - gap_w * gap_w
    if free <= 0:
        return reference_w + math.sqrt(2 * ramp_w_per_h * stored_wh)
    return import_limit_w + free / (2 * gap_w + 2 * ramp_w_per_h * warning_h)
