"""Whether, when and how much of an announced workload could be carried: what control is asked, and what is suggested.

Everything here is a proposal. Control judges it again on what it measures, and once more when the start has come.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from pswd_edge.model.capacity import fast, power_for_heat, spare_w
from pswd_edge.model.control import ControlSpec
from pswd_edge.model.window import Window, is_live, rivals, window_of
from pswd_edge.model.workload import Announcement, Headroom, Offer, Workload

MOMENTS_MAX = 40              # starts that are tried: each costs a look at every workload
LATEST_S = 48 * 3600.0        # how far ahead a start is suggested
_SOON_S = 60.0                # before its start the load as it is now says something about it
_SLACK_W = 1.0


class Outlook(NamedTuple):
    """What is known of the site: its spec with the import limit in force, what runs, and how fast the grid follows.

    `room` is what control says is left of all that is promised; `ramp_w_per_s` the grid's ramp, `load_w` what is
    measured, None: not known.
    """

    spec: ControlSpec
    workloads: Sequence[Workload]
    room: Headroom
    ramp_w_per_s: float
    load_w: float | None
    utc_s: float


class Alternative(NamedTuple):
    """What would fit in place of what was asked: "reduce" (to W), "delay" (by s), "ramp" (at most W/s)."""

    kind: str
    value: float


class Scarce(NamedTuple):
    """What offers least, and how many W of the workload's own power: "power", "cooling", "swing"."""

    kind: str
    most_w: float


def least_w(announcement: Announcement) -> float:
    """The smallest approval that serves it: all of its peak unless it can be throttled."""
    if not announcement.can_throttle:
        return announcement.peak_w
    low = announcement.baseline_w if announcement.minimum_w is None else announcement.minimum_w
    return min(max(low, announcement.baseline_w), announcement.peak_w)


def scarcest(outlook: Outlook, announcement: Announcement, window: Window) -> Scarce:
    """What offers least in a window, beside the workloads that are there in some part of it."""
    others = rivals(outlook.workloads, window, outlook.utc_s)
    spec, room = outlook.spec, outlook.room
    taken = spec.load_ceiling_w + sum(w.approved_w for w in others)
    freed = sum(w.approved_w for w in outlook.workloads if is_live(w)) - (taken - spec.load_ceiling_w)
    soon = window.begin_utc_s <= outlook.utc_s + _SOON_S
    busy = max(taken, outlook.load_w or 0.0) if soon else taken
    cooling = spec.cooling_rating_w - taken
    offers = {
        "power": min(min(spec.import_limit_w, spec.load_maximum_w) - busy, sum(spare_w(spec, others))),
        "cooling": power_for_heat(announcement, min(cooling, room.cooling_w + freed) if soon else cooling),
    }
    if fast(announcement.ramp_w_per_s, outlook.ramp_w_per_s):
        ceiling = spec.load_ceiling_w + sum(
            w.approved_w for w in others if fast(w.announcement.ramp_w_per_s, outlook.ramp_w_per_s))
        offers["swing"] = room.carried_w - (ceiling - spec.load_floor_w)
    kind = min(offers, key=lambda k: offers[k])
    return Scarce(kind, max(0.0, offers[kind]))


def at_rating(spec: ControlSpec, announcement: Announcement, ramp_w_per_s: float) -> Scarce:
    """What offers least on the empty site with everything in order: beyond that no waiting helps."""
    racks = sum(c.rating_w for c in spec.load_controllers)
    free = min(spec.import_limit_w, spec.load_maximum_w) - spec.load_ceiling_w
    offers = {
        "power": min(free, racks),
        "cooling": power_for_heat(announcement, spec.cooling_rating_w - spec.load_ceiling_w),
    }
    if fast(announcement.ramp_w_per_s, ramp_w_per_s):
        offers["swing"] = _rated_swing_w(spec, ramp_w_per_s) - (spec.load_ceiling_w - spec.load_floor_w)
    kind = next((k for k, most in offers.items() if most < least_w(announcement)), min(offers, key=lambda k: offers[k]))
    return Scarce(kind, max(0.0, offers[kind]))


def _rated_swing_w(spec: ControlSpec, ramp_w_per_s: float) -> float:
    """An upper bound of the load range that all batteries carry together for any sequence: E = swing^2 / 2R."""
    usable_wh = sum(b.capacity_wh * (b.soc_max_percent - b.soc_min_percent) / 100 for b in spec.batteries)
    power_w = sum(b.charge_rating_w + b.discharge_rating_w for b in spec.batteries)
    return min(power_w, math.sqrt(2 * 3600 * usable_wh * ramp_w_per_s))


