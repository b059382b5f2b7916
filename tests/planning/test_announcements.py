"""What workloads say of the load to come."""

import pytest
from msgspec.structs import replace

from pswd_edge.model.workload import Announcement, Headroom, PowerStep, Workload, WorkloadState
from pswd_edge.planning.announcements import DUTY, EARLY_S, KEPT_S, LATE_S, changes

MW = 1e6
UTC_S, NOW_S = 1_780_000_000.0, 5_000.0
MEAN_W = (10 + DUTY * 20) * MW


def workload(state: WorkloadState = WorkloadState.APPROVED, *, start_s: float | None = None,
             duration_s: int | None = None, paused_s: float | None = None, **changes_: object) -> Workload:
    """10 to 30 MW, announced now; seconds are from now on."""
    start = None if start_s is None else UTC_S + start_s
    said = Announcement("wl", "ai_training", 30 * MW, 10 * MW, 0.0, duration_s, earliest_start_utc_s=start)
    made = Workload(said, state, 30 * MW, (0,), (30 * MW,), (), UTC_S, Headroom(0.0, 0.0, 0.0),
                    paused_until_utc_s=None if paused_s is None else UTC_S + paused_s)
    return replace(made, **changes_)


def told(*workloads: Workload, after_s: float = 0.0, before: list = ()) -> list[tuple[str, float, float]]:
    """What each change is called, its W and its time from the announcement on."""
    found = changes(workloads, list(before), UTC_S + after_s, NOW_S + after_s, 1 * MW)
    return [(c.id.partition(":")[2], c.step_w, round(c.at_s - NOW_S, 3)) for c in found]


def test_a_start_and_an_end_are_changes() -> None:
    """On the monotonic clock: a wall clock that is set later must not move them."""
    assert told(workload(start_s=120, duration_s=600)) == [("start", MEAN_W, 120.0), ("end", -MEAN_W, 720.0)]


def test_a_workload_without_a_time_is_not_planned_for() -> None:
    """It may begin at any moment: that is what the reserves are for."""
    assert told(workload()) == []
    assert told(workload(start_s=-10.0)) == []


def test_an_end_without_a_start_time_counts_from_the_announcement() -> None:
    """As everywhere else: a workload without a start time starts when it is announced."""
    assert told(workload(duration_s=600)) == [("end", -MEAN_W, 600.0)]


@pytest.mark.parametrize("state", [WorkloadState.TERMINATED, WorkloadState.REJECTED])
def test_what_has_ended_changes_nothing_more(state: WorkloadState) -> None:
    """An announcement that was called off must be forgotten at once."""
    assert told(workload(state, start_s=120, duration_s=600)) == []


def test_the_end_of_a_pause_is_a_rise_from_what_a_paused_job_draws() -> None:
    """A tenth of its power; a pause without an end says nothing."""
    assert told(workload(WorkloadState.PAUSED, paused_s=90.0)) == [("resume", MEAN_W - 3 * MW, 90.0)]
    assert told(workload(WorkloadState.PAUSED)) == []


def test_a_job_that_was_let_go_is_awaited_until_it_comes() -> None:
    """When its pause has run out it has not come yet; when it was called off it will not."""
    before = changes([workload(WorkloadState.PAUSED, paused_s=90.0)], [], UTC_S, NOW_S, 1 * MW)
    assert told(workload(), after_s=91.0, before=before) == [("resume", MEAN_W - 3 * MW, 90.0)]
    assert told(workload(WorkloadState.TERMINATED), after_s=91.0, before=before) == []
    again = workload(WorkloadState.PAUSED, paused_s=500.0)
    assert told(again, after_s=91.0, before=before) == [("resume", MEAN_W - 3 * MW, 500.0)]


def test_a_throttle_and_a_cap_bound_the_step() -> None:
    """What may not be drawn does not come."""
    throttled = workload(WorkloadState.THROTTLED, start_s=60, target_w=6 * MW)
    assert told(throttled) == [("start", 6 * MW, 60.0)]
    assert told(workload(WorkloadState.CONDITIONAL, start_s=60, approved_w=22 * MW)) == [("start", 18 * MW, 60.0)]


def test_small_changes_are_the_law_s_alone() -> None:
    """A plan for each of a hundred small jobs would be noise."""
    assert changes([workload(start_s=60)], [], UTC_S, NOW_S, MEAN_W + 1.0) == []


def test_a_change_has_a_time_around_it_and_is_kept_for_a_while() -> None:
    """The plan that met it also leads the energy back."""
    change = changes([workload(start_s=60)], [], UTC_S, NOW_S, 1 * MW)[0]
    assert (change.earliest_s, change.latest_s) == (change.at_s - EARLY_S, change.at_s + LATE_S)
    assert told(workload(start_s=60), after_s=60 + LATE_S + KEPT_S - 1) != []
    assert told(workload(start_s=60), after_s=60 + LATE_S + KEPT_S + 1) == []


def test_a_name_that_is_announced_again_is_another_change() -> None:
    """What was seen of the first says nothing of the second."""
    first, second = workload(start_s=60), workload(start_s=60, announced_utc_s=UTC_S + 5.0)
    names = {changes([w], [], UTC_S, NOW_S, 1 * MW)[0].id for w in (first, second)}
    assert len(names) == 2


STEPS = (PowerStep(UTC_S + 120, 5 * MW), PowerStep(UTC_S + 180, 40 * MW), PowerStep(UTC_S + 240, 12 * MW))


def scheduled(**changes_: object) -> Workload:
    said = replace(workload(start_s=120, duration_s=600).announcement, schedule=STEPS)
    return replace(workload(), announcement=said, **changes_)


def test_a_schedule_is_a_change_at_each_of_its_steps() -> None:
    """Within what was approved (30 MW); its end takes off what is left."""
    assert told(scheduled()) == [("start", 5 * MW, 120.0), ("step-2", 25 * MW, 180.0), ("step-3", -18 * MW, 240.0),
                                 ("end", -12 * MW, 720.0)]


def test_a_schedule_moves_with_the_start_and_ends_with_the_limit() -> None:
    """Held back for 60 s, and ended after 100: the last step never comes."""
    late = scheduled(held="starts at", start_utc_s=UTC_S + 180, duration_limit_s=100.0)
    assert told(late) == [("start", 5 * MW, 180.0), ("step-2", 25 * MW, 240.0), ("end", -30 * MW, 280.0)]


def test_a_mean_that_was_announced_is_believed() -> None:
    """Rather than a share between baseline and peak; never more than was approved."""
    said = replace(workload(start_s=120).announcement, average_w=14 * MW)
    assert told(replace(workload(), announcement=said)) == [("start", 14 * MW, 120.0)]
    assert told(replace(workload(), announcement=said, approved_w=9 * MW)) == [("start", 9 * MW, 120.0)]
