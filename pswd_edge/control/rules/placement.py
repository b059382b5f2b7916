"""What an announced workload may draw, and where it runs."""

import math
from collections.abc import Callable, Mapping, Sequence

from pswd_edge.control.rules.reserve import Range, carried_swing_w
from pswd_edge.model.capacity import fast, power_for_heat, spare_w
from pswd_edge.model.control import ControlSpec
from pswd_edge.model.window import is_live
from pswd_edge.model.workload import IDLE_SHARE, Announcement, Headroom, Workload, WorkloadState

_QUIET = 1.2                  # of the idle power of racks: what counts as idle
_IDLING = (WorkloadState.PAUSED, WorkloadState.MIGRATING)


def waits(workload: Workload) -> bool:
    """Whether a live workload is to idle: held back, paused, or on its way to another site."""
    return bool(workload.held) or workload.state in _IDLING


def granted_w(workload: Workload) -> float:
    """What the workload may draw now, or, where it is held back, as soon as it is let start."""
    if not is_live(workload):
        return 0.0
    most_w = workload.approved_w if workload.target_w is None else min(workload.approved_w, workload.target_w)
    return min(most_w, workload.approved_w * IDLE_SHARE) if workload.state in _IDLING else most_w


def allowed_w(workload: Workload) -> float:
    """What the workload may draw now: nothing of one that is held back is there yet."""
    return 0.0 if workload.held else granted_w(workload)


def eased_w(before_w: float, workload: Workload, dt_s: float) -> float:
    """The allowed power after `dt_s`, where it was `before_w`: throttle and migration may ask for a gentle way."""
    goal_w = allowed_w(workload)
    if workload.state not in (WorkloadState.THROTTLED, WorkloadState.MIGRATING) or workload.ramp_w_per_s <= 0:
        return goal_w
    most_w = workload.ramp_w_per_s * dt_s
    return min(max(goal_w, before_w - most_w), before_w + most_w)


def is_fast(announcement: Announcement, limits: Range) -> bool:
    """Whether its swings are too fast for the grid's ramp, so that the batteries must carry them."""
    return fast(announcement.ramp_w_per_s, min(limits.up_w_per_s, limits.down_w_per_s))


def load_ceiling_w(spec: ControlSpec, limits: Range, workloads: Sequence[Workload]) -> float:
    """Upper end of the guaranteed load range: what may come unannounced, and every fast workload's allowed power.

    A workload whose ramp the grid can follow needs no reserve: it does not raise the ceiling.
    """
    announced = sum(allowed_w(w) for w in workloads if is_live(w) and is_fast(w.announcement, limits))
    return min(spec.load_ceiling_w + announced, spec.load_maximum_w, spec.import_limit_w)


def headroom(
    spec: ControlSpec, limits: Range, workloads: Sequence[Workload], load_w: float, heat_w: float, usable_wh: float
) -> Headroom:
    """What the site could take on top of all that it has promised; never negative.

    `load_w` and `heat_w` are measured (NaN counts as the promised); `usable_wh` is the window of the usable batteries.
    A throttled or paused workload may come back at any time: what it was promised stays taken. So does what is held
    back; who looks at a certain time gives the workloads that are there then (`model/window.py`).
    """
    live = [w for w in workloads if is_live(w)]
    promised = spec.load_ceiling_w + sum(w.approved_w for w in live)
    busy = promised if math.isnan(load_w) else max(promised, load_w)
    warm = promised if math.isnan(heat_w) else max(promised, heat_w)
    ceiling = spec.load_ceiling_w + sum(w.approved_w for w in live if is_fast(w.announcement, limits))
    swing = carried_swing_w(usable_wh, limits)
    return Headroom(
        max(0.0, min(spec.import_limit_w, spec.load_maximum_w) - busy),
        max(0.0, spec.cooling_rating_w - warm),
        max(0.0, swing - (ceiling - limits.floor_w)),
        swing,
    )


