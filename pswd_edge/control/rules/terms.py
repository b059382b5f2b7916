"""What the law remembers, what it is told, and what it says: the types around one cycle."""

import math
from typing import NamedTuple

from pswd_edge.control.rules import delay as delays
from pswd_edge.control.rules.allocate import Fleet
from pswd_edge.control.rules.budget import Budget
from pswd_edge.control.rules.circuits import BranchState
from pswd_edge.control.rules.delay import Delay
from pswd_edge.control.rules.droop import Droop
from pswd_edge.control.rules.energy import Held
from pswd_edge.control.rules.estimate import Estimate, Memory
from pswd_edge.control.rules.expected import Shift
from pswd_edge.control.rules.feed import Feed
from pswd_edge.control.rules.flexibility import Flexible
from pswd_edge.control.rules.following import Following
from pswd_edge.control.rules.reference import Reference, Step
from pswd_edge.control.rules.reserve import Range
from pswd_edge.control.rules.shed import Need, ShedState, TierState
from pswd_edge.control.rules.surplus import SurplusState
from pswd_edge.control.rules.surplus import begun as nothing_on
from pswd_edge.model.command import Mode
from pswd_edge.model.control import ControlSpec
from pswd_edge.model.tuning import Tuning

_TINY_W = 1.0


class LawState(NamedTuple):
    """What the law remembers.

    `reference`, `feed` and `budget` are None until a first estimate; `battery_w` is the last command, `missed_w` how
    far the reference was pulled off its ramp where the batteries could not give what was wanted; it fades at the ramp.
    `delay` learns how late the batteries are, `following` (one for each battery) whether they do what they are told,
    `energy` what they hold; the latter is empty before the first cycle. `droop` is the answer to the frequency.
    `circuits` is what is known of each branch, empty before the first cycle.
    """

    memory: Memory
    reference: Reference | None
    shed: ShedState
    battery_w: float = 0.0
    missed_w: float = 0.0
    blind_s: float = 0.0
    shed_wh: float = 0.0
    feed: Feed | None = None
    budget: Budget | None = None
    delay: Delay = delays.begun()
    following: tuple[Following, ...] = ()
    energy: tuple[Held, ...] = ()
    droop: Droop = Droop()
    circuits: tuple[BranchState, ...] = ()
    absorbed: SurplusState = SurplusState()


class Orders(NamedTuple):
    """What people and programs want of the law in this cycle.

    `target_w`: lead the batteries to this power (discharge positive), None for automatic; `manual_w` is the
    operator's battery power in MANUAL; `ceiling_w` is the upper end of the guaranteed load range. `barred` are the
    actuated points that may not be led, as they were not commissioned. `import_limit_w`, `export_limit_w`,
    `ramp_w_per_min` and `floor_w` are tighter limits in force than the site file's, None where there are none.
    `hint_w` is where the planner would have the reference. `emergency`: the import limit is reached at once, whatever
    the ramp. `refused` are set-points that their devices do not take. `flexible`: which tiers the workloads let go, in
    which order. `silent` are supervisors that are not heard any more. `expected` are announced changes of the load, by
    their time.
    """

    mode: Mode
    ceiling_w: float
    target_w: float | None = None
    target_ramp_w_per_s: float | None = None
    manual_w: float | None = None
    barred: frozenset[int] = frozenset()
    import_limit_w: float | None = None
    export_limit_w: float | None = None
    ramp_w_per_min: float | None = None
    floor_w: float | None = None
    hint_w: float | None = None
    emergency: bool = False
    refused: frozenset[int] = frozenset()
    flexible: Flexible | None = None
    silent: tuple[str, ...] = ()
    expected: tuple[Shift, ...] = ()


class Grid(NamedTuple):
    """The limits at the grid connection in this cycle, W and W/min; none is looser than the site file's."""

    import_w: float
    export_w: float
    ramp_w_per_min: float
    emergency: bool = False


class Decision(NamedTuple):
    """What one cycle decided, with everything that explains it.

    `fleet` is what load and requests may count on: without what is kept for droop.

    `battery_w` is the total command, `shares` by battery id; both only where `acts`. `step` is None without an
    estimate. `binding` adds "battery", "manual", "safe", "blind", "export" to the bindings of the reference. `tuning`
    is what corner and ramps were chosen from. `starts`: nothing in `degraded` keeps AUTO from beginning by itself.
    `droop_w` is what the frequency makes the batteries give (discharge positive), None where it is not answered.
    """

    estimate: Estimate
    fleet: Fleet
    limits: Range
    step: Step | None
    need: Need
    battery_w: float
    shares: dict[str, float]
    acts: bool
    binding: str
    degraded: tuple[str, ...]
    tuning: Tuning
    grid: Grid
    starts: bool = True
    droop_w: float | None = None


def start(spec: ControlSpec) -> LawState:
    """The state before the first cycle."""
    return LawState(Memory(), None, ShedState(tuple(TierState() for _ in spec.tiers)), absorbed=nothing_on(spec),
                    following=tuple(Following() for _ in spec.batteries))


def sound(spec: ControlSpec, orders: Orders) -> Orders:
    """The orders without numbers that are none: NaN passes through every comparison, and would be remembered for good.

    What is no finite number is not ordered; a ceiling that is none is the site file's.
    """
    def number(value: float | None) -> float | None:
        return value if value is None or math.isfinite(value) else None

    ceiling_w = orders.ceiling_w if math.isfinite(orders.ceiling_w) else spec.load_ceiling_w
    return orders._replace(
        ceiling_w=ceiling_w, target_w=number(orders.target_w), target_ramp_w_per_s=number(orders.target_ramp_w_per_s),
        manual_w=number(orders.manual_w), import_limit_w=number(orders.import_limit_w),
        export_limit_w=number(orders.export_limit_w), ramp_w_per_min=number(orders.ramp_w_per_min),
        floor_w=number(orders.floor_w), hint_w=number(orders.hint_w),
        expected=tuple(s for s in orders.expected if all(map(math.isfinite, s))))


def grid_of(spec: ControlSpec, orders: Orders) -> Grid:
    """The limits in force: what was ordered, where it is tighter."""
    def least(limit: float, ordered: float | None) -> float:
        return limit if ordered is None else min(limit, max(0.0, ordered))

    return Grid(least(spec.import_limit_w, orders.import_limit_w), least(spec.export_limit_w, orders.export_limit_w),
                least(spec.ramp_limit_w_per_min, orders.ramp_w_per_min), orders.emergency)


def range_of(spec: ControlSpec, ceiling_w: float, tuning: Tuning | None = None, floor_w: float | None = None) -> Range:
    """The constants of the reserves for a guaranteed range that ends at `ceiling_w`."""
    age = max((b.soc_age_s for b in spec.batteries), default=1.0)
    charge = max((b.charge_efficiency for b in spec.batteries), default=1.0)
    discharge = min((b.discharge_efficiency for b in spec.batteries), default=1.0)
    up = spec.ramp_up_w_per_s if tuning is None else tuning.up_w_per_s
    down = spec.ramp_down_w_per_s if tuning is None else tuning.down_w_per_s
    floor = spec.load_floor_w if floor_w is None else max(spec.load_floor_w, floor_w)
    return Range(floor, max(ceiling_w, floor + _TINY_W), spec.period_ms / 1000, up, down, age, charge, discharge)
