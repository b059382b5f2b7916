"""What control answers to announcements and to orders for workloads. Pure."""

import math
from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from pswd_edge.clock import iso_utc
from pswd_edge.control.facts import Facts
from pswd_edge.control.point_orders import barred
from pswd_edge.control.rules.placement import (
    branch_room_w,
    headroom,
    judge,
    scarcest,
    unannounced_w,
)
from pswd_edge.model.capacity import spare_w
from pswd_edge.model.command import Accepted, Announce, Clamped, ControlWorkload, Failed, Mode, Outcome, Rejected
from pswd_edge.model.control import ControlSpec
from pswd_edge.model.site import Site
from pswd_edge.model.window import Window, is_live, rivals
from pswd_edge.model.workload import Announcement, Headroom, Offer, Workload, WorkloadState

THROTTLE_MAX_S = 86400.0
WORKLOADS_MAX = 500
_SOON_S = 60.0                # before its start the load as it is now says something about it
_ROUNDING_W = 1.0
_ACTIONS = "throttle with a target, pause, resume, terminate or migrate"


def decide_announcement(request: Announce, site: Site, facts: Facts, workloads: Mapping[str, Workload]) -> Outcome:
    """Approved, with conditions, or rejected; held back where its start or its dependencies are to come."""
    asked = request.workload
    if facts.ready or facts.mode is Mode.SAFE:
        return Failed(id=request.id, code="not_ready", reason=facts.ready or "mode is SAFE: nothing new is taken on")
    known = workloads.get(asked.workload_id)
    if known is not None and is_live(known):
        return Rejected(id=request.id, code="conflict", reason=f"{asked.workload_id} is announced already "
                        f"({known.state.value}); terminate it first, or use another id")
    if sum(is_live(w) for w in workloads.values()) >= WORKLOADS_MAX:
        return Failed(id=request.id, code="too_many", reason=f"{WORKLOADS_MAX} workloads are announced; terminate some")
    offer, spec = request.offer or Offer(), spec_now(site.control, facts)
    others, room = _beside(spec, facts, workloads.values(), _window(asked, offer, facts.utc_s))
    most_w = math.inf if offer.max_power_w is None else offer.max_power_w
    found = judge(spec, facts.limits, others, asked, room, facts.utc_s, most_w)
    found, limit = _limited(found, offer, spec, facts, workloads), ""
    if found.approved_w < asked.peak_w and spec.branches:
        scarce, _ = scarcest(spec, facts.limits, others, asked, room)
        limit = scarce if scarce.startswith("circuit:") else ""
    return Accepted(id=request.id, cycle=facts.cycle + 1, workload=found, limit=limit,
                    reason="; ".join(found.conditions))


def spec_now(spec: ControlSpec, facts: Facts) -> ControlSpec:
    """What the site promises, with the import limit that is in force."""
    return replace(spec, import_limit_w=min(spec.import_limit_w, facts.import_limit_w))


def lack(spec: ControlSpec, facts: Facts, workloads: Iterable[Workload], workload: Workload) -> str:
    """What keeps a workload that is held back from starting now, in words; empty where there is room for it."""
    running = tuple([w for w in workloads if is_live(w) and not w.held])
    room = headroom(spec, facts.limits, running, facts.load_w, facts.heat_w, facts.usable_wh)
    said, needed_w = workload.announcement, workload.approved_w
    share = needed_w / said.peak_w if said.peak_w > 0 else 0.0
    asked = replace(said, peak_w=needed_w, heat_w=None if said.heat_w is None else said.heat_w * share)
    scarce, most_w = scarcest(spec, facts.limits, running, asked, room)
    if most_w < needed_w:
        return f"{scarce} allows {max(0.0, most_w) / 1e6:.1f} MW of its {needed_w / 1e6:.1f} MW now"
    return _full(spec, spare_w(spec, running), dict(zip(workload.controllers, workload.reserved_w, strict=True)))


def _full(spec: ControlSpec, spare: list[float], reserved: Mapping[int, float]) -> str:
    """The first rack or circuit that has no room for what is reserved there, in words; empty where all have."""
    for controller, power_w in reserved.items():
        if power_w > spare[controller] + _ROUNDING_W:
            return f"{spec.load_controllers[controller].id} still serves another workload"
    for branch, room_w in zip(spec.branches, branch_room_w(spec, spare), strict=True):
        if sum(w for c, w in reserved.items() if c in branch.controllers) > room_w + _ROUNDING_W:
            return f"circuit {branch.id} has no room for it"
    return ""