def judge(
    spec: ControlSpec, limits: Range, workloads: Sequence[Workload], announcement: Announcement, room: Headroom,
    utc_s: float, most_asked_w: float = math.inf,
) -> Workload:
    """Approve, approve with conditions, or reject, on what the site can really carry.

    `workloads` and `room` are of the time when it is to run; `most_asked_w` is the cap that its asker would accept.
    """
    odd = _odd_number(announcement)
    if odd:
        return Workload(announcement, WorkloadState.REJECTED, 0.0, (), (), (odd,), utc_s, room)
    scarce, most_w = scarcest(spec, limits, workloads, announcement, room)
    if most_asked_w < min(most_w, announcement.peak_w):
        scarce, most_w = "the plan", most_asked_w
    approved = min(announcement.peak_w, most_w)
    state, conditions = _verdict(announcement, approved, scarce, limits)
    if state is WorkloadState.REJECTED:
        approved = 0.0
    controllers, reserved = _place(spec, spare_w(spec, workloads), approved)
    return Workload(announcement, state, approved, controllers, reserved, conditions, utc_s, room)


def scarcest(spec: ControlSpec, limits: Range, workloads: Sequence[Workload], announcement: Announcement,
             room: Headroom) -> tuple[str, float]:
    """What offers a workload the least, and how many W: "circuit:<id>" where racks have more than a circuit carries."""
    offers = {"grid power": room.power_w, "cooling": power_for_heat(announcement, room.cooling_w)}
    if is_fast(announcement, limits):
        offers["battery swing"] = room.swing_w
    spare = spare_w(spec, workloads)
    offers["rack power"] = sum(spare)
    if spec.branches:
        name, most_w = circuit_spare_w(spec, spare)
        offers |= {f"circuit:{name}": most_w} if name else {}
    scarce = min(offers, key=lambda k: offers[k])
    return scarce, offers[scarce]


def _odd_number(announcement: Announcement) -> str:
    """The first number that cannot be judged, in words; a power of NaN or below 0 would free what others hold."""
    wanted = {"peak power": announcement.peak_w, "baseline power": announcement.baseline_w,
              "ramp": announcement.ramp_w_per_s, "heat": announcement.heat_w or 0.0}
    for name, value in wanted.items():
        if not 0 <= value < math.inf:
            return f"{name}: got {value:g}: expected a number of 0 or more"
    return ""


def _verdict(
    announcement: Announcement, approved_w: float, scarce: str, limits: Range
) -> tuple[WorkloadState, tuple[str, ...]]:
    asked, least = announcement.peak_w, max(announcement.baseline_w, announcement.minimum_w or 0.0)
    if approved_w >= asked:
        return WorkloadState.APPROVED, ()
    lack = f"{scarce} allows {approved_w / 1e6:.1f} MW of the {asked / 1e6:.1f} MW asked for"
    slow = f"a ramp of at most {min(limits.up_w_per_s, limits.down_w_per_s) / 1e6:.3f} MW/s needs no battery swing"
    hints = (slow,) if scarce == "battery swing" else ()
    if announcement.can_throttle and approved_w >= least and approved_w > 0:
        return WorkloadState.CONDITIONAL, (f"power capped at {approved_w / 1e6:.1f} MW: {lack}", *hints)
    return WorkloadState.REJECTED, (lack, *hints)


def branch_room_w(spec: ControlSpec, spare: Sequence[float]) -> list[float]:
    """What each branch has left of its rating, all that is reserved below it taken off."""
    return [max(0.0, b.rating_w - sum([spec.load_controllers[i].rating_w - spare[i] for i in b.controllers]))
            for b in spec.branches]


def circuit_spare_w(spec: ControlSpec, spare: Sequence[float]) -> tuple[str, float]:
    """The circuit that keeps most of the racks' spare power from use ("" where none does), and what is left with all.

    Children come before parents, so that each branch is asked with what its children let through.
    """
    most = branch_room_w(spec, spare)
    through = [0.0] * len(most)
    kept, name, direct = 0.0, "", sum(spare)
    for k, branch in enumerate(spec.branches):
        below = [i for j in branch.children for i in spec.branches[j].controllers]
        offered = through[k] + sum([spare[i] for i in branch.controllers if i not in below])
        if offered - most[k] > kept:
            kept, name = offered - most[k], branch.id
        passed = min(offered, most[k])
        direct -= offered - passed
        if branch.parent is not None:
            through[branch.parent] += passed
    return name, direct


def _place(spec: ControlSpec, spare: Sequence[float], power_w: float) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """The emptiest controllers first, as few as carry the power, within what their circuits carry."""
    room = branch_room_w(spec, spare)
    controllers: list[int] = []
    reserved: list[float] = []
    for i in sorted(range(len(spare)), key=lambda i: (-spare[i], i)):
        above = [k for k, b in enumerate(spec.branches) if i in b.controllers]
        part = min([spare[i], power_w - sum(reserved), *(room[k] for k in above)])
        if part <= 0:
            continue
        for k in above:
            room[k] -= part
        controllers.append(i)
        reserved.append(part)
    return tuple(controllers), tuple(reserved)


