"""Loads that must go because a circuit carries too much: its own tiers first, then its load controllers."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from pswd_edge.control.rules import tiers
from pswd_edge.control.rules.allocate import Battery
from pswd_edge.control.rules.circuits import (
    AT_ONCE_SHARE,
    CONFIRM_CYCLES,
    KEPT_SHARE,
    NOTHING_HELD,
    BranchState,
    Hold,
    is_guarded,
)
from pswd_edge.control.rules.deficit import is_slow, warning_s
from pswd_edge.control.rules.flexibility import Flexible
from pswd_edge.control.rules.measured import measured
from pswd_edge.control.rules.shed import engaged
from pswd_edge.control.rules.tiers import ShedState, coming_w, obeys
from pswd_edge.model.control import Branch, ControlSpec
from pswd_edge.model.snapshot import Snapshot

BATTERY_CYCLES = 20           # over the rating for so long, whatever batteries were to do: then loads go
CAP_S = 2.0                   # within this a cap is expected to show
RACK_MAX_AGE_S = 2.0
SPAN_S = 5.0                  # a swing of the load is shorter: room is the least of this span and the one before
LEAST_STEP = 0.02             # of the ratings: a cap is not raised by less


class Cap(NamedTuple):
    """A load controller held to `high_w` by the branch `name`."""

    controller: int
    high_w: float
    name: str


def roomed(spec: ControlSpec, states: Sequence[BranchState], shed: ShedState, may: Flexible) -> Flexible:
    """The tiers as they may come back: none by more than every circuit above it has had room for."""
    if not any(t.engaged for t in shed.tiers):
        return may
    return may._replace(room_w=tuple(_rooms_w(spec, states)))


def withheld_w(spec: ControlSpec, states: Sequence[BranchState], shed: ShedState) -> float:
    """What the load would rise by, were all tiers given back for which circuits have room."""
    if not states or not any(t.engaged for t in shed.tiers):
        return tiers.withheld_w(shed)
    return sum([min(max(0.0, t.before_w - _known(t.filtered_w)), room)
                for t, room in zip(shed.tiers, _rooms_w(spec, states), strict=True) if t.engaged])


def _rooms_w(spec: ControlSpec, states: Sequence[BranchState]) -> list[float]:
    """By how much each tier may come back; infinite where no circuit is above it."""
    room = [math.inf] * len(spec.tiers)
    for branch, state in zip(spec.branches, states, strict=True):
        if not is_guarded(branch):
            continue
        most_w = 0.0 if state.hold.cap_share < math.inf else min(state.hold.least_w, state.hold.before_w)
        for i in branch.tiers:
            room[i] = min(room[i], most_w)
    return room


def relieved(
    spec: ControlSpec, states: Sequence[BranchState], shed: ShedState, fleet: Sequence[Battery],
    snapshot: Snapshot, power_w: Sequence[float], may: Flexible, *, trusted: bool,
) -> tuple[tuple[BranchState, ...], ShedState]:
    """The branches and tiers after what their loads ask for. `power_w`: of each tier, NaN where not known.

    Tiers of the circuit that is over go in the site's order, as little as needed; what they cannot take off is taken
    off its load controllers. `trusted`: caps may be raised again.
    """
    after, now_s = [], snapshot.time_s
    out = {i for i, t in enumerate(shed.tiers) if t.engaged}  # before this pass: what goes in it leaves its own trace
    lower: dict[int, float] = {}  # what circuits below have just capped load controllers to
    for branch, found in zip(spec.branches, states, strict=True):
        free = not out or out.isdisjoint(branch.tiers)
        if free and found.hold == NOTHING_HELD and found.load_w <= KEPT_SHARE * branch.rating_w:
            after.append(found)
            continue
        drawn_w = _drawn_w(spec, branch, found, shed, snapshot)
        need_w = (_need_w(spec, branch, found, fleet) - _tiers_pending_w(spec, branch, shed, power_w, now_s)
                  - _caps_pending_w(spec, found, drawn_w, lower, now_s))
        slack_w, urgent_w = (1 - KEPT_SHARE) * branch.rating_w, (AT_ONCE_SHARE - KEPT_SHARE) * branch.rating_w
        hold = found.hold._replace(short_cycles=found.hold.short_cycles + 1 if need_w > slack_w else 0)
        if need_w > urgent_w or hold.short_cycles >= CONFIRM_CYCLES:
            cut = _tiers_engaged(spec, branch, shed, need_w, power_w, may, now_s)
            need_w, shed = need_w - _taken_w(branch, shed, cut, power_w), cut
            hold = _capped(spec, hold, drawn_w, lower, need_w, now_s) if need_w > slack_w else hold
        hold = _eased(spec, branch, _spanned(spec, branch, found, hold, shed, now_s), now_s, trusted=trusted)
        lower = _lowered(spec, lower, hold, drawn_w, now_s)
        nothing = free and hold.short_cycles == 0 and hold.cap_share == math.inf
        after.append(found._replace(hold=NOTHING_HELD if nothing else hold))
    return tuple(after), shed


def caps(spec: ControlSpec, states: Sequence[BranchState]) -> tuple[Cap, ...]:
    """What load controllers are held to now; the tightest branch of each."""
    least: dict[int, Cap] = {}
    for branch, state in zip(spec.branches, states, strict=True):
        for i in branch.controllers if state.hold.cap_share < math.inf else ():
            high_w = state.hold.cap_share * spec.load_controllers[i].rating_w
            if i not in least or high_w < least[i].high_w:
                least[i] = Cap(i, high_w, branch.id)
    return tuple(least.values())


def _need_w(spec: ControlSpec, branch: Branch, state: BranchState, fleet: Sequence[Battery]) -> float:
    """What of the load is above the rating and not carried by batteries below; minus infinity where not known.

    Batteries are asked to hold for the time that shedding takes. Where they were to carry it and the branch stays over
    its rating, what it really carries counts.
    """
    if not state.known:
        return -math.inf
    if state.over_cycles >= BATTERY_CYCLES:
        return state.power_w - KEPT_SHARE * branch.rating_w
    hold_h = warning_s(spec) / 3600
    carried = sum([min(fleet[i].discharge_available_w,
                       fleet[i].above_min_wh * spec.batteries[i].discharge_efficiency / hold_h)
                   for i in branch.batteries if fleet[i].usable])
    return state.load_w - KEPT_SHARE * branch.rating_w - carried


def _tiers_pending_w(spec: ControlSpec, branch: Branch, shed: ShedState, power_w: Sequence[float],
                     now_s: float) -> float:
    """What tiers below were told to take off and still draw, within their time; one that does not obey counts not."""
    total = 0.0
    for i in branch.tiers:
        tier, found = spec.tiers[i], shed.tiers[i]
        if found.engaged and now_s - found.asked_s < tier.actuation_s and obeys(tier, found, now_s):
            total += max(0.0, _known(power_w[i]) - found.cap_w)
    return total


def _drawn_w(spec: ControlSpec, branch: Branch, state: BranchState, shed: ShedState,
             snapshot: Snapshot) -> dict[int, float]:
    """What load controllers below draw, as far as their tiers let them; NaN where it is not known."""
    if state.hold.cap_share == math.inf and state.load_w <= KEPT_SHARE * branch.rating_w:
        return {}
    held = {spec.tiers[i].setpoint: shed.tiers[i].cap_w for i in branch.tiers if shed.tiers[i].engaged}
    drawn = {}
    for i in branch.controllers:
        rack = spec.load_controllers[i]
        power_w = measured(snapshot.read(rack.power), RACK_MAX_AGE_S)
        drawn[i] = power_w if math.isnan(power_w) else min(power_w, held.get(rack.cap, math.inf))
    return drawn


def _lowered(spec: ControlSpec, lower: dict[int, float], hold: Hold, drawn_w: dict[int, float],
             now_s: float) -> dict[int, float]:
    """Caps that were set just now and do not show yet, this branch's among them, by load controller."""
    if now_s - hold.capped_s >= CAP_S or hold.cap_share == math.inf:
        return lower
    return lower | {i: min(lower.get(i, math.inf), hold.cap_share * spec.load_controllers[i].rating_w)
                    for i in drawn_w}