def _window(asked: Announcement, offer: Offer, utc_s: float) -> Window:
    """When it may be there: without a limit of its duration it may stay, whatever it estimates."""
    begin = max(utc_s, asked.earliest_start_utc_s or 0.0, offer.start_utc_s or 0.0)
    return Window(begin, math.inf if offer.duration_limit_s is None else begin + offer.duration_limit_s)


def _beside(spec: ControlSpec, facts: Facts, workloads: Iterable[Workload],
            window: Window) -> tuple[tuple[Workload, ...], Headroom]:
    """The workloads that are there in a window, and what they leave of the site."""
    others = rivals(workloads, window, facts.utc_s)
    if len(others) == sum(is_live(w) for w in workloads):
        return others, facts.headroom
    soon = window.begin_utc_s <= facts.utc_s + _SOON_S
    load_w, heat_w = (facts.load_w, facts.heat_w) if soon else (math.nan, math.nan)
    return others, headroom(spec, facts.limits, others, load_w, heat_w, facts.usable_wh)


def _limited(found: Workload, offer: Offer, spec: ControlSpec, facts: Facts,
             workloads: Mapping[str, Workload]) -> Workload:
    """The judgement with its start, its duration limit, and why it is held back."""
    said = found.announcement
    if found.state is WorkloadState.REJECTED:
        return found
    circle = _circle(said, workloads)
    if circle:
        return replace(found, state=WorkloadState.REJECTED, approved_w=0.0, controllers=(), reserved_w=(),
                       conditions=(f"dependencies: {' waits for '.join(circle)}",))
    more = []
    later = offer.start_utc_s is not None and offer.start_utc_s > max(facts.utc_s, said.earliest_start_utc_s or 0.0)
    if offer.start_utc_s is not None and later:
        more.append(f"starts at {iso_utc(offer.start_utc_s)}")
    if offer.duration_limit_s is not None:
        more.append(f"ends {offer.duration_limit_s:.0f} s after its start")
    start = max(said.earliest_start_utc_s or 0.0, offer.start_utc_s or 0.0)
    found = replace(found, start_utc_s=start if start > facts.utc_s else None, duration_limit_s=offer.duration_limit_s,
                    conditions=(*found.conditions, *more),
                    state=WorkloadState.CONDITIONAL if more else found.state)
    held = why_held(found, workloads, facts.utc_s)
    if not held:
        return replace(found, started_utc_s=facts.utc_s)
    left = unannounced_w(spec, tuple(workloads.values()), found, facts.rack_w)
    return replace(found, held=held, unannounced_w=left if any(left) else ())


def why_held(workload: Workload, workloads: Mapping[str, Workload], utc_s: float) -> str:
    """Why it may not start, whatever room there is; empty where it may."""
    if workload.start_utc_s is not None and utc_s < workload.start_utc_s:
        return f"starts at {iso_utc(workload.start_utc_s)}"
    waited = [i for i in workload.announcement.dependencies if i in workloads and is_live(workloads[i])]
    more = f" and {len(waited) - 1} more" if len(waited) > 1 else ""
    return f"waits for the end of {waited[0]}{more}" if waited else ""


def _circle(asked: Announcement, workloads: Mapping[str, Workload]) -> tuple[str, ...]:
    """The workloads that would wait for each other for ever, or nothing."""
    ways: list[tuple[str, ...]] = [(asked.workload_id, i) for i in asked.dependencies]
    seen: set[str] = set()
    while ways:
        way = ways.pop()
        if way[-1] == asked.workload_id:
            return way
        found = workloads.get(way[-1])
        if way[-1] not in seen and found is not None and found.held and is_live(found):
            seen.add(way[-1])
            ways += [(*way, i) for i in found.announcement.dependencies]
    return ()


# --- orders -----------------------------------------------------------------------------------------------------------


def decide_order(
    request: ControlWorkload, site: Site, facts: Facts, workloads: Mapping[str, Workload]
) -> Outcome:
    """The outcome of a throttle, pause, resume, termination or migration."""
    workload = workloads.get(request.workload_id)
    if workload is None or workload.state is WorkloadState.REJECTED:
        return Rejected(id=request.id, code="not_found", reason=f"{request.workload_id}: no such workload here")
    if reason := _contradicts(request, workload, site.control):
        return Rejected(id=request.id, code="conflict", reason=reason)
    caps = [site.control.load_controllers[c].cap for c in workload.controllers]
    if facts.barred.intersection(caps) and request.action != "terminate":
        return barred(request.id, site.points[next(c for c in caps if c in facts.barred)].id)
    changed, limit = _changed(request, workload, site.control, facts.utc_s)
    if changed is None:
        return Rejected(id=request.id, code="invalid", reason=f"{request.action!r}: expected {_ACTIONS}")
    if limit:
        value, told = _granted(limit, changed, facts.utc_s)
        return Clamped(id=request.id, cycle=facts.cycle + 1, workload=changed, value=value, limit=limit, reason=told)
    return Accepted(id=request.id, cycle=facts.cycle + 1, workload=changed, reason=_remark(request, workload))