def run_orders(workloads: Sequence[Workload]) -> dict[int, str]:
    """What the load controllers' jobs are to do, by controller index: "run", "pause" or "stop".

    `workloads` in the order in which they changed. A controller pauses where every live workload on it does, and
    stops where the last one was terminated; one that never had a workload is left alone. One that ended before its
    start leaves its racks as they were before it.
    """
    orders: dict[int, str] = {}
    for workload in (w for w in workloads if not is_live(w)):
        if workload.held:
            orders = dict.fromkeys(workload.controllers, "run") | orders
        elif workload.state is WorkloadState.TERMINATED:
            orders |= dict.fromkeys(workload.controllers, "stop")
    for workload in (w for w in workloads if is_live(w)):
        for controller, busy in zip(workload.controllers, _busy(workload), strict=True):
            runs = busy or not waits(workload) or orders.get(controller) == "run"
            orders[controller] = "run" if runs else "pause"
    return orders


def _busy(workload: Workload) -> Sequence[bool]:
    """Which of its racks, while it is held back, run something that nobody announced: no reason to halt that."""
    if workload.held and workload.unannounced_w:
        return [w > 0 for w in workload.unannounced_w]
    return [False] * len(workload.controllers)


def controller_caps(
    spec: ControlSpec, workloads: Sequence[Workload], now_w: Mapping[str, float] | None = None
) -> dict[int, float]:
    """Caps in W of the load controllers on which a workload is held below what it reserved, by controller index.

    `now_w` has the allowed power of workloads that are on their way to it, by workload id.
    """
    eased = now_w or {}
    total: dict[int, float] = {}
    held: set[int] = set()
    idle = _idle_w(workloads)
    for workload in (w for w in workloads if is_live(w) and not w.held):
        now = eased.get(workload.announcement.workload_id, allowed_w(workload))
        full = sum(workload.reserved_w)
        below = now < full or workload.state is WorkloadState.CONDITIONAL
        for controller, reserved in zip(workload.controllers, workload.reserved_w, strict=True):
            total[controller] = total.get(controller, 0.0) + (reserved * now / full if full > 0 else 0.0)
            if below:
                held.add(controller)
    caps = {c: total.get(c, 0.0) + idle.get(c, 0.0) for c in held | idle.keys()}
    return {c: min(cap_w, spec.load_controllers[c].rating_w) for c, cap_w in caps.items()}


def _idle_w(workloads: Sequence[Workload]) -> dict[int, float]:
    """What racks of workloads that are held back may draw beside the others' shares, by controller index."""
    idle: dict[int, float] = {}
    for workload in (w for w in workloads if is_live(w) and w.held):
        left = workload.unannounced_w or (0.0,) * len(workload.controllers)
        for controller, reserved, own in zip(workload.controllers, workload.reserved_w, left, strict=True):
            idle[controller] = max(idle.get(controller, 0.0), own, IDLE_SHARE * reserved)
    return idle


def quiet_w(spec: ControlSpec, controller: int) -> float:
    """What a load controller draws at most where nothing runs, W: servers that idle are not off."""
    return _QUIET * IDLE_SHARE * spec.load_controllers[controller].rating_w


def unannounced_w(spec: ControlSpec, workloads: Sequence[Workload], workload: Workload,
                  powers: Callable[[int], float]) -> tuple[float, ...]:
    """What runs on a workload's racks for nobody that was announced, W; as much as idles anyway counts as 0.

    `powers` has what each load controller draws; NaN: not known, and then all of its rating may be somebody's.
    """
    shares: dict[int, float] = {}
    for other in (w for w in workloads if is_live(w) and not w.held):
        full = sum(other.reserved_w)
        for controller, reserved in zip(other.controllers, other.reserved_w, strict=True):
            shares[controller] = shares.get(controller, 0.0) + (reserved * allowed_w(other) / full if full > 0 else 0.0)
    found = []
    for controller in workload.controllers:
        left_w = powers(controller) - shares.get(controller, 0.0)
        rating_w = spec.load_controllers[controller].rating_w
        known_w = rating_w if math.isnan(left_w) else left_w
        found.append(known_w if known_w > quiet_w(spec, controller) else 0.0)
    return tuple(found)