def _caps_pending_w(spec: ControlSpec, state: BranchState, drawn_w: dict[int, float], lower: dict[int, float],
                    now_s: float) -> float:
    """What caps will take off that were set just now, by this branch or by one below it."""
    new = _lowered(spec, lower, state.hold, drawn_w, now_s)
    return sum([max(0.0, _known(w) - new.get(i, math.inf)) for i, w in drawn_w.items()]) if new else 0.0


def _tiers_engaged(spec: ControlSpec, branch: Branch, shed: ShedState, need_w: float, power_w: Sequence[float],
                   may: Flexible, now_s: float) -> ShedState:
    """Tiers of this branch only, by what they draw now: a circuit does not wait for a filter. The quick ones first."""
    mine = may._replace(order=tuple([i for i in may.order if i in branch.tiers]))
    now = shed._replace(tiers=tuple([t if math.isnan(w) else t._replace(filtered_w=w)
                                     for t, w in zip(shed.tiers, power_w, strict=True)]))
    cut = engaged(spec, now, need_w - spec.shed_margin_w, power_w, now_s, mine, slow=False)
    left_w = need_w - _taken_w(branch, now, cut, power_w)
    if left_w > 0 and any(is_slow(spec.tiers[i]) for i in branch.tiers):
        cut = engaged(spec, cut, left_w - spec.shed_margin_w, power_w, now_s, mine, slow=True)
    return cut._replace(tiers=tuple([c._replace(filtered_w=t.filtered_w)
                                     for c, t in zip(cut.tiers, shed.tiers, strict=True)]))


