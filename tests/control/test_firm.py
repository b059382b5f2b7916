"""Firm changes: only jobs that control holds down itself, measured to obey, and let go at a known time."""

import math
from collections.abc import Callable

import pytest
from msgspec.structs import replace
from virtual import FIRST_S, MW, MWH, World, battery_spec, limits, small_spec

from pswd_edge.control.rules.firm import COME_S, Awaited, awaited
from pswd_edge.model.control import LoadController
from pswd_edge.model.workload import Announcement, Headroom, Workload, WorkloadState

RACKS = tuple(LoadController(f"r{i}", 5, 60 + i, 65 + i, 25 * MW, run_command=70 + i) for i in range(3))
SPEC = small_spec(load_controllers=RACKS)
ENDS = {"wl": 1060.0}
HELD_W = [2 * MW, 2 * MW, 0.0]
NOW_S = 1000.0


def workload(state: WorkloadState = WorkloadState.PAUSED, name: str = "wl", racks: tuple[int, ...] = (0, 1),
             baseline_w: float = 30 * MW, ramp_w_per_s: float = 0.0, **changes: object) -> Workload:
    """40 MW on two racks."""
    said = Announcement(name, "ai_training", 40 * MW, baseline_w, ramp_w_per_s)
    made = Workload(said, state, 40 * MW, racks, (20 * MW,) * len(racks), (), 0.0, Headroom(0.0, 0.0, 0.0))
    return replace(made, **changes)


def found(*workloads: Workload, before: tuple[Awaited, ...] = (), ends_s: dict[str, float] | None = None,
          powers: list[float] | None = None, closed: frozenset[int] = frozenset(),
          now_s: float = NOW_S, spec=SPEC) -> tuple[Awaited, ...]:
    ends_s = ENDS if ends_s is None else ends_s
    return awaited(spec, before, workloads, ends_s, powers or HELD_W, closed, limits(), now_s)


def test_a_job_that_we_hold_is_firm() -> None:
    """At least its baseline less what it draws now, at most what it may draw less a paused job's share."""
    (only,) = found(workload())
    assert only.shift == (26 * MW, 36 * MW, 1060.0, 1060.0 + COME_S)


@pytest.mark.parametrize(("why", "make"), [
    ("announced", lambda: found(workload(WorkloadState.APPROVED))),
    ("throttled", lambda: found(workload(WorkloadState.THROTTLED, target_w=4 * MW))),
    ("no end", lambda: found(workload(), ends_s={"wl": math.inf})),
    ("no known end", lambda: found(workload(), ends_s={})),
    ("ended", lambda: found(workload(WorkloadState.TERMINATED))),
    ("no run command", lambda: found(workload(), spec=small_spec(load_controllers=tuple(
        replace(r, run_command=None) for r in RACKS)))),
    ("cap not led", lambda: found(workload(), closed=frozenset({60}))),
    ("run command not led", lambda: found(workload(), closed=frozenset({71}))),
    ("does not obey", lambda: found(workload(), powers=[12 * MW, 2 * MW, 0.0])),
    ("not measured", lambda: found(workload(), powers=[math.nan, 2 * MW, 0.0])),
    ("shares a rack that runs", lambda: found(workload(), workload(WorkloadState.APPROVED, "other", (1,)))),
    ("shares a rack that pauses", lambda: found(workload(), workload(WorkloadState.PAUSED, "other", (1, 2)))),
    ("promises nothing", lambda: found(workload(baseline_w=0.0))),
    ("the grid can follow it", lambda: found(workload(ramp_w_per_s=0.05 * MW))),
    ("nowhere", lambda: found(workload(racks=(), reserved_w=())))])
def test_what_is_not_held_for_certain_is_not_firm(why: str, make: Callable[[], tuple[Awaited, ...]]) -> None:
    """Room that is spent on a step that does not come is missing when the ramp needs it."""
    assert make() == (), why