# --- in time ----------------------------------------------------------------------------------------------------------


def asked_start(announcement: Announcement, utc_s: float) -> float:
    """When it is to start as announced."""
    return max(utc_s, announcement.earliest_start_utc_s or 0.0)


def latest_start(announcement: Announcement, utc_s: float) -> float:
    """The latest start that it bears: what it tolerates of delay, its window, and what its deadline leaves."""
    ends = [asked_start(announcement, utc_s) + announcement.delay_tolerance_s]
    if announcement.latest_start_utc_s is not None:
        ends.append(announcement.latest_start_utc_s)
    deadlines = [d for d in (announcement.deadline_utc_s, announcement.latest_completion_utc_s) if d is not None]
    ends += [d - (announcement.duration_s or 0) for d in deadlines]
    return min(ends)


def offer_for(outlook: Outlook, announcement: Announcement) -> Offer | None:
    """How control is to be asked: all of its power as soon as it may come; None: as it was announced.

    Before a cap comes a later start that it bears; where nothing fits whole, control's own judgement counts.
    """
    asked = asked_start(announcement, outlook.utc_s)
    for start in (asked, *moments(outlook, asked, latest_start(announcement, outlook.utc_s))):
        for limit_s in _limits(announcement):
            window = Window(start, math.inf if limit_s is None else start + limit_s)
            if scarcest(outlook, announcement, window).most_w + _SLACK_W >= announcement.peak_w:
                later = start if start > asked else None
                return None if later is None and limit_s is None else Offer(later, None, limit_s)
    return None


def _limits(announcement: Announcement) -> tuple[float | None, ...]:
    """Without a limit first; and with the duration that it says it needs, so that it ends before others start."""
    return (None, float(announcement.duration_s)) if announcement.duration_s else (None,)


def moments(outlook: Outlook, after_utc_s: float, until_utc_s: float) -> Iterator[float]:
    """When something ends by its own word, after one time and until another, the first first."""
    ends = {window_of(w, outlook.utc_s).end_utc_s for w in outlook.workloads if is_live(w)}
    found = sorted(e for e in ends if after_utc_s < e <= until_utc_s)
    yield from found[:MOMENTS_MAX]


def alternatives(outlook: Outlook, announcement: Announcement) -> tuple[Alternative, ...]:
    """What would fit: less power now, the same later, or a gentler ramp. Whatever it says of its own flexibility."""
    asked = asked_start(announcement, outlook.utc_s)
    now = scarcest(outlook, announcement, Window(asked, math.inf))
    if now.most_w + _SLACK_W >= announcement.peak_w:
        return ()
    found = []
    if max(announcement.baseline_w, _SLACK_W) <= now.most_w < announcement.peak_w:
        found.append(Alternative("reduce", now.most_w))
    for start in moments(outlook, asked, asked + LATEST_S):
        if scarcest(outlook, announcement, Window(start, math.inf)).most_w + _SLACK_W >= announcement.peak_w:
            found.append(Alternative("delay", start - asked))
            break
    gentle = replace(announcement, ramp_w_per_s=outlook.ramp_w_per_s)
    if now.kind == "swing" and outlook.ramp_w_per_s > 0:
        eased = scarcest(outlook, gentle, Window(asked, math.inf))
        if eased.most_w + _SLACK_W >= announcement.peak_w:
            found.append(Alternative("ramp", outlook.ramp_w_per_s))
    return tuple(found)


def rated_alternatives(spec: ControlSpec, announcement: Announcement, ramp_w_per_s: float) -> tuple[Alternative, ...]:
    """What would fit on the empty site, where the announcement never can."""
    most = at_rating(spec, replace(announcement, can_throttle=False), ramp_w_per_s)
    gentle = replace(announcement, can_throttle=False, ramp_w_per_s=ramp_w_per_s)
    found = []
    if max(announcement.baseline_w, _SLACK_W) <= most.most_w < announcement.peak_w:
        found.append(Alternative("reduce", most.most_w))
    if most.kind == "swing" and ramp_w_per_s > 0:
        eased = at_rating(spec, gentle, ramp_w_per_s)
        if eased.most_w >= announcement.peak_w:
            found.append(Alternative("ramp", ramp_w_per_s))
    return tuple(found)