def _taken_w(branch: Branch, before: ShedState, after: ShedState, power_w: Sequence[float]) -> float:
    """What caps that were lowered now take off of what tiers below draw."""
    return sum([max(0.0, min(power_w[i], before.tiers[i].cap_w if before.tiers[i].engaged else math.inf)
                    - after.tiers[i].cap_w)
                for i in branch.tiers if after.tiers[i] is not before.tiers[i] and after.tiers[i].engaged
                and not math.isnan(power_w[i])])


def _capped(spec: ControlSpec, hold: Hold, drawn_w: dict[int, float], lower: dict[int, float], need_w: float,
            now_s: float) -> Hold:
    """Hold the controllers to one share of their ratings, so low that it takes this off; what is not known is held too.

    Found from the busiest down: the share at which those above it give together what is needed.
    """
    new = _lowered(spec, lower, hold, drawn_w, now_s)
    left_w = [(min(w, new.get(i, math.inf)), spec.load_controllers[i].rating_w)
              for i, w in drawn_w.items() if not math.isnan(w)]
    racks = sorted(((w / rating, w, rating) for w, rating in left_w), reverse=True)
    share, power_w, rating_w = 1.0, 0.0, 0.0
    for at, (_, drawn, rating) in enumerate(racks):
        power_w, rating_w = power_w + drawn, rating_w + rating
        share = max(0.0, (power_w - need_w) / rating_w)
        if at + 1 == len(racks) or share >= racks[at + 1][0]:
            break
    if share >= min(hold.cap_share, 1.0):
        return hold
    return hold._replace(cap_share=share, capped_s=now_s)


def _spanned(spec: ControlSpec, branch: Branch, state: BranchState, hold: Hold, shed: ShedState,
             now_s: float) -> Hold:
    """The least room of this span and the last: a load that swings has more in its troughs than it may use."""
    if not state.known:
        return hold
    room_w = max(0.0, KEPT_SHARE * branch.rating_w - state.load_w - coming_w(spec, shed, now_s, branch.tiers))
    if now_s - hold.span_s < SPAN_S:
        return hold._replace(least_w=min(hold.least_w, room_w))
    return hold._replace(before_w=hold.least_w if hold.span_s > -math.inf else 0.0, least_w=room_w, span_s=now_s)


def _eased(spec: ControlSpec, branch: Branch, hold: Hold, now_s: float, *, trusted: bool) -> Hold:
    """Caps are raised by what there has been room for, one step at a time; at the ratings there are none."""
    if hold.cap_share == math.inf or not trusted or now_s - hold.capped_s < max(spec.release_after_s, CAP_S):
        return hold
    step = min(hold.least_w, hold.before_w) / sum([spec.load_controllers[i].rating_w for i in branch.controllers])
    if step < LEAST_STEP:
        return hold
    share = hold.cap_share + step
    return hold._replace(cap_share=share if share < 1 else math.inf, capped_s=now_s)


def _known(power_w: float) -> float:
    return 0.0 if math.isnan(power_w) else power_w
