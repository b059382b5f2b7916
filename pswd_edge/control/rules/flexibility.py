"""What the workloads that run on a tier allow: who goes first, how far down, and who never."""

from collections.abc import Sequence
from typing import NamedTuple

from pswd_edge.model.control import ControlSpec, Tier
from pswd_edge.model.window import is_live
from pswd_edge.model.workload import IDLE_SHARE, Workload

THROTTLE, PAUSE, CUT = range(3)
_PRIORITIES = {"low": 0, "normal": 1, "medium": 1, "high": 2}
CRITICAL = "critical"


class Flexible(NamedTuple):
    """Tiers as they may be shed now.

    `order`: indices into `ControlSpec.tiers`, the first to go first; what is not in it is not shed. `floor_w`: for
    every tier, the least power it may be held at. `whole`: tiers that are taken down to their floor or not at all.
    `room_w`: the most that each may come back by; empty: as much as the site has room for.
    """

    order: tuple[int, ...]
    floor_w: tuple[float, ...]
    whole: frozenset[int]
    room_w: tuple[float, ...] = ()


def of_site(spec: ControlSpec) -> Flexible:
    """As the site file has them, when no workload is known."""
    return Flexible(tuple(range(len(spec.tiers))), tuple([t.floor_w for t in spec.tiers]),
                    frozenset(i for i, t in enumerate(spec.tiers) if t.action != "cap"))


def flexible(spec: ControlSpec, workloads: Sequence[Workload]) -> Flexible:
    """As the live workloads leave them: throttle before pause before cut, low priority first, critical never.

    What is held back before its start is not there yet. Within that the site's own order counts. A tier is as stiff as
    the stiffest workload on it. Power that nobody announced is the site's to throttle.
    """
    base = of_site(spec)
    live = [w for w in workloads if is_live(w) and not w.held]
    if not live:
        return base
    found = [_on(spec, tier, live) for tier in spec.tiers]
    steps = [_step(tier, on) for tier, on in zip(spec.tiers, found, strict=True)]
    keys = [(steps[i], max((_rank(w) for w, _ in on), default=0), i) for i, on in enumerate(found)
            if not any(w.announcement.priority == CRITICAL for w, _ in on)]
    floors = [max(tier.floor_w, sum(_least_w(w, share) for w, share in on)) if steps[i] != CUT else tier.floor_w
              for i, (tier, on) in enumerate(zip(spec.tiers, found, strict=True))]
    return Flexible(tuple([key[2] for key in sorted(keys)]), tuple(floors),
                    base.whole | {i for i, step in enumerate(steps) if step != THROTTLE})


def _on(spec: ControlSpec, tier: Tier, live: Sequence[Workload]) -> list[tuple[Workload, float]]:
    """The workloads whose racks a tier caps, each with the power that is reserved for it there."""
    mine = [i for i, c in enumerate(spec.load_controllers) if c.cap == tier.setpoint]
    return [(w, reserved) for w in live for i, reserved in zip(w.controllers, w.reserved_w, strict=True) if i in mine]


def _step(tier: Tier, on: Sequence[tuple[Workload, float]]) -> int:
    """The gentlest thing that can be done to a tier."""
    if all(w.announcement.can_throttle for w, _ in on):
        return CUT if tier.action == "outlet" else THROTTLE
    pausable = all(w.announcement.can_throttle or w.announcement.can_pause or w.announcement.delay_tolerance_s > 0
                   for w, _ in on)
    return PAUSE if pausable and tier.action != "outlet" else CUT


def _rank(workload: Workload) -> int:
    """Of priorities; a word that is not known counts as high."""
    return _PRIORITIES.get(workload.announcement.priority, 2)


def _least_w(workload: Workload, reserved_w: float) -> float:
    """What a workload still draws where it is held at its least; a paused one idles."""
    asked = workload.announcement
    if asked.can_throttle and asked.minimum_w is not None and asked.peak_w > 0:
        return reserved_w * min(1.0, asked.minimum_w / asked.peak_w)
    return reserved_w * IDLE_SHARE
