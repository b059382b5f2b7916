"""What is proposed for an announced workload: whole and later before less and now, and alternatives that do fit."""

import pytest
from msgspec.structs import replace

from pswd_edge.model.control import BatteryControl, ControlSpec, Input, LoadController
from pswd_edge.model.workload import Announcement, Headroom, Offer, Workload, WorkloadState
from pswd_edge.planning.admission import Alternative, Outlook, alternatives, at_rating, offer_for, rated_alternatives

MW = 1e6
UTC_S = 1_780_000_000.0
RAMP = 0.1 * MW
SPEC = ControlSpec(
    period_ms=100, input_deadline_percent=60, start_mode="auto", auto_after_s=5, grid_power=Input(0), load_meters=(),
    frequency=None, ramp_limit_w_per_min=10 * MW, ramp_up_w_per_s=RAMP, ramp_down_w_per_s=RAMP,
    import_limit_w=120 * MW, load_floor_w=20 * MW, load_ceiling_w=60 * MW, load_maximum_w=130 * MW, delay_s=0.25,
    filter_hz=0.15, frozen_after=20,
    batteries=tuple(BatteryControl(f"b{i}", i, Input(1), Input(2), 3, 15e6, 60 * MW, 60 * MW) for i in range(2)),
    tiers=(), load_controllers=tuple(LoadController(f"r{i}", 5, 6, 7, 25 * MW) for i in range(4)),
    cooling_rating_w=120 * MW)


def job(peak_mw: float = 40, name: str = "new", **changes: object) -> Announcement:
    """One that the grid follows: it needs no battery."""
    return replace(Announcement(name, "hpc", peak_mw * MW, 5 * MW, RAMP / 2), **changes)


def runs(peak_mw: float, *, ends_s: float | None = None, name: str = "old", **changes: object) -> Workload:
    """Running on the first racks; it says that it ends in `ends_s`."""
    said = job(peak_mw, name, duration_s=None if ends_s is None else int(ends_s), **changes)
    shares = tuple(min(25 * MW, max(0.0, peak_mw * MW - 25 * MW * i)) for i in range(4))
    used = tuple(i for i, w in enumerate(shares) if w > 0)
    return Workload(said, WorkloadState.APPROVED, peak_mw * MW, used, tuple(shares[i] for i in used), (), UTC_S,
                    Headroom(0.0, 0.0, 0.0), started_utc_s=UTC_S)


def outlook(*workloads: Workload, load_mw: float = 60, carried_mw: float = 110) -> Outlook:
    taken = 60 + sum(w.approved_w for w in workloads) / MW
    room = Headroom(max(0.0, 120 - taken) * MW, max(0.0, 120 - taken) * MW, 0.0, carried_mw * MW)
    return Outlook(SPEC, workloads, room, RAMP, load_mw * MW, UTC_S)


def test_what_fits_is_asked_for_as_it_was_announced() -> None:
    """No condition where none is needed."""
    assert offer_for(outlook(), job(60)) is None


def test_what_may_be_delayed_is_moved_behind_what_ends() -> None:
    """60 MW are free, 40 are taken for 20 minutes: all of 40 then, rather than 20 at once."""
    held = outlook(runs(40, ends_s=1200))
    assert offer_for(held, job(40, can_throttle=True, delay_tolerance_s=1800)) == Offer(UTC_S + 1200)
    assert offer_for(held, job(40, can_throttle=True, delay_tolerance_s=600)) is None


@pytest.mark.parametrize("bound", [{"latest_start_utc_s": UTC_S + 900}, {"deadline_utc_s": UTC_S + 4000},
                                   {"latest_completion_utc_s": UTC_S + 4000}])
def test_no_start_is_proposed_beyond_window_and_deadline(bound: dict[str, float]) -> None:
    """A start after which it could not be done in time helps nobody."""
    held = outlook(runs(40, ends_s=1200))
    said = job(40, delay_tolerance_s=1800, duration_s=3600)
    assert offer_for(held, said) == Offer(UTC_S + 1200)
    assert offer_for(held, replace(said, **bound)) is None


def test_before_a_promised_start_its_duration_becomes_a_limit() -> None:
    """It fits only as long as it really ends: so that is what control is asked to hold it to."""
    coming = replace(runs(40, name="later"), held="starts at", start_utc_s=UTC_S + 3600, started_utc_s=None)
    assert offer_for(outlook(coming), job(40, duration_s=3000)) == Offer(None, None, 3000.0)
    assert offer_for(outlook(coming), job(40, duration_s=4000)) is None


def test_one_that_is_slowed_has_no_end_to_count_on() -> None:
    """A pause makes it later, by how much nobody knows."""
    paused = replace(runs(40, ends_s=1200), state=WorkloadState.PAUSED)
    assert offer_for(outlook(paused), job(40, delay_tolerance_s=7200)) is None


def test_alternatives_are_what_fits() -> None:
    """20 MW are left now, 40 after the first one's end; each of them is then taken as asked."""
    held = outlook(runs(40, ends_s=1200))
    found = alternatives(held, job(40))
    assert found == (Alternative("reduce", 20 * MW), Alternative("delay", 1200.0))
    assert alternatives(held, job(20)) == ()
    assert offer_for(held, job(40, earliest_start_utc_s=UTC_S + found[1].value)) is None
    assert alternatives(held, job(40, earliest_start_utc_s=UTC_S + found[1].value)) == ()


def test_less_than_its_baseline_is_no_alternative() -> None:
    """It could not run on that."""
    assert alternatives(outlook(runs(57)), job(40)) == ()


def test_where_the_batteries_are_short_a_gentle_ramp_is_one() -> None:
    """The grid follows it then."""
    held = outlook(carried_mw=60)
    fast = job(40, ramp_w_per_s=5 * MW)
    assert alternatives(held, fast) == (Alternative("reduce", 20 * MW), Alternative("ramp", RAMP))
    assert offer_for(held, replace(fast, ramp_w_per_s=RAMP)) is None


def test_a_measured_load_above_all_promises_counts_now_but_not_later() -> None:
    """What is drawn today says nothing about next week."""
    assert alternatives(outlook(load_mw=90), job(40))[0] == Alternative("reduce", 30 * MW)
    assert alternatives(outlook(load_mw=90), job(40, earliest_start_utc_s=UTC_S + 3600)) == ()


def test_the_rating_is_what_the_empty_site_carries() -> None:
    """Import less what is promised to everybody, racks, cooling less the same, and the swing of all batteries."""
    assert at_rating(SPEC, job(70), RAMP) == ("power", 60 * MW)
    assert at_rating(SPEC, job(40, heat_w=80 * MW), RAMP) == ("cooling", 30 * MW)
    small = replace(SPEC, batteries=())
    assert at_rating(small, job(40, ramp_w_per_s=0.0), RAMP) == ("swing", 0.0)
    assert rated_alternatives(small, job(40, ramp_w_per_s=0.0), RAMP) == (Alternative("ramp", RAMP),)


def test_one_that_can_be_throttled_is_possible_where_its_least_is() -> None:
    """Then it is judged in time, and capped."""
    assert at_rating(SPEC, job(400, can_throttle=True, minimum_w=30 * MW), RAMP).most_w >= 30 * MW