def _contradicts(request: ControlWorkload, workload: Workload, spec: ControlSpec) -> str:
    """Why the workload's state does not allow the order; empty where it does."""
    name, action = request.workload_id, request.action
    if not is_live(workload):
        return f"{name} is {workload.state.value}"
    if workload.state is WorkloadState.MIGRATING and action != "terminate":
        return f"{name} is on its way to {workload.migration_target}; it can only be terminated"
    if action == "resume" and workload.held and workload.state is not WorkloadState.PAUSED:
        return f"{name} has not started yet: {workload.held}"
    return _no_way(request, workload, spec) if action == "migrate" else ""


def _no_way(request: ControlWorkload, workload: Workload, spec: ControlSpec) -> str:
    name, targets = request.workload_id, spec.migration_targets
    if not targets:
        return f"{name}: this site knows no other that could take it; pause or terminate it"
    if not workload.announcement.can_migrate:
        return f"{name}: it was announced as one that cannot migrate; pause or terminate it"
    if request.migration_target and request.migration_target not in targets:
        return f"{name}: {request.migration_target} is none of {', '.join(targets)}"
    return ""


def _changed(request: ControlWorkload, workload: Workload, spec: ControlSpec,
             utc_s: float) -> tuple[Workload | None, str]:
    """The workload afterwards and what limits the order; None for an order that is none."""
    ended = {"target_w": None, "paused_until_utc_s": None, "throttled_until_utc_s": None}
    if request.action == "throttle":
        return _throttled(request, workload, utc_s)
    if request.action == "pause":
        return _paused(request, workload, utc_s)
    if request.action == "resume":
        state = WorkloadState.CONDITIONAL if workload.conditions else WorkloadState.APPROVED
        return replace(workload, state=state, **ended), ""
    if request.action == "terminate":
        return replace(workload, state=WorkloadState.TERMINATED, reason=f"terminated by {request.origin}", **ended), ""
    if request.action == "migrate":
        target = request.migration_target or spec.migration_targets[0]
        return replace(workload, state=WorkloadState.MIGRATING, ramp_w_per_s=request.ramp_w_per_s,
                       migration_target=target, **ended), ""
    return None, ""


def _paused(request: ControlWorkload, workload: Workload, utc_s: float) -> tuple[Workload, str]:
    """No longer than the workload said that it bears."""
    asked_s, most_s = request.pause_s, workload.announcement.max_pause_s
    granted_s = asked_s if most_s is None else min(most_s, most_s if asked_s is None else asked_s)
    until = None if granted_s is None else utc_s + granted_s
    limit = "" if granted_s == asked_s else "max_pause"
    return replace(workload, state=WorkloadState.PAUSED, paused_until_utc_s=until), limit


def _throttled(request: ControlWorkload, workload: Workload, utc_s: float) -> tuple[Workload | None, str]:
    target = request.target_w
    if target is None:
        return None, ""
    clamped = min(target, workload.approved_w)
    changed = replace(
        workload, state=WorkloadState.THROTTLED, target_w=clamped, ramp_w_per_s=request.ramp_w_per_s,
        paused_until_utc_s=None, throttled_until_utc_s=utc_s + THROTTLE_MAX_S)
    limit = "" if clamped == target else "approved_power"
    return changed, limit


def _granted(limit: str, changed: Workload, utc_s: float) -> tuple[float, str]:
    """What was granted in place of what was asked, and why."""
    if limit == "max_pause":
        left_s = (changed.paused_until_utc_s or utc_s) - utc_s
        return left_s, f"it was announced to bear a pause of {left_s:.0f} s; it resumes by itself then"
    return changed.target_w or 0.0, f"approved for {changed.approved_w / 1e6:.2f} MW"


def _remark(request: ControlWorkload, workload: Workload) -> str:
    """An order goes before what was announced; who gave it is told what that means."""
    if request.action == "throttle" and not workload.announcement.can_throttle:
        return "it was announced as one that cannot be throttled: the cap is set all the same, and it may fail under it"
    if workload.held and request.action == "throttle":
        return f"it counts from its start on ({workload.held})"
    return ""