def test_a_job_that_was_let_go_stays_firm_until_it_has_come() -> None:
    """For the seconds in between: the reference must not be called back just before the step."""
    before = found(workload())
    runs = workload(WorkloadState.APPROVED)
    (waiting,) = found(runs, before=before, now_s=1061.0)
    assert (waiting.shift.low_w, waiting.shift.high_w) == (26 * MW, 0.0)
    assert found(runs, before=before, now_s=1061.0, powers=[12 * MW, 12 * MW, 0.0]) == ()
    assert found(runs, before=before, now_s=1060.0 + COME_S + 0.1) == ()
    assert found(runs, before=before, now_s=1061.0, powers=[math.nan, 2 * MW, 0.0]) == ()


def test_another_announcement_of_the_same_name_was_never_held() -> None:
    """What is known of the first says nothing of the second."""
    assert found(workload(WorkloadState.APPROVED, announced_utc_s=9.0), before=found(workload()), now_s=1061.0) == ()


def test_firm_changes_are_in_order_of_time() -> None:
    """The range takes one after the other."""
    first, second = workload(racks=(0,)), workload(name="wl2", racks=(1,))
    made = found(first, second, ends_s={"wl": 1200.0, "wl2": 1100.0}, powers=[2 * MW, 2 * MW, 0.0])
    assert [a.workload_id for a in made] == ["wl2", "wl"]


# --- what it is worth, and what a lie costs ---------------------------------------------------------------------------

STEP_W, AT_S = 36 * MW, 180.0


def resumed(come_after_s: float | None, *, firm: bool, usable_wh: float) -> tuple[float, float]:
    """A pause of 36 MW ends after 180 s, and a planner knows: the largest step of the reference, and the highest SoC.

    The hint is what a planner would have: to the middle of the step when it comes, then on.
    """
    spec = small_spec(batteries=(battery_spec(1, capacity_wh=usable_wh / 0.8),), load_ceiling_w=44 * MW, tiers=())
    world = World(spec, 40 * MW, 50.0)
    kept, steps, highest = (), [], 0.0
    job = workload(racks=(0,), baseline_w=STEP_W, reserved_w=(40 * MW,))
    rack_w, before_w = 0.0, math.nan
    spec = replace(spec, load_controllers=RACKS)
    for k in range(3800):
        t = k / 10
        if come_after_s is not None and t >= AT_S + come_after_s:
            world.load_w, rack_w = 40 * MW + STEP_W, STEP_W
        now = job if t < AT_S else replace(job, state=WorkloadState.APPROVED)
        kept = awaited(spec, kept, (now,), {"wl": FIRST_S + AT_S}, [rack_w], frozenset(), limits(),
                       world.time_s) if firm else ()
        hint_w = (40 + min(max(t - AT_S + 165, 0) * 0.11, 36)) * MW if t < AT_S + 60 or rack_w else None
        world.step(hint_w=hint_w, expected=tuple(a.shift for a in kept),
                   ceiling_w=(48 if t < AT_S else 84) * MW)
        now_w = world.state.reference.reference_w
        steps += [] if math.isnan(before_w) else [abs(now_w - before_w)]
        before_w, highest = now_w, max(highest, world.soc_percent["b1"])
    return max(steps), highest


def test_a_firm_resume_is_carried_by_a_battery_that_an_announced_one_breaks() -> None:
    """Room that need not be kept for going back lets the reference go half way."""
    within_w = SPEC.ramp_up_w_per_s * 0.1 + 1.0
    assert resumed(1.0, firm=True, usable_wh=1.4 * MWH)[0] <= within_w
    assert resumed(1.0, firm=False, usable_wh=1.4 * MWH)[0] > within_w


def test_an_announced_resume_that_never_comes_costs_no_ramp_a_firm_one_does() -> None:
    """Why `firm_resumes` is off until somebody answers for the jobs."""
    within_w = SPEC.ramp_up_w_per_s * 0.1 + 1.0
    assert resumed(None, firm=False, usable_wh=1.4 * MWH)[0] <= within_w
    largest_w, highest = resumed(None, firm=True, usable_wh=1.4 * MWH)
    assert largest_w > within_w
    assert highest <= 90.0 + 0.5
